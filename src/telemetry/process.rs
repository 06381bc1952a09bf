//! What the system says of this process, for the metrics. Linux only; elsewhere there is nothing to tell.

use std::fmt::Write as _;
use std::fs;

/// Appends the customary `process_…` metrics.
pub(super) fn render(out: &mut String) {
    let Some(usage) = Usage::read() else { return };
    let _ = write!(
        out,
        "# HELP process_cpu_seconds Processor time used, user and system.\n\
         # TYPE process_cpu_seconds counter\n\
         process_cpu_seconds_total {:.2}\n\
         # HELP process_resident_memory_bytes Memory in use.\n\
         # TYPE process_resident_memory_bytes gauge\n\
         process_resident_memory_bytes {}\n\
         # HELP process_threads Threads.\n\
         # TYPE process_threads gauge\n\
         process_threads {}\n\
         # HELP process_open_fds Open files and sockets.\n\
         # TYPE process_open_fds gauge\n\
         process_open_fds {}\n",
        usage.cpu_seconds, usage.resident, usage.threads, usage.files
    );
}

struct Usage {
    cpu_seconds: f64,
    resident: u64,
    threads: u64,
    files: usize,
}

impl Usage {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses, which may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // Clock ticks are hundredths of a second in everything that Linux tells programs.
        Some(Self {
            cpu_seconds: (f64::from(number(11)?) + f64::from(number(12)?)) / 100.0,
            resident: line("VmRSS:")? * 1_024,
            threads: line("Threads:")?,
            files: fs::read_dir("/proc/self/fd").ok()?.count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_threads() {
        let usage = Usage::read().unwrap();
        assert!(
            usage.resident > 1 << 20 && usage.threads >= 1 && usage.files >= 3 && usage.cpu_seconds >= 0.0
        );
    }
}
