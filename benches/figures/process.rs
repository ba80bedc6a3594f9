//! What the kernel tells of a process: its CPU time to the nanosecond, and its resident memory.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

/// The ticks of `/proc/PID/stat` in a second, as Linux shows them to everybody.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of each thread of a process so far, in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Cpu(BTreeMap<u32, u64>);

impl Cpu {
    /// Reads `/proc/PID/task/*/schedstat`: unlike `utime` and `stime` it does not count in ticks.
    pub(crate) fn of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let times = tasks.filter_map(|task| {
            let path = task.ok()?.path();
            // A thread may have ended since it was listed.
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            Some((path.file_name()?.to_str()?.parse().ok()?, text.split(' ').next()?.parse().ok()?))
        });
        let times: BTreeMap<_, _> = times.collect();
        assert!(!times.is_empty(), "the kernel tells no CPU time of process {pid}: it must be built with schedstats");
        Self(times)
    }

    /// Seconds of CPU since an earlier reading.
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        let new = |(thread, now): (&u32, &u64)| now - earlier.0.get(thread).unwrap_or(&0);
        self.0.iter().map(new).sum::<u64>() as f64 / 1e9
    }
}

/// Waits until a process has nothing left to do, one second at the most.
pub(crate) fn settle(pid: u32) {
    const STEP: Duration = Duration::from_millis(10);
    const QUIET_SECONDS: f64 = 0.000_1;
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut before = Cpu::of(pid);
    while Instant::now() < deadline {
        std::thread::sleep(STEP);
        let now = Cpu::of(pid);
        if now.seconds_since(&before) < QUIET_SECONDS {
            return;
        }
        before = now;
    }
}

/// Bytes that a process has in memory.
pub(crate) fn resident_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1_024.0
}

/// Seconds of CPU of all children that have ended and were waited for.
pub(crate) fn ended_children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The fields begin behind the name in brackets, with the third: proc(5).
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |number: usize| fields[number - 3].parse::<f64>().unwrap();
    (ticks(16) + ticks(17)) / TICKS_PER_SECOND
}
