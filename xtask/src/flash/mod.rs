// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask flash IMAGE DEVICE`: shows what will be lost, asks, writes, and reads all of it back.
//!
//! Everything about media and images is in crate `flasher`; here are only the questions and the words.

mod disks;
mod events;
mod show;
mod target;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use clap::Args as ClapArgs;
use flasher::image::{Image, ImageError};
use flasher::journal::Journal;
use flasher::medium::{Disk, Route};
use flasher::progress::Progress;
use flasher::size::size;
use flasher::write::{self, Discard, Error, Job, Summary};
use fw_build::{Failure, Result};
use fw_image::map::{ImageMap, Userland};
use image_inspect::finding::Class;
use image_inspect::{Inspector, Options};

use self::events::{Ending, Event, ImagePlan, Voice};
use self::target::Target;
use crate::exit::Exit;
use crate::{inspect, interrupt, talk};

/// Talos makes STATE (100 MiB) and EPHEMERAL (2 GiB at least) behind the image at its first boot.
const TALOS_NEEDS_BYTES: u64 = (100 << 20) + (2 << 30);

/// Writes an image to a card and reads it back.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask flash --list                                 the disks of this machine, and why not each of them
  cargo xtask flash out/metal-arm64-nanopi-m6.raw.xz /dev/sdb
  cargo xtask flash IMAGE /dev/sdb --yes                   for scripts: asks nothing, refuses the same
  cargo xtask flash IMAGE /dev/nvme0n1 --allow nvme0n1     a built-in disk, or one beyond 1 TiB, by its name
  cargo xtask flash IMAGE card.img --file                  a regular file, such as a disk of a virtual machine

IMAGE may be raw, .xz or .zst. With `SHA256SUMS` and `.map.json` beside it, it is checked against
them first; without them it is read once to its end. An image that would not boot (`cargo xtask
inspect`) is refused. The medium then holds the image to its last zero; the first MiB (partition
table and ID block) is written last, so that an interrupted medium never boots halfway. The same
command carries on where an interrupted one ended.

Nothing that is mounted, swapped to or part of another device is ever written, whatever is allowed.
On macOS never tried: docs/flash.md. Exit code 130: interrupted, and said in what state the medium
is.")]
pub struct Args {
    /// The image: raw, .xz or .zst.
    #[arg(value_name = "IMAGE", required_unless_present = "list")]
    image: Option<PathBuf>,
    /// The whole disk, such as `/dev/sdb`; not a partition.
    #[arg(value_name = "DEVICE", required_unless_present = "list")]
    device: Option<PathBuf>,
    /// List this machine's disks instead.
    #[arg(long, conflicts_with_all = ["image", "device"])]
    list: bool,
    /// Print JSON: with `--list` the disks, else a line per event (docs/flash.schema.json).
    #[arg(long)]
    json: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Allow this disk although it is built in, or larger than 1 TiB: its kernel name, such as `nvme0n1`.
    #[arg(long, value_name = "NAME")]
    allow: Option<String>,
    /// Write an image of which `inspect` says that it will not boot.
    #[arg(long)]
    allow_unbootable: bool,
    /// The target is a regular file that exists.
    #[arg(long)]
    file: bool,
    /// Begin anew, whatever an interrupted run has written.
    #[arg(long)]
    restart: bool,
    /// Do not give what is behind the image back to the medium.
    #[arg(long)]
    no_discard: bool,
    /// Where interrupted runs are remembered [default: talos-nanopi-m6/flash in the user's state folder].
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// The image is not whole, the device must not be written, or writing failed; the state of the medium is among
/// the reasons.
pub fn run(args: &Args) -> Result<Exit> {
    let (Some(image), Some(device)) = (&args.image, &args.device) else {
        return target::list(args.json);
    };
    let run = Run {
        voice: Voice::new(args.json),
        progress: Progress::default(),
        medium: OnceLock::new(),
        signal: Mutex::new(Signal::Ends),
    };
    let run = Arc::new(run);
    // Stays to the end of the process: what the last line says is how it ends.
    std::mem::forget(listen(&run));
    let ended = run.write(args, image, device);
    run.signals(Signal::IsLate);
    let (ending, code) = match &ended {
        Ok(Ending::Done) => (Ending::Done, i32::from(Exit::Done.code())),
        Ok(Ending::Interrupted) => (Ending::Interrupted, interrupt::INTERRUPTED),
        Ok(other) => (*other, i32::from(Exit::Failed.code())),
        Err(_) => (Ending::Failed, i32::from(Exit::Failed.code())),
    };
    run.end(ending, code, ended.as_ref().err());
    match ended? {
        Ending::Done => Ok(Exit::Done),
        Ending::Interrupted => std::process::exit(interrupt::INTERRUPTED),
        Ending::Declined | Ending::Failed => Ok(Exit::Failed),
    }
}

/// What a run, its signals and its screen share.
struct Run {
    voice: Voice,
    progress: Progress,
    /// The medium's path, once it is known.
    medium: OnceLock<String>,
    signal: Mutex<Signal>,
}

/// What the next signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// Ends the process: nothing is being written, or an earlier signal did not help, as with a medium that does
    /// not answer.
    Ends,
    /// Ends the writing after the chunk it is at.
    StopsWriting,
    /// Nothing: how the run ended is being told.
    IsLate,
}

impl Run {
    fn write(self: &Arc<Run>, args: &Args, image_path: &Path, device: &Path) -> Result<Ending> {
        let (voice, progress) = (&self.voice, &self.progress);
        let target = Target::find(device, args.file)?;
        self.medium.get_or_init(|| target.path().to_owned());
        // Before the image is read: the quick answer first.
        target.refuse(0, args.allow.as_deref())?;
        eprintln!("checking `{}`", image_path.display());
        let image = Image::open(image_path, target.size_bytes()).map_err(image_failure)?;
        target.refuse(image.raw_bytes, args.allow.as_deref())?;
        let verdict = judge(image_path, args.allow_unbootable)?;
        let journal = Journal::new(&journal_folder(args)?, &image.raw_sha256, &target.identity());
        let resume_chunks = if args.restart { 0 } else { journal.verified_chunks() };
        voice.event(&plan(image_path, &image, &verdict, &target, resume_chunks));
        describe(voice, image_path, &image, &verdict, &target, resume_chunks);
        if !args.yes && !confirmed(&target)? {
            voice.line("nothing was written");
            return Ok(Ending::Declined);
        }
        let disk = target.open()?;
        if disk.route() == Route::Cached {
            eprintln!(
                "note: `{}` takes no direct I/O; it is flushed before each read back instead",
                target.path()
            );
        }
        let job = Job {
            raw_bytes: image.raw_bytes,
            raw_sha256: image.raw_sha256.clone(),
            resume_chunks,
            discard: if args.no_discard { Discard::Nothing } else { Discard::All },
        };
        let began = Instant::now();
        self.signals(Signal::StopsWriting);
        let result = {
            let _screen = show::Screen::start(self);
            let mut stream = image.stream().map_err(|e| Failure::new(e.to_string()))?;
            write::run(&disk, &mut stream, &job, progress, &mut |chunks| {
                // A journal that cannot be written costs a later run its start and this one nothing.
                let _ = journal.save(chunks);
            })
        };
        self.signals(Signal::IsLate);
        match result {
            Ok(summary) => {
                journal.remove()?;
                voice.event(&verified(&image, &summary));
                finish(voice, &disk, &image, &target, &summary, began.elapsed().as_secs_f64());
                Ok(Ending::Done)
            }
            Err(Error::Interrupted) => {
                for line in progress.state(target.path()) {
                    eprintln!("{line}");
                }
                eprintln!("hint: the same command carries on from there; `--restart` begins anew");
                Ok(Ending::Interrupted)
            }
            Err(e) => Err(failure(&e, progress, &target, image.map.as_ref())),
        }
    }

    /// What the next one does; one that is ending the process keeps this from returning.
    fn signals(&self, next: Signal) {
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn end(&self, ending: Ending, code: i32, failure: Option<&Failure>) {
        self.voice.end(ending, code, &self.progress, self.medium.get().map(String::as_str), failure);
    }
}

fn listen(run: &Arc<Run>) -> interrupt::Guard {
    let run = Arc::clone(run);
    interrupt::calls(move || {
        // Where it ends the process, held to then: neither writing nor another last line can begin any more.
        let mut signal = run.signal.lock().unwrap_or_else(PoisonError::into_inner);
        let words = match *signal {
            Signal::IsLate => return,
            Signal::StopsWriting => {
                *signal = Signal::Ends;
                run.progress.stop();
                eprintln!("\ninterrupted: ending after what is being written now; once more ends at once");
                return;
            }
            Signal::Ends if run.progress.stopped() => "ended at once",
            Signal::Ends => "interrupted",
        };
        eprintln!("\nerror: {words}");
        for line in run.medium.get().iter().flat_map(|m| run.progress.state(m)) {
            eprintln!("  {line}");
        }
        run.end(Ending::Interrupted, interrupt::INTERRUPTED, None);
        interrupt::tidy();
        std::process::exit(interrupt::INTERRUPTED);
    })
}

fn plan(path: &Path, image: &Image, verdict: &str, target: &Target, resume_chunks: u64) -> Event {
    let image = ImagePlan {
        path: path.display().to_string(),
        raw_bytes: image.raw_bytes,
        raw_sha256: image.raw_sha256.clone(),
        board: image.map.as_ref().map(|m| m.board.clone()),
        kernel_release: image.map.as_ref().map(|m| m.kernel_release.clone()),
        summary: verdict.to_owned(),
    };
    Event::plan(image, target.plan(), resume_chunks * flasher::CHUNK_BYTES as u64)
}

fn verified(image: &Image, summary: &Summary) -> Event {
    Event::Verified {
        verified_bytes: image.raw_bytes,
        raw_sha256: image.raw_sha256.clone(),
        written_bytes: summary.written_bytes,
        kept_bytes: summary.kept_bytes,
        discarded_bytes: summary.discarded_bytes,
        rewritten_chunks: summary.rewritten_chunks,
    }
}

/// What `inspect` says of the image, in one line.
fn judge(path: &Path, allowed: bool) -> Result<String> {
    let opened = inspect::open(path)?;
    let mut inspector = Inspector::new(inspect::expect("nanopi-m6")?, Options::default());
    let subject = path.display().to_string();
    let report = inspector.inspect(&opened.source, &subject, opened.container, opened.damage.as_deref());
    let fatal: Vec<_> = report.findings.iter().filter(|f| f.kind.class() == Class::WillNotBoot).collect();
    if fatal.is_empty() {
        return Ok(report.summary);
    }
    if allowed {
        eprintln!("warning: {} findings say that this image will not boot", fatal.len());
        return Ok(report.summary);
    }
    let failure = Failure::new(format!("`{}` is not written: it would not boot", path.display()));
    let why = |failure: Failure, f: &&_| failure.why(finding_line(f));
    let failure = fatal.iter().take(5).fold(failure, why).why("nothing was written to the medium");
    Err(failure
        .hint(format!("`cargo xtask inspect {}` says more", path.display()))
        .hint("`--allow-unbootable` writes it all the same"))
}

fn finding_line(finding: &image_inspect::finding::Finding) -> String {
    format!("{}: {} ({})", finding.kind.name(), finding.kind.reason(), finding.detail)
}

fn describe(voice: &Voice, path: &Path, image: &Image, verdict: &str, target: &Target, resume_chunks: u64) {
    voice.line(format!("image     {} ({} on the medium)", path.display(), size(image.raw_bytes)));
    match &image.map {
        Some(map) => {
            let userland = match map.userland {
                Userland::Talos => "talos",
                Userland::Bringup => "bringup (self-test)",
                Userland::TalosSource => "talos-source (for the rehearsal, not an official build of Talos)",
            };
            voice.line(format!(
                "          userland {userland}, kernel {}, for {}",
                map.kernel_release, map.board
            ));
        }
        None => voice.line("          no `.map.json` beside it: what it is for is not known"),
    }
    voice.line(format!("          {verdict}"));
    for check in &image.checks {
        voice.line(format!("          {check}"));
    }
    target.describe(voice);
    if resume_chunks > 0 {
        voice.line(format!(
            "resume    an earlier run got to {resume_chunks} MiB; they are compared, not written"
        ));
    }
    let talos = image.map.as_ref().is_some_and(|m| m.userland == Userland::Talos);
    if talos && target.size_bytes() < image.raw_bytes + TALOS_NEEDS_BYTES {
        eprintln!(
            "warning: Talos wants {} behind the image; this medium is too small",
            size(TALOS_NEEDS_BYTES)
        );
    }
}

fn confirmed(target: &Target) -> Result<bool> {
    talk::typed(&format!("\nAll of the above on `{}` will be lost.", target.path()), target.name())
}

fn finish(voice: &Voice, disk: &Disk, image: &Image, target: &Target, summary: &Summary, seconds: f64) {
    let rate = (image.raw_bytes as f64 / seconds / 1e6).round();
    voice.line(format!(
        "done      {} in {seconds:.1} s ({rate} MB/s): {} written, {} were there already, {} given back",
        size(image.raw_bytes),
        size(summary.written_bytes),
        size(summary.kept_bytes),
        size(summary.discarded_bytes)
    ));
    voice.line("read back all of it is right");
    if summary.rewritten_chunks > 0 {
        eprintln!(
            "warning: {} MiB read back wrong and had to be written twice: do not trust this medium",
            summary.rewritten_chunks
        );
    }
    if let Err(e) = disk.reread_table() {
        eprintln!("note: the kernel did not read the new partition table ({e}); pull the medium out and in");
    }
    let loader = image.map.as_ref().is_none_or(|map| map.region("u-boot").is_some());
    target.next_steps(loader);
}

fn failure(error: &Error, progress: &Progress, target: &Target, map: Option<&ImageMap>) -> Failure {
    let mut failure = Failure::new(format!("writing `{}` failed", target.path())).why(error);
    let region = error.offset_bytes().and_then(|at| {
        let inside =
            |r: &&fw_image::map::Region| (r.offset_bytes..r.offset_bytes + r.length_bytes).contains(&at);
        map?.regions.iter().find(inside)
    });
    if let Some(region) = region {
        failure = failure.why(format!("that is in `{}` of the image", region.name));
    }
    for line in progress.state(target.path()) {
        failure = failure.why(line);
    }
    match error {
        Error::Gone { .. } => failure.hint("put it back in; the same command carries on"),
        Error::Differs { .. } | Error::Counterfeit { .. } => failure.hint("use another card"),
        Error::Write { .. } | Error::ReadBack { .. } => {
            failure.hint("another reader or port first, then another card; `dmesg` has the kernel's words")
        }
        Error::Changed(_) | Error::Stream(_) => {
            failure.hint("the image file must not change while it is written")
        }
        Error::TooSmall { .. } => failure.hint("use a larger card"),
        Error::Interrupted => failure,
    }
}

fn image_failure(error: ImageError) -> Failure {
    let hint = match &error {
        ImageError::Read(_) => "`cargo xtask image` writes images to `out/`",
        ImageError::Damaged { .. } | ImageError::Empty(_) => "download or build it again",
        ImageError::Sums { .. } | ImageError::Map { .. } => {
            "image, `.map.json` and `SHA256SUMS` must come from one build; `cargo xtask image` writes all three"
        }
        ImageError::TooLarge { .. } => "use a larger medium",
        ImageError::Packed { .. } => "unpack it first, or take the image in `.xz` or `.zst`",
    };
    Failure::new("the image is not written").why(error).why("nothing was written to the medium").hint(hint)
}

fn journal_folder(args: &Args) -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    args.journal
        .clone()
        .or_else(|| var("XDG_STATE_HOME").map(|d| d.join("talos-nanopi-m6/flash")))
        .or_else(|| var("HOME").map(|d| d.join(".local/state/talos-nanopi-m6/flash")))
        .ok_or_else(|| {
            Failure::new("no folder to remember interrupted runs in").hint("give one with `--journal`")
        })
}
