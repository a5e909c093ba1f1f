//! Was the load generator the bottleneck? A pure verdict over the seconds of a run.
//!
//! Late because the worker was late is the generator's fault, and nothing that such a run measured can be trusted.
//! Late because all slots waited for answers is the system's fault: that is counted where the requests are counted.
//!
//! On a machine that also runs the system under test, a thread that wants little still waits a few milliseconds for
//! its turn now and then. So a little lateness alone only strains the figures; with a want of CPU, or when it is more
//! than a little, it spoils them. A busy moment spoils nothing: all is judged over the whole run.

use std::fmt;
use std::time::Duration;

use super::histogram::Latencies;
use super::second::{Second, millis};

#[derive(Clone, Debug, PartialEq)]
pub enum GeneratorHealth {
    Ok,
    /// Worth a warning: latencies are up to this much too high.
    Strained {
        why: String,
    },
    /// The run is inconclusive. All reasons, each a sentence fragment with its figures.
    Bottleneck {
        why: Vec<String>,
    },
}

impl fmt::Display for GeneratorHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeneratorHealth::Ok => f.write_str("the load generator kept up"),
            GeneratorHealth::Strained { why } => write!(f, "the load generator was strained: {why}"),
            GeneratorHealth::Bottleneck { why } => {
                write!(f, "the load generator was the bottleneck: {}", why.join("; "))
            }
        }
    }
}

/// From where on a generator counts as the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The 99th percentile of the send lag: above it the generator is strained, or, short of CPU as well, the
    /// bottleneck.
    pub send_lag: Duration,
    /// Above this the send lag alone makes it the bottleneck.
    pub worst_send_lag: Duration,
    /// Short of CPU: the share of its time in which the worker's thread ran or waited to run.
    pub short_of_cpu: f64,
    /// With this share its CPU is saturated, which alone makes it the bottleneck.
    pub saturated: f64,
    /// The share of arrivals that must begin within a second of their time.
    pub rate: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send_lag: Duration::from_millis(5),
            worst_send_lag: Duration::from_millis(50),
            short_of_cpu: 0.5,
            saturated: 0.9,
            rate: 0.99,
        }
    }
}

pub fn judge(seconds: &[Second], limits: &Limits) -> GeneratorHealth {
    let mut lag = Latencies::default();
    seconds.iter().for_each(|second| lag.merge(&second.send_lag));
    let p99 = lag.quantile(0.99).unwrap_or_default();
    let cpu = mean_cpu(seconds);
    let late = || {
        let limit = millis(limits.send_lag);
        format!("requests were sent late (p99 {:.1} ms, more than {limit:.1} ms)", millis(p99))
    };
    let busy = || format!("its CPU was short ({:.0} % of the time it ran or waited to run)", cpu * 100.0);
    let mut why = Vec::new();
    let is_late = p99 > limits.send_lag;
    let is_short = cpu >= limits.short_of_cpu;
    if p99 > limits.worst_send_lag || is_late && is_short {
        why.push(late());
    }
    if cpu >= limits.saturated || is_late && is_short {
        why.push(busy());
    }
    let kept = rate_kept(&lag);
    if kept < limits.rate {
        why.push(format!(
            "the rate was not kept ({:.1} % of the arrivals began within a second of their time, at least {:.1} %)",
            kept * 100.0,
            limits.rate * 100.0
        ));
    }
    if !why.is_empty() {
        GeneratorHealth::Bottleneck { why }
    } else if is_late {
        GeneratorHealth::Strained { why: late() }
    } else {
        GeneratorHealth::Ok
    }
}

/// The share of arrivals that began within a second of their time; 1 where there were none.
pub fn rate_kept(lag: &Latencies) -> f64 {
    if lag.is_empty() {
        return 1.0;
    }
    lag.count_at_most(Duration::from_secs(1)) as f64 / lag.len() as f64
}

/// The share of its time in which the worker ran or waited to run, over the seconds for which it is known.
pub fn mean_cpu(seconds: &[Second]) -> f64 {
    let known: Vec<f64> =
        seconds.iter().filter_map(|second| second.cpu).map(|cpu| cpu.ran + cpu.waited).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::second::Cpu;

    const MILLI: Duration = Duration::from_millis(1);

    /// Seconds with 200 arrivals each, of which `late` came `lag` late.
    fn seconds(late: u64, lag: Duration, cpu: f64) -> Vec<Second> {
        let mut second = Second { begun: 200, cpu: Some(Cpu { ran: cpu, waited: 0.0 }), ..Second::default() };
        for number in 0..200 {
            second.send_lag.record(if number < late { lag } else { MILLI });
        }
        vec![second; 10]
    }

    fn said(seconds: &[Second]) -> String {
        judge(seconds, &Limits::default()).to_string()
    }

    #[test]
    fn each_state_is_told_with_its_figures() {
        let table = [
            (vec![], "the load generator kept up"),
            (seconds(0, MILLI, 0.3), "the load generator kept up"),
            (
                seconds(4, 8 * MILLI, 0.3),
                "the load generator was strained: requests were sent late (p99 8.0 ms, more than 5.0 ms)",
            ),
            (
                seconds(4, 8 * MILLI, 0.6),
                "the load generator was the bottleneck: requests were sent late (p99 8.0 ms, more than 5.0 ms); \
                 its CPU was short (60 % of the time it ran or waited to run)",
            ),
            (
                seconds(4, 80 * MILLI, 0.3),
                "the load generator was the bottleneck: requests were sent late (p99 80.1 ms, more than 5.0 ms)",
            ),
            (seconds(0, MILLI, 0.6), "the load generator kept up"),
            (
                seconds(0, MILLI, 0.95),
                "the load generator was the bottleneck: \
                 its CPU was short (95 % of the time it ran or waited to run)",
            ),
            (
                seconds(10, 2000 * MILLI, 0.3),
                "the load generator was the bottleneck: requests were sent late (p99 2000.9 ms, more than 5.0 ms); \
                 the rate was not kept (95.0 % of the arrivals began within a second of their time, at least 99.0 %)",
            ),
        ];
        for (seconds, expected) in table {
            assert_eq!(said(&seconds), expected);
        }
    }

    #[test]
    fn one_busy_moment_does_not_spoil_a_run() {
        let mut run = seconds(0, MILLI, 0.2);
        run[4] = seconds(15, 40 * MILLI, 1.0).remove(0);
        assert_eq!(judge(&run, &Limits::default()), GeneratorHealth::Ok);
    }

    #[test]
    fn slots_that_wait_for_answers_are_not_its_fault() {
        let mut run = seconds(0, MILLI, 0.3);
        for second in &mut run {
            (0..200).for_each(|_| second.slot_wait.record(3000 * MILLI));
            second.no_slot = 150;
        }
        assert_eq!(judge(&run, &Limits::default()), GeneratorHealth::Ok);
    }

    #[test]
    fn seconds_without_figures_do_not_count_as_idle() {
        let mut run = seconds(0, MILLI, 0.95);
        run.push(Second::default());
        assert!(mean_cpu(&run) > 0.94);
    }
}
