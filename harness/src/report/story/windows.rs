//! The windows of a run, as the judge draws them, in seconds from the start of the load.
//!
//! ```text
//! before │ edge │ during │ edge │ after
//!        asked  proved   undo   undo verified ── recovery ──► first second from which all was well
//!                        asked
//! ```
//! The edges between them belong to none.

use super::Story;
use crate::event::LoadSecond;

#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub kind: WindowKind,
    /// The action, for those that belong to one.
    pub action: Option<String>,
    pub from: f64,
    pub until: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// All of the load: shown where nothing divides it.
    Run,
    Before,
    During,
    Recovery,
    After,
}

impl WindowKind {
    pub const fn word(self) -> &'static str {
        match self {
            WindowKind::Run => "run",
            WindowKind::Before => "before",
            WindowKind::During => "during",
            WindowKind::Recovery => "recovery",
            WindowKind::After => "after",
        }
    }
}

impl Story {
    /// In the order of the vocabulary, then of time. Empty where no load began.
    pub fn windows(&self) -> Vec<Window> {
        let (Some((start, end)), Some(_)) = (self.load_span(), self.load_at) else { return vec![] };
        let seconds = |at: i64| self.seconds_at(at).clamp(start, end);
        let window = |kind, action: Option<&str>, from: f64, until: f64| Window {
            kind,
            action: action.map(str::to_owned),
            from,
            until,
        };
        let first = self.actions.iter().filter_map(|action| action.asked()).min();
        let mut windows = match first {
            None => vec![window(WindowKind::Run, None, start.max(0.0), end)],
            Some(first) => vec![window(WindowKind::Before, None, start.max(0.0), seconds(first))],
        };
        for action in &self.actions {
            let name = Some(action.plan.name.as_str());
            if let Some(proved) = action.proved() {
                let until = action.undo_asked().or(action.closed()).map_or(end, seconds);
                windows.push(window(WindowKind::During, name, seconds(proved), until));
            }
            if let (Some(undone), Some(Ok(after_ms))) = (action.undone(), action.recovery()) {
                let from = seconds(undone);
                windows.push(window(
                    WindowKind::Recovery,
                    name,
                    from,
                    (from + after_ms as f64 / 1e3).min(end),
                ));
            }
        }
        let last = self.actions.iter().filter_map(|action| action.undone()).max();
        if let (Some(last), true) =
            (last, self.actions.iter().all(|action| action.asked().is_none() || action.undone().is_some()))
        {
            windows.push(window(WindowKind::After, None, seconds(last), end));
        }
        windows.retain(|window| window.until > window.from);
        windows.sort_by(|a, b| a.kind.cmp(&b.kind).then(a.from.total_cmp(&b.from)));
        windows
    }

    /// How many milliseconds there were of a second until the load ended.
    pub fn under_load(&self, second: &LoadSecond) -> i64 {
        self.load_end_at.map_or(1_000, |end| end - second.second).min(1_000)
    }

    /// From the first to the last second of load, the time in which actions go on included.
    pub fn load_span(&self) -> Option<(f64, f64)> {
        let first = self.seconds.first().map(|second| self.seconds_at(second.second));
        let last = self
            .seconds
            .last()
            .map(|last| self.seconds_at(last.second) + self.under_load(last).clamp(0, 1_000) as f64 / 1e3);
        let acted = self.actions.iter().flat_map(|action| &action.steps).map(|(at, _)| self.seconds_at(*at));
        let (first, last) = (first?, last?);
        let end = acted.fold(last, f64::max);
        // An undo that took long goes on after the load; beyond this it would only squeeze everything else.
        Some((first.min(0.0), end.min(last * 1.25 + 1.0)))
    }
}
