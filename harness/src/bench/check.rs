//! A report held against an earlier one: each figure against its own limit, and its median against the earlier median.
//!
//! Times on another machine say little about ours, so there only limits and what has no unit of time are compared.

use super::figure::{Better, Figure, Judgement};
use super::report::Report;
use crate::event::Unit;
use crate::report::numbers;

/// One report against another.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub rows: Vec<Row>,
    /// In what the machines or what took part differ.
    pub differs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub finding: Finding,
    /// For people.
    pub text: String,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it was, or better, within its limit.
    Good,
    /// Worse than it was by more than its tolerance.
    Worse,
    /// Over its limit.
    Missed,
    /// The earlier report has it, and it was not measured now.
    Missing,
    /// The earlier report does not have it.
    New,
}

impl Finding {
    pub const fn word(self) -> &'static str {
        match self {
            Finding::Good => "good",
            Finding::Worse => "WORSE",
            Finding::Missed => "MISSED",
            Finding::Missing => "MISSING",
            Finding::New => "new",
        }
    }

    pub const fn is_bad(self) -> bool {
        matches!(self, Finding::Worse | Finding::Missed | Finding::Missing)
    }
}

impl Check {
    /// `wanted` are the figures that were to be measured now; of the others nothing is said.
    pub fn of(now: &Report, then: &Report, wanted: &dyn Fn(&str) -> bool) -> Self {
        let machine = now.machine.differs(&then.machine);
        let comparable = machine.is_empty();
        let mut rows: Vec<Row> =
            now.figures.iter().map(|figure| row(figure, then.figure(&figure.name), comparable)).collect();
        let gone = then.figures.iter().filter(|earlier| now.figure(&earlier.name).is_none());
        rows.extend(gone.filter(|earlier| wanted(&earlier.name)).map(|earlier| Row {
            name: earlier.name.clone(),
            finding: Finding::Missing,
            text: "the earlier report has it, and it was not measured now".to_owned(),
        }));
        let mut differs = machine;
        if !comparable {
            differs.push("so times and shares of a processor are not compared with the earlier ones, only with their limits".to_owned());
        }
        differs.extend(other_versions(now, then));
        Self { rows, differs }
    }

    pub fn is_good(&self) -> bool {
        !self.rows.iter().any(|row| row.finding.is_bad())
    }

    pub fn sentence(&self) -> String {
        let bad = self.rows.iter().filter(|row| row.finding.is_bad());
        let bad = bad.map(|row| format!("{} {}", row.name, row.finding.word())).collect::<Vec<_>>();
        match bad.as_slice() {
            [] => format!("all {} figures are as good as they were", self.rows.len()),
            bad => format!("{} of {} figures are not: {}", bad.len(), self.rows.len(), bad.join(", ")),
        }
    }

    /// The rows, what differs, and the sentence.
    pub fn words(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for row in &self.rows {
            out += &format!("{:<8} {:<width$}  {}\n", row.finding.word(), row.name, row.text);
        }
        if !self.differs.is_empty() {
            out.push('\n');
        }
        for differs in &self.differs {
            out += &format!("differs: {differs}\n");
        }
        out + &format!("\n{}\n", self.sentence())
    }
}

fn row(now: &Figure, then: Option<&Figure>, comparable: bool) -> Row {
    let (finding, text) = find(now, then, comparable);
    Row { name: now.name.clone(), finding, text }
}

fn find(now: &Figure, then: Option<&Figure>, comparable: bool) -> (Finding, String) {
    let Some(value) = now.median() else {
        let why = now.missing.as_deref().unwrap_or("there are no samples");
        return (Finding::Missing, format!("not measured: {why}"));
    };
    let shown = numbers::value(value, now.unit);
    let limits = || format!("limit {}", now.limits_shown());
    let missed = now.judge() == Judgement::Missed;
    let against = match then.map(|then| (then, then.median())) {
        None if missed => return (Finding::Missed, format!("{shown}; {}", limits())),
        None => return (Finding::New, format!("{shown}; the earlier report does not have it")),
        Some((_, None)) => format!("{shown}, was not measured then"),
        Some((then, Some(was))) => {
            let (worse, text) = compare(now, then, value, was, comparable);
            if worse && !missed {
                return (Finding::Worse, text);
            }
            text
        }
    };
    if missed { (Finding::Missed, format!("{against}; {}", limits())) } else { (Finding::Good, against) }
}

/// Whether it is worse, and both values in words.
fn compare(now: &Figure, then: &Figure, value: f64, was: f64, comparable: bool) -> (bool, String) {
    let shown = |value| numbers::value(value, now.unit);
    let mut text = format!("{}, was {}", shown(value), shown(was));
    if was != 0.0 && now.better != Better::Neither {
        text += &format!(" ({:+.0} %)", (value / was - 1.0) * 100.0);
    }
    if !comparable && matches!(now.unit, Unit::Seconds | Unit::Percent) {
        return (false, text + ", on another machine");
    }
    // What an earlier report tolerates is what a newer one is held to: nobody widens it on the way.
    let tolerance = then.tolerance;
    let allowed = was.abs() * tolerance.share + tolerance.slack;
    let worse = match now.better {
        Better::Lower => value > was + allowed,
        Better::Higher => value < was - allowed,
        Better::Neither => false,
    };
    if worse {
        text += &format!(", tolerated are {}", tolerance.words(now.unit));
    }
    (worse, text)
}

fn other_versions(now: &Report, then: &Report) -> Vec<String> {
    let version =
        |report: &Report, name: &str| report.versions.iter().find(|(known, _)| known == name).cloned();
    let mut names: Vec<&str> =
        now.versions.iter().chain(&then.versions).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = names.into_iter().filter_map(|name| {
        let told = |report| version(report, name).map_or_else(|| "none".to_owned(), |(_, version)| version);
        let (here, there) = (told(now), told(then));
        (here != there).then(|| format!("{name}: {here} now, {there} then"))
    });
    differs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture;

    fn all(_: &str) -> bool {
        true
    }

    fn finding(check: &Check, name: &str) -> Finding {
        check.rows.iter().find(|row| row.name == name).expect("it has a row").finding
    }

    /// The fixture, with all its figures within their limits.
    fn good() -> Report {
        let mut report = fixture::report();
        report.figures[1].samples = vec![0.4, 0.42];
        report.figures[3].samples = vec![7.0];
        report.figures[3].missing = None;
        report
    }

    #[test]
    fn the_same_again_is_good() {
        let check = Check::of(&good(), &good(), &all);
        assert!(check.is_good(), "{check:?}");
        assert_eq!(check.sentence(), "all 4 figures are as good as they were");
        assert!(check.differs.is_empty());
    }

    #[test]
    fn a_worse_median_is_found_beyond_its_tolerance_only() {
        let mut now = good();
        now.figures[0].samples = vec![0.81 * 1.24];
        assert!(Check::of(&now, &good(), &all).is_good(), "within a quarter");
        now.figures[0].samples = vec![1.05];
        let check = Check::of(&now, &good(), &all);
        assert_eq!(finding(&check, "up"), Finding::Worse, "though within its limit");
        assert_eq!(check.rows[0].text, "1.05 s, was 810 ms (+30 %), tolerated are 25 %");
        assert_eq!(check.sentence(), "1 of 4 figures are not: up WORSE");
        now.figures[0].samples = vec![0.2];
        assert!(Check::of(&now, &good(), &all).is_good(), "better is never worse");
    }

    #[test]
    fn higher_can_be_what_is_better() {
        let (mut now, mut then) = (good(), good());
        for report in [&mut now, &mut then] {
            report.figures[0].better = Better::Higher;
            report.figures[0].limits.clear();
        }
        now.figures[0].samples = vec![0.5];
        assert_eq!(finding(&Check::of(&now, &then, &all), "up"), Finding::Worse);
        now.figures[0].samples = vec![5.0];
        assert_eq!(finding(&Check::of(&now, &then, &all), "up"), Finding::Good);
    }

    #[test]
    fn a_missed_limit_is_bad_also_where_it_was_missed_before() {
        let check = Check::of(&fixture::report(), &fixture::report(), &all);
        assert_eq!(finding(&check, "down"), Finding::Missed);
        assert_eq!(finding(&check, "run"), Finding::Missing);
        assert!(!check.is_good());
    }

    #[test]
    fn a_figure_that_is_gone_is_missing_unless_nobody_asked_for_it() {
        let mut now = good();
        now.figures.remove(0);
        let check = Check::of(&now, &good(), &all);
        assert_eq!(finding(&check, "up"), Finding::Missing);
        let check = Check::of(&now, &good(), &|name| name != "up");
        assert!(check.is_good() && check.rows.len() == 3);
        assert_eq!(finding(&Check::of(&good(), &now, &all), "up"), Finding::New);
    }

    #[test]
    fn on_another_machine_only_limits_hold_for_times() {
        let (mut now, mut then) = (good(), good());
        then.machine.0[0].1 = "64 × Y".to_owned();
        then.versions[1].1 = "1.41.0".to_owned();
        now.figures[0].samples = vec![1.9];
        let check = Check::of(&now, &then, &all);
        assert!(check.is_good(), "{check:?}");
        assert_eq!(
            check.differs,
            [
                "processors: 2 × X here, 64 × Y there",
                "so times and shares of a processor are not compared with the earlier ones, only with their limits",
                "envoy: 1.40.0 now, 1.41.0 then"
            ]
        );
        now.figures[0].samples = vec![2.1];
        assert_eq!(finding(&Check::of(&now, &then, &all), "up"), Finding::Missed);
    }

    #[test]
    fn the_words_of_a_check() {
        let mut now = good();
        now.figures[0].samples = vec![1.05];
        now.figures[1].samples = vec![0.9];
        now.versions[0].1 = "0.2.0".to_owned();
        insta::assert_snapshot!(Check::of(&now, &fixture::report(), &all).words(), @r#"
        WORSE    up           1.05 s, was 810 ms (+30 %), tolerated are 25 %
        MISSED   down         900 ms, was 502 ms (+79 %), tolerated are 25 % and 50 ms; limit median ≤ 500 ms
        good     share-of-v1  49.8 %, was 49.8 %
        good     run          7 s, was not measured then

        differs: meshquake: 0.2.0 now, 0.1.0 then

        2 of 4 figures are not: up WORSE, down MISSED
        "#);
    }
}
