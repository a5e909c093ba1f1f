use meshquake::run::stop::Stop;
use meshquake::{Error, Event, Record, Scenario};
use tokio::sync::mpsc;

use super::here;

/// A scenario of so many seconds of load that cannot hold.
fn cannot_hold(seconds: u32) -> Result<Scenario, Error> {
    let text = format!(
        "{{apiVersion: meshquake/v1, kind: Scenario, name: cannot-hold, about: Nobody may call anybody.,
          world: {{use: ./corner}}, load: {{journey: order, rate: 20/s, for: {seconds}s}},
          objectives: [{{name: nobody calls anybody,
            run: {{promql: 'sum(increase(istio_requests_total{{reporter=\"source\"}}[$window]))', at-most: 0}}}}]}}"
    );
    Ok(Scenario::from_text(text, ".")?)
}

#[tokio::test]
async fn fails_when_it_must() -> Result<(), Error> {
    cannot_hold(4)?.run(here()).await?.assert_held();
    Ok(())
}

/// Returns once the run is under load; the run is given up by then, or goes on where something else panics.
async fn under_load(beside: impl Future<Output = ()>) -> Result<(), Error> {
    let (listener, mut records) = mpsc::unbounded_channel::<Record>();
    let (scenario, options, stop) = (cannot_hold(600)?, here(), Stop::default());
    let loaded = async {
        while let Some(record) = records.recv().await {
            if matches!(record.event, Event::LoadSecond(_)) {
                return beside.await;
            }
        }
    };
    tokio::select! {
        finished = meshquake::run::run(&scenario, &options, &stop, Some(listener)) => {
            panic!("it ended by itself: {:?}", finished.map_err(Error::Run)?)
        }
        () = loaded => Ok(()),
    }
}

#[tokio::test]
async fn gives_up_under_load() -> Result<(), Error> {
    under_load(async {}).await?;
    println!("given up");
    // The process goes on until somebody lets go of its input.
    let wait = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    wait.await.expect("waited").expect("read");
    Ok(())
}

#[tokio::test]
async fn panics_under_load() -> Result<(), Error> {
    under_load(async {
        panic!("an assertion beside the run");
    })
    .await
}
