//! What the machine says: CPU time and memory of a process, and the cost of making a write durable.

use std::io::Write;
use std::time::Instant;

use anyhow::Context;

/// CPU seconds a process has used, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit_once(')').context("unreadable /proc stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |n: usize| {
        fields
            .get(n)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // Fields 14 and 15 of proc(5), counted from the one after the name; the kernel's tick is 100 a second.
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .context("no VmRSS")?;
    Ok(kib / 1024.0)
}

/// Median time of a 4 KiB append and fdatasync, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) fn fdatasync_ms() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(".")?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[7u8; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut took))
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
