//! Windows: which part of a run an objective looks at, and where in the samples it begins and ends.
//!
//! ```text
//! load ──warm-up──┬─ before ─┬ asked ┬─ proved ── during ── undo asked ─┬ undo verified ┬─ after ─┬ end
//!                 └──────────────────────────────── run ──────────────────────────────────────────┘
//! ```
//! The edges between belong to no window. Samples come once a second, so a window is narrowed to the samples inside
//! it: what lies in a broken second at its edge is drawn and not judged. Only the end of the load is widened to the
//! first sample after it, since nothing happens after it.

use meshquake_promql::{Query, Store};

use super::load;
use super::objective::Window;
use super::samples::times;
use super::scrape;

/// Samples may be this late at a window's edge before the window counts as not covered.
const LATE_MS: i64 = 2500;

/// When the things happened that windows are made of; milliseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub load_start: i64,
    pub warm_up_end: i64,
    pub actions: Vec<ActionMarks>,
    /// Nothing while the load still goes on.
    pub load_end: Option<i64>,
    /// Why the load was another than the one that was asked for, where it was: what it missed is then no failure.
    pub spoiled: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionMarks {
    pub name: String,
    pub asked: Option<i64>,
    pub proved: Option<i64>,
    pub undo_asked: Option<i64>,
    pub undo_verified: Option<i64>,
}

/// A part of a run, as it was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: i64,
    /// Nothing where it is still open.
    pub to: Option<i64>,
    /// It ends with the load.
    pub to_load_end: bool,
}

/// A part of a run between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    pub from: i64,
    pub to: i64,
}

impl Aligned {
    pub fn length_ms(self) -> i64 {
        self.to - self.from
    }

    /// Whole steps of this length, one after the other.
    pub fn steps(self, step_ms: i64) -> impl Iterator<Item = Self> {
        let step = step_ms.max(1);
        let ends = (1..).map(move |number| self.from + number * step);
        ends.take_while(move |to| *to <= self.to).map(move |to| Self { from: to - step, to })
    }
}

/// Whose samples give a window its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Rounds of the scraper.
    Scrapes,
    /// Seconds of the load.
    Load,
}

impl Beat {
    /// The beat of the metrics that a query asks for.
    pub fn of(query: &Query) -> Self {
        let metrics = query.metrics();
        let of_load = |name: &str| name.starts_with("meshquake_load_");
        if !metrics.is_empty() && metrics.iter().all(|metric| metric.metric().is_some_and(of_load)) {
            Beat::Load
        } else {
            Beat::Scrapes
        }
    }

    const fn metric(self) -> &'static str {
        match self {
            Beat::Scrapes => scrape::UP,
            Beat::Load => load::ARRIVALS,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Beat::Scrapes => "metrics were read",
            Beat::Load => "the load was counted",
        }
    }

    /// The times of its samples, in order.
    pub(super) fn times(self, store: &Store, from: i64, to: i64) -> Vec<i64> {
        times(store, self.metric(), from, to).into_iter().collect()
    }
}

impl Marks {
    /// The part of the run that a window means, or why there is none.
    pub fn span(&self, window: &Window) -> Result<Span, String> {
        match window {
            Window::Before => {
                let first = self.actions.iter().filter_map(|action| action.asked).min();
                Ok(match first {
                    Some(first) => Span { from: self.warm_up_end, to: Some(first), to_load_end: false },
                    None => self.until_load_end(self.warm_up_end),
                })
            }
            Window::During(name) => {
                let actions = self.named(name.as_deref())?;
                let each = |mark: fn(&ActionMarks) -> Option<i64>, what: &str| {
                    let marked = actions.iter().map(|action| {
                        mark(action).ok_or_else(|| format!("`{}` was never {what}", action.name))
                    });
                    marked.collect::<Result<Vec<_>, String>>()
                };
                let from = each(|action| action.proved, "proved")?.into_iter().min();
                let to = each(|action| action.undo_asked, "taken back")?.into_iter().max();
                let from = from.ok_or_else(|| "there was no action".to_owned())?;
                Ok(Span { from, to, to_load_end: false })
            }
            Window::After => self.undone(None).map(|from| self.until_load_end(from)),
            Window::Run => Ok(self.until_load_end(self.warm_up_end)),
            Window::Recovery { action, .. } => {
                self.undone(action.as_deref()).map(|from| self.until_load_end(from))
            }
        }
    }

    fn until_load_end(&self, from: i64) -> Span {
        Span { from, to: self.load_end, to_load_end: true }
    }

    fn named(&self, name: Option<&str>) -> Result<Vec<&ActionMarks>, String> {
        let actions = self.actions.iter().filter(|action| name.is_none_or(|name| action.name == name));
        let actions: Vec<_> = actions.collect();
        match (actions.is_empty(), name) {
            (true, Some(name)) => Err(format!("the action `{name}` never began")),
            (true, None) => Err("there was no action".to_owned()),
            (false, _) => Ok(actions),
        }
    }

    /// When the last of these actions was seen to be taken back.
    fn undone(&self, name: Option<&str>) -> Result<i64, String> {
        let mut last = i64::MIN;
        for action in self.named(name)? {
            let verified = action.undo_verified;
            let never = || format!("`{}` was never seen to be taken back", action.name);
            last = last.max(verified.ok_or_else(never)?);
        }
        Ok(last)
    }
}

impl Span {
    /// The samples that a span reaches from and to, or why it cannot be judged.
    pub fn align(self, store: &Store, beat: Beat) -> Result<Aligned, String> {
        let times = beat.times(store, self.from, i64::MAX);
        let none = || format!("no samples: {} never in this window", beat.words());
        let first = *times.first().ok_or_else(none)?;
        let end = match (self.to, self.to_load_end) {
            (None, _) => times.last(),
            (Some(to), true) => times.iter().find(|at| **at >= to).or(times.last()),
            (Some(to), false) => times.iter().rev().find(|at| **at <= to),
        };
        let last = *end.ok_or_else(none)?;
        let late = |ms: i64, edge: &str| {
            let seconds = ms as f64 / 1000.0;
            format!(
                "between the window's {edge} and the nearest moment at which {} lie {seconds:.1} s",
                beat.words()
            )
        };
        if first - self.from > LATE_MS {
            return Err(late(first - self.from, "beginning"));
        }
        if let Some(to) = self.to.filter(|to| to - last > LATE_MS) {
            return Err(late(to - last, "end"));
        }
        if last <= first {
            let length = self.to.unwrap_or(last) - self.from;
            let seconds = length as f64 / 1000.0;
            return Err(format!(
                "the window lasted {seconds:.1} s, and no whole second of samples lies in it"
            ));
        }
        Ok(Aligned { from: first, to: last })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meshquake_promql::{Labels, Sample};

    use super::*;

    fn marks() -> Marks {
        let action = |name: &str, at: i64| ActionMarks {
            name: name.to_owned(),
            asked: Some(at),
            proved: Some(at + 200),
            undo_asked: Some(at + 3200),
            undo_verified: Some(at + 3500),
        };
        Marks {
            load_start: 10_000,
            warm_up_end: 12_000,
            actions: vec![action("one", 15_000), action("two", 20_000)],
            load_end: Some(30_300),
            spoiled: None,
        }
    }

    #[test]
    fn windows_are_made_of_marks_and_leave_the_edges_out() {
        let ends = |window: Window| marks().span(&window).map(|span| (span.from, span.to));
        let recovery = Window::Recovery {
            action: Some("one".into()),
            within: Duration::from_secs(5),
            hold: Duration::from_secs(3),
        };
        assert_eq!(ends(Window::Before), Ok((12_000, Some(15_000))));
        assert_eq!(ends(Window::During(Some("two".into()))), Ok((20_200, Some(23_200))));
        assert_eq!(ends(Window::During(None)), Ok((15_200, Some(23_200))));
        assert_eq!(ends(Window::After), Ok((23_500, Some(30_300))));
        assert_eq!(ends(Window::Run), Ok((12_000, Some(30_300))));
        assert_eq!(ends(recovery), Ok((18_500, Some(30_300))));
    }

    #[test]
    fn a_mark_that_is_missing_is_named() {
        let mut marks = marks();
        marks.actions[1].undo_verified = None;
        marks.actions[0].proved = None;
        assert_eq!(marks.span(&Window::After), Err("`two` was never seen to be taken back".into()));
        assert_eq!(marks.span(&Window::During(None)), Err("`one` was never proved".into()));
        let other = marks.span(&Window::During(Some("three".into())));
        assert_eq!(other, Err("the action `three` never began".into()));
    }

    fn beats(times: impl IntoIterator<Item = i64>) -> Store {
        let mut store = Store::new();
        for at in times {
            store.append(&Labels::named(scrape::UP), Sample { at, value: 1.0 }).expect("in order");
        }
        store
    }

    #[test]
    fn a_window_is_narrowed_to_whole_seconds_but_widened_at_the_end_of_the_load() {
        let store = beats((0..40).map(|second| second * 1000 + 400));
        let align = |window: Window| marks().span(&window).and_then(|span| span.align(&store, Beat::Scrapes));
        assert_eq!(align(Window::During(Some("one".into()))), Ok(Aligned { from: 15_400, to: 17_400 }));
        assert_eq!(align(Window::Run), Ok(Aligned { from: 12_400, to: 30_400 }));
        // Still open: to the last sample there is.
        let open = Marks { load_end: None, ..marks() };
        let run = open.span(&Window::Run).and_then(|span| span.align(&store, Beat::Scrapes));
        assert_eq!(run, Ok(Aligned { from: 12_400, to: 39_400 }));
    }

    #[test]
    fn a_window_that_samples_do_not_cover_cannot_be_judged() {
        let run = marks().span(&Window::Run).expect("marked");
        let table = [
            (beats([]), "no samples: metrics were read never in this window"),
            (beats([11_000]), "no samples: metrics were read never in this window"),
            (
                beats([16_000, 30_000]),
                "between the window's beginning and the nearest moment at which metrics were read lie 4.0 s",
            ),
            (
                beats([12_000, 13_000]),
                "between the window's end and the nearest moment at which metrics were read lie 17.3 s",
            ),
        ];
        for (store, expected) in table {
            assert_eq!(run.align(&store, Beat::Scrapes), Err(expected.to_owned()));
        }
        let short = Span { from: 12_000, to: Some(12_900), to_load_end: false };
        let error = short.align(&beats([12_500, 13_500]), Beat::Scrapes).expect_err("too short");
        assert_eq!(error, "the window lasted 0.9 s, and no whole second of samples lies in it");
    }
}
