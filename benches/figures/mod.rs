//! What the benchmarks measure with: settings of the run, CPU seconds of this process, figures as JSON for
//! `benches/report.py`.

// Each benchmark uses its own part of it.
#![allow(dead_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use serde_json::Value;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A number that the run may set, as `TOLLBOOK_BENCH_EVENTS=100000`. The one place of the benchmarks that reads the
/// environment.
#[allow(clippy::disallowed_methods)]
pub fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(format!("TOLLBOOK_BENCH_{name}")) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TOLLBOOK_BENCH_{name} is no number: {text}")),
        Err(_) => otherwise,
    }
}

/// CPU time of this process with all its threads, also those that have ended; user and kernel.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is the name in parentheses, which may hold anything: count behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // Linux counts in hundredths of a second, on every architecture that it shows to processes.
    Duration::from_millis(ticks * 10)
}

/// The most memory that this process held since [`forget_peak_memory`].
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Begins to count the peak anew.
pub fn forget_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// What some work took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
}

/// Measures some work.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let (cpu_before, begun) = (cpu(), Instant::now());
    let done = work();
    let wall_seconds = begun.elapsed().as_secs_f64();
    (done, Took { cpu_seconds: (cpu() - cpu_before).as_secs_f64(), wall_seconds })
}

/// The same of work that waits.
pub async fn measured_of<T>(work: impl Future<Output = T>) -> (T, Took) {
    let (cpu_before, begun) = (cpu(), Instant::now());
    let done = work.await;
    let wall_seconds = begun.elapsed().as_secs_f64();
    (done, Took { cpu_seconds: (cpu() - cpu_before).as_secs_f64(), wall_seconds })
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where figures are put: `tmp/figures` in the target directory.
pub fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes the figures of one benchmark.
pub fn write(name: &str, figures: &Value) {
    let path = folder().join(format!("{name}.json"));
    std::fs::write(&path, format!("{figures:#}\n")).unwrap();
    println!("{name}: {figures:#}");
}
