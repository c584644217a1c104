//! Memory, files and processor time of this process, under the names that Prometheus' own clients give them. Linux only: elsewhere
//! there is nothing to tell.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks of a second in `/proc`, which are the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where user time stands among the fields behind the name of the process; system time follows.
const USER_TIME_FIELD: usize = 11;

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |key: &str| field(&status, key).map(|value| value.saturating_mul(1024));
        let figures = [
            ("process_resident_memory_bytes", "Memory in use", kibibytes("VmRSS:")),
            (
                "process_resident_memory_max_bytes",
                "Most memory that was in use",
                kibibytes("VmHWM:"),
            ),
            (
                "process_virtual_memory_bytes",
                "Address space in use",
                kibibytes("VmSize:"),
            ),
            ("process_threads", "Threads", field(&status, "Threads:")),
            ("process_open_fds", "Open files and sockets", open_files()),
            ("process_max_fds", "Files and sockets that may be open", max_files()),
        ];
        for (name, help, value) in figures {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        if let Some(seconds) = processor_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "Processor time, of users and of the system";
            counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// The number behind a key of `/proc/self/status`.
fn field(status: &str, key: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    // The one by which they are counted is among them.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    i64::try_from(count).ok()
}

fn max_files() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(USER_TIME_FIELD);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the figures are those of this process. Method: what must be so of any that runs.
    #[test]
    fn a_process_has_memory_and_files() {
        let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
        assert!(field(&status, "VmRSS:").expect("memory") > 100);
        assert!(open_files().expect("files") >= 3);
        assert!(max_files().expect("a limit") >= open_files().expect("files"));
        assert!(processor_seconds().expect("time") >= 0.0);
    }
}
