//! Does the corner shop hold? Tests as any others: `cargo test` runs them side by side, each in a world of its own.

use meshquake::event::ActionStep;
use meshquake::{Backend, Error, Event, Options, Scenario, Verdict};

/// On this machine; reports go where cargo keeps what tests leave behind.
fn here() -> Options {
    Options { reports: env!("CARGO_TARGET_TMPDIR").into(), ..Options::on(Backend::local()) }
}

#[tokio::test]
async fn orders_are_taken_while_the_stock_fails() -> Result<(), Error> {
    let run = Scenario::from_file("stock-fails.yaml")?.run(here()).await?;
    run.assert_held();

    // By how much it held: each objective has its value and its bound.
    let quick = run.objective("orders are taken quickly")?;
    assert!(quick.value < Some(quick.bound / 2.0), "{quick:?}");

    // Who called whom, as the callers' sidecars have counted it.
    let calls = run.calls("orders", "stock");
    assert!(calls.is_some_and(|calls| calls.requests > 50.0), "{calls:?}");

    // Everything that happened, in its order: here, what proved that the fault was there.
    let events = run.events()?;
    let proof = events.iter().find_map(|record| match &record.event {
        Event::Action { step: ActionStep::Proved { observation }, .. } => Some(observation),
        _ => None,
    });
    assert!(proof.is_some(), "{run}");
    Ok(())
}

/// A test of the test: what cannot hold must be seen.
#[tokio::test]
async fn a_shop_that_counts_every_failure_of_the_stock_does_not_hold() -> Result<(), Error> {
    let scenario = "
        apiVersion: meshquake/v1
        kind: Scenario
        name: stock-counts
        about: The stock fails for a second, and no call to it may.
        world: {use: ./corner}
        load: {journey: order, rate: 40/s, for: 4s}
        timeline:
          - {at: 2s, for: 1s, abort: {service: stock, status: 503, from: {app: orders}}}
        objectives:
          - name: the stock always answers
            run:
              promql: >-
                sum(increase(istio_requests_total{reporter=\"source\",source_workload=\"orders\",response_code=\"503\"}[$window])) or vector(0)
              at-most: 0
    ";
    let options = Options { seed: Some(3), ..here() };
    let run = Scenario::from_text(scenario, ".")?.run(options).await?;
    assert_eq!(run.verdict(), Verdict::Failed, "{run}");
    assert!(run.objective("the stock always answers")?.value > Some(10.0), "{run}");
    Ok(())
}
