//! What a broker process costs: CPU time in nanoseconds and resident memory, read from /proc. Not
//! from the 10 ms ticks of /proc/PID/stat.

use std::fs;

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

impl Process {
    /// The process `pid`, if it is there to be read.
    pub(super) fn open(pid: u32) -> Result<Self, String> {
        let process = Self(pid);
        process.cpu_nanos()?;
        Ok(process)
    }

    /// CPU time of all its threads so far.
    pub(super) fn cpu_nanos(self) -> Result<u64, String> {
        let dir = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&dir).map_err(|error| format!("cannot read {dir}: {error}"))?;
        let mut nanos = 0;
        for thread in threads.flatten() {
            // A thread may end between the two reads.
            if let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) {
                nanos +=
                    text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(nanos)
    }

    /// Resident memory, bytes.
    pub(super) fn resident_bytes(self) -> Result<u64, String> {
        let exact = format!("/proc/{}/smaps_rollup", self.0);
        let fallback = format!("/proc/{}/status", self.0);
        for (path, label) in [(&exact, "Rss:"), (&fallback, "VmRSS:")] {
            let Ok(text) = fs::read_to_string(path) else { continue };
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            if let Some(kib) =
                line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
            {
                return Ok(1024 * kib);
            }
        }
        Err(format!("cannot read the memory of process {}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_time_and_memory() {
        let process = Process::open(std::process::id()).expect("it is there");
        let before = process.cpu_nanos().expect("readable");
        let mut sum = 0_u64;
        while process.cpu_nanos().expect("readable") == before {
            sum = sum.wrapping_add(1);
        }
        assert!(process.resident_bytes().expect("readable") > 1 << 16);
        assert!(Process::open(u32::MAX).is_err());
    }
}
