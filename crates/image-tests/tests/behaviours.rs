// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Each special behaviour of the SoC's model, taken away from a board that boots the built loader.
//!
//! Every one of them must have the effect that its documentation names, and the whole board must not show it:
//! a behaviour that nothing misses would be superstition. The disk is the image of `cargo xtask image`.

use image_tests::artifacts::Artifacts;
use rk3588_model::behaviour::{Behaviour, Behaviours};
use rk3588_model::machine::marks::Stage;
use rk3588_model::machine::{Board, CONSOLE, Death, Machine, Pause};
use rk3588_model::storage::Disk;

/// Instructions after which a stage of a board without faults lies behind (measured: 0.7 M, 54.6 M, 82 M, 131 M
/// and 187 M, with some room for another version of the loader).
const FIRST_LINE: u64 = 20_000_000;
const SECURE_FIRMWARE: u64 = 62_000_000;
const PROMPT: u64 = 145_000_000;
const MENU: u64 = 240_000_000;
/// U-Boot's last resort, where nothing else boots.
const NETWORK: u64 = 900_000_000;

/// What is missed when a behaviour is away.
struct Case {
    behaviour: Behaviour,
    /// Instructions after which it shows.
    after: u64,
    /// True when it shows.
    effect: fn(&Machine) -> bool,
}

const fn case(behaviour: Behaviour, after: u64, effect: fn(&Machine) -> bool) -> Case {
    Case { behaviour, after, effect }
}

/// In the order of the boot. `GicArchitecture` is missed by the kernel only, and `UsbReset` where no other medium has
/// anything to boot: see the last tests.
const CASES: [Case; 18] = [
    case(Behaviour::UartReady, FIRST_LINE, |m| m.printed_bytes()[CONSOLE] == 0),
    case(Behaviour::PllLock, FIRST_LINE, |m| !says(m, "Trying to boot from")),
    case(Behaviour::DwMmcReset, SECURE_FIRMWARE, |m| says(m, "Card did not respond to voltage select")),
    case(Behaviour::DsuWarmReset, SECURE_FIRMWARE, |m| m.stage() == Stage::Bl31),
    case(Behaviour::GicLastFrame, SECURE_FIRMWARE, |m| {
        m.stage() == Stage::WarmReset && m.cpu.last_exception().is_some_and(|e| e.to_el == 3)
    }),
    case(Behaviour::GicWaker, SECURE_FIRMWARE, |m| {
        m.stage() == Stage::WarmReset && m.cpu.last_exception().is_none()
    }),
    case(Behaviour::GicLineCount, SECURE_FIRMWARE, |m| m.soc.devices.gic.state.group[5] == 0),
    case(Behaviour::ClusterStatus, SECURE_FIRMWARE, |m| says(m, "nonboot cpus status(0) error!")),
    case(Behaviour::BigCoresWait, SECURE_FIRMWARE, |m| secure_firmware_instructions(m) > 2_500_000),
    case(Behaviour::PowerDomainStatus, SECURE_FIRMWARE, |m| secure_firmware_instructions(m) > 200_000),
    case(Behaviour::WriteMasks, PROMPT, |m| says(m, "gpll=0")),
    case(Behaviour::DramGeometry, PROMPT, |m| !says(m, "DRAM:  8 GiB")),
    case(Behaviour::SpiProgress, PROMPT, |m| !says(m, "PMIC:  RK806")),
    case(Behaviour::I2cProgress, MENU, |m| says(m, "cpu@400 left at 816 MHz")),
    case(Behaviour::SdhciReset, PROMPT, |m| says(m, "Reset 0x1 never completed")),
    case(Behaviour::OtpReady, PROMPT, |m| says(m, "Please RESET the board")),
    case(Behaviour::SdhciClock, MENU, |m| says(m, "Internal clock never stabilised")),
    case(Behaviour::TrngVersion, MENU, |m| says(m, "wrong trng version")),
];

fn says(machine: &Machine, text: &str) -> bool {
    machine.console.text().contains(text)
}

/// Instructions from the warm reset to U-Boot, or to now.
fn secure_firmware_instructions(machine: &Machine) -> u64 {
    let at = |stage| machine.marks().iter().find(|m| m.stage == stage).map(|m| m.instructions);
    let end = at(Stage::UBoot).unwrap_or(machine.cpu.instructions());
    end.saturating_sub(at(Stage::WarmReset).unwrap_or(end))
}

/// The image in the slot of a board.
fn board() -> Board {
    let artifacts = Artifacts::get();
    let disk = artifacts.raw().expect("the image was unpacked");
    let bytes = disk.metadata().expect("a file").len();
    Board { sd: Some(Disk::new(disk, bytes)), ..Board::default() }
}

fn run_without(case: &Case) -> Machine {
    let mut board = board();
    board.behaviours = board.behaviours.without(case.behaviour);
    let mut machine = Machine::power_on(board).expect("the boot ROM needs none of them");
    machine.run(case.after);
    machine
}

#[test]
fn every_behaviour_is_missed() {
    let superstitions: Vec<String> = CASES
        .iter()
        .map(|case| (case, run_without(case)))
        .filter(|(case, machine)| !(case.effect)(machine))
        .map(|(case, machine)| {
            format!(
                "{:?}: {:?}, last line `{}`",
                case.behaviour,
                machine.stage(),
                machine.console.last_line()
            )
        })
        .collect();
    assert!(superstitions.is_empty(), "without effect: {superstitions:#?}");
}

#[test]
fn a_whole_board_shows_none_of_the_effects() {
    let mut machine = Machine::power_on(board()).expect("the image boots");
    for after in [FIRST_LINE, SECURE_FIRMWARE, PROMPT, MENU] {
        assert_eq!(machine.run(after - machine.cpu.instructions()), Pause::Limit);
        for case in CASES.iter().filter(|case| case.after == after) {
            assert!(!(case.effect)(&machine), "{:?} at {after}: {}", case.behaviour, machine.console.text());
        }
    }
    assert!(says(&machine, "GNU GRUB"), "{}", machine.console.last_line());
    let unknown: Vec<String> = machine.soc.reports.all().map(ToString::to_string).collect();
    assert!(unknown.is_empty(), "the loaders use places that the model does not know: {unknown:#?}");
}

#[test]
fn all_behaviours_have_a_case() {
    let missing: Vec<_> = Behaviour::ALL
        .into_iter()
        .filter(|b| !matches!(b, Behaviour::GicArchitecture | Behaviour::UsbReset))
        .filter(|b| !CASES.iter().any(|case| case.behaviour == *b))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The same board twice: the same instructions, the same accesses, the same text.
#[test]
fn runs_are_deterministic() {
    let run = || {
        let mut machine = Machine::power_on(board()).expect("the image boots");
        machine.expect("Hit any key", PROMPT).expect("a prompt");
        let marks: Vec<u64> = machine.marks().iter().map(|mark| mark.instructions).collect();
        (machine.cpu.instructions(), machine.soc.accesses(), marks, machine.console.text())
    };
    assert_eq!(run(), run());
}

/// U-Boot looks at USB when the card has nothing to boot: with hosts that come out of reset it finds nothing there
/// either, and with others it says so; in both cases it goes on to the network.
#[test]
fn usb_hosts_that_stay_in_reset_are_missed_where_nothing_boots() {
    let run = |behaviours| {
        let mut board = Board { behaviours, ..board() };
        let disk = board.sd.as_mut().expect("a card");
        let last = disk.size_bytes() - 512;
        assert!(disk.patch(512, &[0; 512]) && disk.patch(last, &[0; 512]), "both headers of the table");
        let mut machine = Machine::power_on(board).expect("the loader is there");
        let end = machine.expect("BOOTP broadcast", NETWORK);
        (end, machine)
    };
    let (end, whole) = run(Behaviours::default());
    assert_eq!(end, Ok(()), "{}", whole.console.last_line());
    assert!(says(&whole, "USB EHCI 1.00") && says(&whole, "USB XHCI 1.10"), "{}", whole.console.text());
    let (end, stuck) = run(Behaviours::default().without(Behaviour::UsbReset));
    assert_eq!(end, Ok(()), "{}", stuck.console.last_line());
    assert!(says(&stuck, "EHCI fail to reset"), "{}", stuck.console.text());
    assert!(!says(&whole, "EHCI fail to reset"));
}

/// The one behaviour that no loader misses: without it the kernel finds no interrupt controller and stops for
/// ever. It has no console by then, so its log is looked for in memory.
#[test]
fn the_kernel_misses_the_architecture_of_the_interrupt_controller() {
    const LINE: &[u8] = b"GICv3: /interrupt-controller@fe600000: no distributor detected";
    let mut board = board();
    board.behaviours = board.behaviours.without(Behaviour::GicArchitecture);
    let mut machine = Machine::power_on(board).expect("the image boots");
    assert_eq!(machine.run(8_000_000_000), Pause::KernelTakeOver, "{}", machine.console.last_line());
    assert_eq!(machine.run(400_000_000), Pause::Dead(Death::Wait), "at {:#x}", machine.cpu.pc());
    const STEP: usize = 1 << 20;
    let mut window = vec![0; STEP + LINE.len()];
    let found = (0..0xefff_0000_u64).step_by(STEP).any(|at| {
        machine.ram.read_bytes(at, &mut window).is_ok() && memchr::memmem::find(&window, LINE).is_some()
    });
    assert!(found, "the kernel's log says nothing of it");
}
