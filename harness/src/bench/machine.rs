//! What a figure depends on besides the program: the machine, and who else uses it.
//!
//! A look at rest, before the first and after the last figure, tells how much of the processors somebody else takes.
//! Load averages are given as well, but they count our own work too.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::facts;

/// How long a look at rest takes.
const LOOK: Duration = Duration::from_secs(2);
/// Above this share of the processors, others disturb.
const BUSY: f64 = 0.1;
/// Above this share of the time, the machine's host gives too much to other machines.
const STOLEN: f64 = 0.02;

/// What does not change while one measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine(pub Vec<(String, String)>);

impl Machine {
    pub fn here() -> Self {
        Self(facts::machine())
    }

    pub fn fact(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("unknown", |(_, value)| value)
    }

    /// In what it differs so that times on the one say little about the other.
    pub fn differs(&self, other: &Machine) -> Vec<String> {
        let differs = ["processors", "memory"].into_iter().filter(|name| self.fact(name) != other.fact(name));
        differs.map(|name| format!("{name}: {} here, {} there", self.fact(name), other.fact(name))).collect()
    }
}

/// How busy the machine is while we do nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AtRest {
    /// Of 1, 5 and 15 minutes.
    pub load: Vec<f64>,
    /// The share of all processors that somebody else takes.
    pub others: f64,
    /// The share of the time that the machine's host gives to other machines.
    pub stolen: f64,
}

impl AtRest {
    pub async fn look() -> Self {
        let before = Ticks::read().unwrap_or_default();
        tokio::time::sleep(LOOK).await; // what is looked at is a span of time
        let passed = Ticks::read().unwrap_or_default().since(&before);
        Self { load: load_average(), others: passed.busy(), stolen: passed.stolen() }
    }

    /// What a reader of the figures must know.
    pub fn warning(&self, when: &str) -> Option<String> {
        let mut why = Vec::new();
        if self.others > BUSY {
            why.push(format!("others took {:.0} % of the processors", self.others * 100.0));
        }
        if self.stolen > STOLEN {
            why.push(format!("the machine's host gave {:.0} % of the time to others", self.stolen * 100.0));
        }
        if why.is_empty() {
            None
        } else {
            Some(format!("the machine was not quiet {when}: {}", why.join("; ")))
        }
    }

    /// `load 0.4 0.9 1.6, 2 % of the processors taken by others`
    pub fn words(&self) -> String {
        let load = self.load.iter().map(|load| format!("{load:.1}")).collect::<Vec<_>>().join(" ");
        let stolen = match self.stolen {
            none if none < 0.001 => String::new(),
            stolen => format!(", {:.1} % of the time given to other machines", stolen * 100.0),
        };
        format!("load {load}, {:.0} % of the processors taken by others{stolen}", self.others * 100.0)
    }
}

/// Whether so much was stolen while a figure was measured that it should be said.
pub fn is_much_stolen(share: f64) -> bool {
    share > STOLEN
}

fn load_average() -> Vec<f64> {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect()
}

/// How the processors' time was spent, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    idle: u64,
    stolen: u64,
    all: u64,
}

impl Ticks {
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; a guest's time is in the user's.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find(|line| line.starts_with("cpu "))?;
        let ticks = line.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        let at = |place: usize| ticks.get(place).copied().unwrap_or(0);
        Some(Self { idle: at(3) + at(4), stolen: at(7), all: ticks.iter().take(8).sum() })
    }

    pub fn since(&self, before: &Ticks) -> Ticks {
        Ticks {
            idle: self.idle.saturating_sub(before.idle),
            stolen: self.stolen.saturating_sub(before.stolen),
            all: self.all.saturating_sub(before.all),
        }
    }

    fn share(&self, ticks: u64) -> f64 {
        if self.all == 0 { 0.0 } else { ticks as f64 / self.all as f64 }
    }

    fn busy(&self) -> f64 {
        self.share(self.all - self.idle - self.stolen)
    }

    pub fn stolen(&self) -> f64 {
        self.share(self.stolen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_processors_time() {
        let before =
            Ticks::parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n").expect("as Linux writes it");
        let after = Ticks::parse("cpu  130 0 60 900 50 0 10 50 7 7\n").expect("as Linux writes it");
        let passed = after.since(&before);
        assert_eq!(passed, Ticks { idle: 100, stolen: 50, all: 200 });
        assert_eq!((passed.busy(), passed.stolen()), (0.25, 0.25));
        assert_eq!(Ticks::parse("intr 1 2 3"), None);
        assert_eq!(Ticks::default().stolen(), 0.0, "no time has passed");
    }

    #[test]
    fn a_machine_that_is_not_quiet_is_told() {
        let rest = |others, stolen| AtRest { load: vec![0.5, 1.25, 2.0], others, stolen };
        assert_eq!(rest(0.03, 0.0).warning("before"), None);
        assert_eq!(
            rest(0.34, 0.05).warning("before the first figure").as_deref(),
            Some(
                "the machine was not quiet before the first figure: others took 34 % of the processors; the \
                 machine's host gave 5 % of the time to others"
            )
        );
        assert_eq!(rest(0.03, 0.0).words(), "load 0.5 1.2 2.0, 3 % of the processors taken by others");
    }

    #[test]
    fn another_machine_is_known_by_its_processors_and_memory() {
        let machine = |processors: &str, kernel: &str| {
            Machine(vec![
                ("processors".into(), processors.into()),
                ("memory".into(), "8 GiB".into()),
                ("kernel".into(), kernel.into()),
            ])
        };
        let here = machine("2 × X", "1");
        assert!(here.differs(&machine("2 × X", "2")).is_empty());
        assert_eq!(here.differs(&machine("4 × X", "1")), ["processors: 2 × X here, 4 × X there"]);
        assert!(!Machine::default().differs(&here).is_empty(), "an unknown machine is another one");
    }
}
