//! What the process itself uses, under the names that every Prometheus client gives it: start, processor time, memory.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Linux tells processor time in hundredths of a second, on whatever it runs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` whenever the metrics are asked for.
pub struct Process {
    cpu: Counter,
    memory: Gauge,
    start: Gauge,
}

impl Process {
    pub fn new() -> Result<Self, prometheus::Error> {
        let start = Gauge::new(
            "process_start_time_seconds",
            "When the process started, in seconds since the epoch.",
        )?;
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Processor time of the process, user and system.",
            )?,
            memory: Gauge::new("process_resident_memory_bytes", "Memory of the process that is resident.")?,
            start,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.cpu.desc(), self.memory.desc(), self.start.desc()].concat()
    }

    /// What cannot be read is left as it was.
    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat))
        {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status))
        {
            self.memory.set(bytes);
        }
        [self.cpu.collect(), self.memory.collect(), self.start.collect()].concat()
    }
}

/// `utime` and `stime`: the 14th and 15th fields, counted from behind the name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some((ticks.next()?? + ticks.next()??) / TICKS_PER_SECOND)
}

fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_whatever_the_process_is_called() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 99 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
        assert_eq!(resident("Name:\tshop\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(resident("Name:\tshop\n"), None);
    }

    #[test]
    fn a_process_tells_of_itself() {
        let families = Process::new().unwrap().collect();
        let memory = families.iter().find(|family| family.name() == "process_resident_memory_bytes").unwrap();
        assert!(memory.get_metric()[0].get_gauge().get_value() > 1e5);
    }
}
