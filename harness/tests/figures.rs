//! What must hold of every request in the pinning world, however long it takes, by the measures of the bench.
//!
//! Nothing here asserts on time. The figures are printed; `cargo test --test figures -- --nocapture` shows them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are for whoever reads the test's output"
)]

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "this suite needs only a part of what the suites share")]
mod support;

use meshquake::backend::Choice;
use meshquake::backend::cluster::settings::Settings;
use meshquake::bench::figure::Judgement;
use meshquake::bench::{self, Measure, Plan, table};
use meshquake::report::console::Look;
use meshquake::run::stop::Stop;

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_requests_none_is_mixed_and_each_version_gets_its_half() {
    // Four standard deviations of a fair coin: one run of 16,000 would miss the share by chance.
    keeps(Measure::Requests, &["mixed-lines", "share-of-v1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_change_is_applied_no_request_sees_the_old() {
    keeps(Measure::Change, &["change-stale"]).await;
}

/// Measures, and looks at those of its figures that are no times.
async fn keeps(measure: Measure, wanted: &[&str]) {
    if let Some(why) = support::no_envoy() {
        eprintln!("skipped: {why}");
        return;
    }
    let _alone = support::under_load();
    let plan = Plan {
        choice: Choice::Local,
        settings: Settings::default(),
        measures: vec![measure],
        rounds: None,
        yes_really: false,
        again: "cargo test --test figures".to_owned(),
    };
    let measured = bench::run(&plan, &Stop::default(), &|text| eprintln!("{text}")).await;
    let report = measured.expect("it can be measured").expect("nobody ends it");
    println!("{}", table::table(&report, Look::PLAIN));
    for name in wanted {
        let figure = report.figure(name).expect("it is declared");
        assert_eq!(figure.judge(), Judgement::Met, "{figure:?}");
    }
}
