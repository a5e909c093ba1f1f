//! When a run was well again, live and afterwards.

use std::time::Duration;

use meshquake_promql::Store;
use proptest::prelude::*;

use super::super::fixture::{ILL, Run, Second, WELL, recovery};
use super::super::objective::NoData;
use super::*;

/// The fixture's undo is verified at 12.3 s; its first whole second begins at 13.
fn run(ill: impl Fn(i64) -> bool) -> Run {
    Run::new(|second| if ill(second) { ILL } else { WELL })
}

#[test]
fn recovery_counts_from_the_undo_to_the_first_second_that_holds_on() {
    type Case = (&'static str, fn(i64) -> bool, Verdict, Option<f64>);
    let table: [Case; 4] = [
        ("well at once", |second| second < 12, Verdict::Held, Some(0.7)),
        ("well from 15 on", |second| second < 15, Verdict::Held, Some(2.7)),
        // Two good seconds are not a hold of three.
        ("a relapse", |second| second < 13 || second == 15, Verdict::Held, Some(3.7)),
        ("never within five", |second| second < 18, Verdict::Failed, None),
    ];
    for (what, ill, verdict, value) in table {
        let judged = run(ill).judge(&recovery(5, 0.99));
        assert_eq!((judged.verdict, judged.value), (verdict, value), "{what}: {judged:?}");
        assert_eq!(judged.bound, 5.0);
    }
}

#[test]
fn a_load_that_ends_too_early_or_says_nothing_decides_nothing() {
    let judged = run(|second| second < 18).judge(&recovery(10, 0.99));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.reason, "the load ended before the recovery was decided");
    let silent = Run::new(|second| if second < 12 { WELL } else { Second { ok: 0, failed: 0 } });
    let judged = silent.judge(&recovery(5, 0.99));
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert_eq!(judged.reason, "no data: no request was counted in the window");
    let strict = Objective { no_data: NoData::Fail, ..recovery(5, 0.99) };
    assert_eq!(silent.judge(&strict).verdict, Verdict::Failed);
}

/// The samples there are at a time.
fn until(run: &Run, at: i64) -> Store {
    run.samples.read(|store| {
        let mut part = Store::new();
        for (labels, samples) in store.series() {
            for sample in samples.iter().filter(|sample| sample.at <= at) {
                part.append(labels, *sample).expect("in order");
            }
        }
        part
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_decided_live_stays_decided(ill in prop::collection::vec(any::<bool>(), 20), within in 1u64..8) {
        let run = run(|second| ill.get(second as usize).copied().unwrap_or(false));
        let objective = recovery(within, 0.99);
        let mut decided: Option<Recovery> = None;
        for second in 0..=20 {
            let store = until(&run, super::super::fixture::START + 1000 * second);
            let live = super::super::Marks { load_end: None, ..run.marks.clone() };
            let judge = Judge { store: &store, marks: &live, scene: &run.scene };
            let now = judge.recovery(&objective);
            if let Some(before) = &decided {
                prop_assert_eq!(before, &now);
            } else if now != Recovery::Undecided {
                decided = Some(now);
            }
        }
        let afterwards = run.samples.read(|store| {
            Judge { store, marks: &run.marks, scene: &run.scene }.recovery(&objective)
        });
        prop_assert_eq!(decided.unwrap_or(Recovery::Undecided), afterwards.clone());
        if let Recovery::Recovered { after } = afterwards {
            prop_assert!(after <= Duration::from_secs(within));
        }
    }
}
