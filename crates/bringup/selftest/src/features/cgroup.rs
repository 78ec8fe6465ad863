// SPDX-License-Identifier: Apache-2.0 OR MIT
//! cgroup v2: the controllers that kubelet enables, and that their limits hold.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic = Topic {
    name: "cgroup",
    checks: &[
        "cgroup.mount",
        "cgroup.controllers",
        "cgroup.pids",
        "cgroup.memory",
        "cgroup.cpu",
        "cgroup.cpuset",
        "cgroup.io",
        "cgroup.hugetlb",
        "cgroup.freeze",
        "cgroup.psi",
    ],
    network: Network::Own,
    run,
};

/// What kubelet and containerd enable in every container's group; `misc` and others come on top.
const CONTROLLERS: [&str; 6] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

/// Memory limit of the group whose member asks for more.
const MEMORY_MAX_BYTES: usize = 16 << 20;

fn run(place: &Place, lines: &mut Lines<'_>) {
    let root = match hierarchy(place) {
        Ok(root) => root,
        Err(trouble) => {
            lines.add("cgroup.mount", Err(trouble));
            for check in &TOPIC.checks[1..] {
                lines.add(check, Err(Trouble::Fail("no hierarchy".into())));
            }
            return;
        }
    };
    // As Talos mounts it (talos-contracts 6.3).
    lines.add("cgroup.mount", Ok("nsdelegate, memory_recursiveprot".into()));
    lines.add("cgroup.controllers", controllers(&root));
    let group = |name: &str| -> Result<std::path::PathBuf, Trouble> {
        let dir = root.join(format!("selftest-{name}"));
        fs::create_dir_all(&dir)?;
        Ok(dir)
    };
    lines.add("cgroup.pids", group("pids").and_then(|g| pids(&g)));
    lines.add("cgroup.memory", group("memory").and_then(|g| memory(&g)));
    lines.add("cgroup.cpu", group("cpu").and_then(|g| cpu(&g)));
    lines.add("cgroup.cpuset", group("cpuset").and_then(|g| cpuset(&g)));
    lines.add("cgroup.io", group("io").and_then(|g| io(&g)));
    lines.add("cgroup.hugetlb", group("hugetlb").and_then(|g| hugetlb(&g)));
    lines.add("cgroup.freeze", group("freeze").and_then(|g| freeze(&g)));
    lines.add("cgroup.psi", group("psi").and_then(|g| psi(&g)));
    // They are the machine's, not this process's: its children are gone, so they can go.
    for name in ["pids", "memory", "cpu", "cpuset", "io", "hugetlb", "freeze", "psi"] {
        let _ = fs::remove_dir(root.join(format!("selftest-{name}")));
    }
}

fn hierarchy(place: &Place) -> Result<std::path::PathBuf, Trouble> {
    let root = place.folder("cgroup")?;
    mount("cgroup2", &root, "cgroup2", MountFlags::empty(), Some(c"nsdelegate,memory_recursiveprot"))
        .map_err(|e| Trouble::during("mounting it")(e.into()))?;
    Ok(root)
}

fn controllers(root: &Path) -> Outcome {
    let there = fs::read_to_string(root.join("cgroup.controllers"))?;
    let missing: Vec<_> =
        CONTROLLERS.into_iter().filter(|c| !there.split_whitespace().any(|t| t == *c)).collect();
    ensure(missing.is_empty(), format!("missing: {}", missing.join(" ")))?;
    for controller in there.split_whitespace() {
        fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"))
            .map_err(Trouble::during(format!("enabling `{controller}`")))?;
    }
    Ok(there.trim().to_owned())
}

/// Makes this process, a child, a member.
fn join(group: &Path) -> bool {
    fs::write(group.join("cgroup.procs"), "0").is_ok()
}

fn limit(group: &Path, file: &str, value: &str) -> Result<(), Trouble> {
    fs::write(group.join(file), value).map_err(Trouble::during(format!("writing `{value}` to `{file}`")))
}

fn pids(group: &Path) -> Outcome {
    limit(group, "pids.max", "1")?;
    let status = raw::in_child(|| {
        if !join(group) {
            return 2;
        }
        // The limit counts this process: one more is one too many.
        match raw::in_child(|| 0) {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => 0,
            _ => 1,
        }
    })?;
    ensure(status == 0, format!("the second process was not refused ({status})"))?;
    Ok("pids.max holds".into())
}

fn memory(group: &Path) -> Outcome {
    limit(group, "memory.max", &MEMORY_MAX_BYTES.to_string())?;
    limit(group, "memory.swap.max", "0")
        .or_else(|e| if group.join("memory.swap.max").exists() { Err(e) } else { Ok(()) })?;
    let status = raw::in_child(|| {
        if !join(group) {
            return 2;
        }
        let mut all = vec![1_u8; MEMORY_MAX_BYTES * 2];
        for page in all.chunks_mut(4096) {
            page[0] = 7;
        }
        black_box(&all);
        0
    })?;
    ensure(status == 256 + libc::SIGKILL, format!("twice the limit was not refused (status {status})"))?;
    let events = fs::read_to_string(group.join("memory.events"))?;
    ensure(events.lines().any(|l| l == "oom_kill 1"), format!("`memory.events` says {events}"))?;
    Ok("memory.max holds, the member was killed".into())
}

fn cpu(group: &Path) -> Outcome {
    // A tenth of one processor.
    limit(group, "cpu.max", "10000 100000")?;
    limit(group, "cpu.weight", "50")?;
    let status = raw::in_child(|| {
        if !join(group) {
            return 2;
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(300) {
            black_box(0);
        }
        0
    })?;
    ensure(status == 0, format!("the member ended with {status}"))?;
    let stat = fs::read_to_string(group.join("cpu.stat"))?;
    let throttled = stat.lines().find_map(|l| l.strip_prefix("nr_throttled ")?.parse::<u64>().ok());
    ensure(throttled.is_some_and(|n| n > 0), format!("`cpu.stat` says {stat}"))?;
    Ok(format!("cpu.max holds, throttled {} times", throttled.unwrap_or(0)))
}

fn cpuset(group: &Path) -> Outcome {
    limit(group, "cpuset.cpus", "0")?;
    let status = raw::in_child(|| {
        if !join(group) {
            return 2;
        }
        let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = text.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        u8::from(allowed.map(str::trim) != Some("0"))
    })?;
    ensure(status == 0, format!("the member is not on processor 0 alone ({status})"))?;
    Ok("cpuset.cpus holds".into())
}

fn io(group: &Path) -> Outcome {
    // The first block device that is a disk; loop devices have no queue of their own to limit.
    let disks =
        fs::read_dir("/sys/class/block")?.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut disks: Vec<String> =
        disks.filter(|d| ["vd", "mmcblk", "nvme"].iter().any(|p| d.starts_with(p))).collect();
    disks.retain(|d| !Path::new("/sys/class/block").join(d).join("partition").exists());
    disks.sort();
    let Some(disk) = disks.first() else { return Err(Trouble::Skip("no disk to limit".into())) };
    let device = fs::read_to_string(format!("/sys/class/block/{disk}/dev"))?;
    let line = format!("{} rbps=1048576", device.trim());
    limit(group, "io.max", &line)?;
    let back = fs::read_to_string(group.join("io.max"))?;
    ensure(back.starts_with(&line), format!("`io.max` says {back}"))?;
    Ok(format!("io.max takes a limit for {disk}"))
}

fn hugetlb(group: &Path) -> Outcome {
    limit(group, "hugetlb.2MB.max", "0")?;
    Ok("hugetlb.2MB.max".into())
}

fn freeze(group: &Path) -> Outcome {
    let child = raw::fork(|| {
        if !join(group) {
            return 2;
        }
        thread::sleep(Duration::from_secs(60));
        0
    })?;
    let events = |wanted: &str| {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
            if text.lines().any(|l| l == wanted) {
                return true;
            }
            if start.elapsed() > Duration::from_secs(3) {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
    };
    let joined = events("populated 1");
    limit(group, "cgroup.freeze", "1")?;
    let frozen = events("frozen 1");
    limit(group, "cgroup.freeze", "0")?;
    // All members at once, as container runtimes end a pod (since Linux 5.14).
    limit(group, "cgroup.kill", "1")?;
    let status = raw::wait(child)?;
    ensure(joined && frozen, format!("joined {joined}, frozen {frozen}"))?;
    ensure(status == 256 + libc::SIGKILL, format!("`cgroup.kill` did not end the member ({status})"))?;
    Ok("frozen, thawed, killed".into())
}

fn psi(group: &Path) -> Outcome {
    for resource in ["cpu", "memory", "io"] {
        let text = fs::read_to_string(group.join(format!("{resource}.pressure")))?;
        ensure(text.starts_with("some avg10="), format!("`{resource}.pressure` says {text}"))?;
    }
    Ok("cpu, memory, io".into())
}
