//! How the worker's thread fared: how long it ran, and how long it could have run while the CPU was elsewhere.

use std::time::Instant;

use crate::load::second::Cpu;

/// Reads shares from one reading to the next. To be asked on the thread that it is about.
pub struct CpuMeter {
    last: Instant,
    ran: u64,
    waited: u64,
}

impl CpuMeter {
    pub fn new() -> Self {
        let (ran, waited) = read().unwrap_or_default();
        Self { last: Instant::now(), ran, waited }
    }

    /// The shares of the time since the last reading, where the kernel keeps such figures.
    pub fn read(&mut self) -> Option<Cpu> {
        let (ran, waited) = read()?;
        let now = Instant::now();
        let nanos = (now - self.last).as_nanos().max(1) as f64;
        let cpu = Cpu {
            ran: ran.saturating_sub(self.ran) as f64 / nanos,
            waited: waited.saturating_sub(self.waited) as f64 / nanos,
        };
        *self = Self { last: now, ran, waited };
        Some(cpu)
    }
}

/// Nanoseconds on the CPU, and nanoseconds in its queue.
fn read() -> Option<(u64, u64)> {
    parse(&std::fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(parse("1050000 20000 17\n"), Some((1_050_000, 20_000)));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_thread_that_computes_is_seen_to_run_or_to_wait() {
        let mut meter = CpuMeter::new();
        let started = Instant::now();
        while started.elapsed().as_millis() < 50 {
            std::hint::spin_loop();
        }
        let cpu = meter.read().expect("Linux keeps these figures");
        assert!(cpu.ran + cpu.waited > 0.5, "{cpu:?}");
    }
}
