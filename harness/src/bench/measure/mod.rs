//! What can be measured: one file each, with its figures, their limits and the way they are taken.

mod added;
mod change;
mod changed_image;
mod closed_loop;
mod from_nothing;
mod growth;
mod killed;
mod load;
mod memory;
mod requests;
mod run;
mod scraping;
mod up_down;
mod workers;

use futures::future::LocalBoxFuture;

use super::{Bench, Error, Figure};
use crate::backend::Choice;

/// The closed set of measures, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// First: it takes the cluster away.
    FromNothing,
    UpDown,
    ChangedImage,
    Run,
    Change,
    Requests,
    Workers,
    Scraping,
    Memory,
    Added,
    Load,
    ClosedLoop,
    Killed,
    Growth,
}

impl Measure {
    pub const ALL: [Measure; 14] = [
        Measure::FromNothing,
        Measure::UpDown,
        Measure::ChangedImage,
        Measure::Run,
        Measure::Change,
        Measure::Requests,
        Measure::Workers,
        Measure::Scraping,
        Measure::Memory,
        Measure::Added,
        Measure::Load,
        Measure::ClosedLoop,
        Measure::Killed,
        Measure::Growth,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Measure::FromNothing => "nothing",
            Measure::UpDown => "up-down",
            Measure::ChangedImage => "image",
            Measure::Run => "run",
            Measure::Change => "change",
            Measure::Requests => "requests",
            Measure::Workers => "workers",
            Measure::Scraping => "scraping",
            Measure::Memory => "memory",
            Measure::Added => "added",
            Measure::Load => "load",
            Measure::ClosedLoop => "closed-loop",
            Measure::Killed => "killed",
            Measure::Growth => "growth",
        }
    }

    pub const fn about(self) -> &'static str {
        match self {
            Measure::FromNothing => "from no cluster to a world that is ready, beside the same by hand",
            Measure::UpDown => "the commands `up` and `down`",
            Measure::ChangedImage => "a changed image to running pods",
            Measure::Run => "a whole run with its load, to its verdict",
            Measure::Change => "a changed route to the first request that sees it",
            Measure::Requests => "ten thousand requests, none of them mixed",
            Measure::Workers => "two load workers keep their rate together",
            Measure::Scraping => "what it costs to scrape many pods each second",
            Measure::Memory => "sixty pods with sidecars: up, and what they and the harness take",
            Measure::Added => "what two sidecars with mTLS add to a call",
            Measure::Load => "a thousand requests a second through the whole chain",
            Measure::ClosedLoop => "as many requests as one hop answers, beside wrk and k6",
            Measure::Killed => "a pod killed under load: what is lost, and until another serves",
            Measure::Growth => "from 6 pods to 120",
        }
    }

    /// What it gives on this backend, not yet measured; nothing where it makes no sense there.
    pub fn figures(self, on: &Choice) -> Vec<Figure> {
        match (self, on) {
            (_, Choice::Context { .. })
            | (Measure::FromNothing | Measure::ChangedImage, Choice::Local)
            | (
                Measure::Requests
                | Measure::Memory
                | Measure::Added
                | Measure::Load
                | Measure::ClosedLoop
                | Measure::Killed
                | Measure::Growth,
                Choice::Kind | Choice::K3d,
            ) => vec![],
            (Measure::FromNothing, _) => from_nothing::declared(on).into(),
            (Measure::UpDown, _) => up_down::declared(on),
            (Measure::ChangedImage, _) => changed_image::declared().into(),
            (Measure::Run, _) => run::declared(on).into(),
            (Measure::Change, _) => change::declared(on).into(),
            (Measure::Requests, _) => requests::declared().into(),
            (Measure::Workers, _) => workers::declared().into(),
            (Measure::Scraping, _) => scraping::declared(on),
            (Measure::Memory, _) => memory::declared().into(),
            (Measure::Added, _) => added::declared().into(),
            (Measure::Load, _) => load::declared().into(),
            (Measure::ClosedLoop, _) => closed_loop::declared().into(),
            (Measure::Killed, _) => killed::declared().into(),
            (Measure::Growth, _) => growth::declared().into(),
        }
    }

    /// Takes it. On the heap: all of them together are too much for the stack of a test's thread.
    pub(super) fn take<'b>(self, bench: &'b Bench<'_>) -> LocalBoxFuture<'b, Result<Vec<Figure>, Error>> {
        match self {
            Measure::FromNothing => Box::pin(from_nothing::take(bench)),
            Measure::UpDown => Box::pin(up_down::take(bench)),
            Measure::ChangedImage => Box::pin(changed_image::take(bench)),
            Measure::Run => Box::pin(run::take(bench)),
            Measure::Change => Box::pin(change::take(bench)),
            Measure::Requests => Box::pin(requests::take(bench)),
            Measure::Workers => Box::pin(workers::take(bench)),
            Measure::Scraping => Box::pin(scraping::take(bench)),
            Measure::Memory => Box::pin(memory::take(bench)),
            Measure::Added => Box::pin(added::take(bench)),
            Measure::Load => Box::pin(load::take(bench)),
            Measure::ClosedLoop => Box::pin(closed_loop::take(bench)),
            Measure::Killed => Box::pin(killed::take(bench)),
            Measure::Growth => Box::pin(growth::take(bench)),
        }
    }

    /// The measures that give what is named, by their own names or by those of figures; all where nothing is named.
    pub fn chosen(names: &[String], on: &Choice) -> Result<Vec<Measure>, String> {
        let here = || Measure::ALL.into_iter().filter(|measure| !measure.figures(on).is_empty());
        let gives = |measure: Measure, name: &str| {
            measure.name() == name || measure.figures(on).iter().any(|figure| figure.name == name)
        };
        for name in names {
            if !here().any(|measure| gives(measure, name)) {
                let known = here().flat_map(|measure| {
                    let figures = measure.figures(on).into_iter().map(|figure| figure.name);
                    std::iter::once(measure.name().to_owned()).chain(figures)
                });
                let mut known = known.collect::<Vec<_>>();
                known.sort();
                known.dedup();
                let near = crate::problem::nearest(name, known.iter().map(String::as_str));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let known = known.join(", ");
                return Err(format!(
                    "there is no figure `{name}` on `{}`; there are {known}{near}",
                    on.name()
                ));
            }
        }
        let wanted = |measure: &Measure| names.is_empty() || names.iter().any(|name| gives(*measure, name));
        Ok(here().filter(wanted).collect())
    }
}

/// Milliseconds as seconds.
fn from_millis(milliseconds: u64) -> f64 {
    // Times of a run, far below 2^53.
    milliseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own_and_says_what_it_means() {
        for on in [Choice::Local, Choice::Kind, Choice::K3d] {
            let figures =
                Measure::ALL.into_iter().flat_map(|measure| measure.figures(&on)).collect::<Vec<_>>();
            let names: BTreeSet<_> = figures.iter().map(|figure| figure.name.as_str()).collect();
            assert_eq!(names.len(), figures.len(), "{names:?}");
            assert!(figures.iter().all(|figure| figure.means.ends_with('.') && figure.means.len() > 20));
            assert!(figures.iter().any(|figure| !figure.limits.is_empty()));
        }
    }

    #[test]
    fn measures_are_chosen_by_their_names_or_by_those_of_figures() {
        let chosen = |names: &[&str], on: &Choice| {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            Measure::chosen(&names, on)
        };
        assert_eq!(chosen(&["down"], &Choice::Local), Ok(vec![Measure::UpDown]));
        assert_eq!(chosen(&["run", "up-down"], &Choice::Local), Ok(vec![Measure::UpDown, Measure::Run]));
        let all = chosen(&[], &Choice::Local).expect("all");
        assert!(!all.contains(&Measure::FromNothing) && all.contains(&Measure::Requests));
        let error = chosen(&["dwon"], &Choice::Local).expect_err("unknown");
        assert!(error.starts_with("there is no figure `dwon` on `local`; there are added, "), "{error}");
        assert!(error.ends_with("; did you mean `down`?"), "{error}");
        assert!(chosen(&["from-nothing"], &Choice::Local).is_err(), "there is no cluster to make");
    }
}
