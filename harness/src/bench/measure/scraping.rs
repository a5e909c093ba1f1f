//! What the harness itself costs while it scrapes twelve pods each second: the processor time of this process, which
//! does nothing else meanwhile, as a share of one core. It follows the pods as in a run; what that costs without
//! scraping is given beside it.

use std::time::{Duration, Instant};

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed};
use crate::backend::{Backend, Choice};
use crate::event::{Relation, Unit};
use crate::judge::{Samples, Scraper};

/// Of each of the six Deployments.
const PODS: u32 = 2;
const SPAN: Duration = Duration::from_secs(5);
/// What Linux counts processor time in, on every machine that it runs on here.
const TICKS_A_SECOND: f64 = 100.0;
/// Requests before it, so that every series is there.
const REQUESTS: usize = 200;

pub fn declared(on: &Choice) -> [Figure; 1] {
    let figure = Figure::new(
        "scrape-cost",
        Unit::Percent,
        Better::Lower,
        "The share of one core that the harness takes while it scrapes all pages of 12 pods each second.",
    )
    .tolerance(0.25, 0.01);
    [match on {
        Choice::Local => figure,
        _ => figure.limit(Statistic::Median, Relation::AtMost, 0.10),
    }]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let world = bed::world(Some(PODS))?;
    let images = bed::build(bench, &world).await?;
    let spans = bench.rounds(6);
    let taken = bed::within(bench, &world, &images, false, async |up| {
        let backend = &up.backend;
        ask(backend.entry()).await?;
        (bench.tell)("scraping: without it first".to_owned());
        let without = cost(spans.div_ceil(2)).await?;
        // As in a run: to a file as well.
        let samples = Samples::to_file(&bench.folder.join("samples")).map_err(Error::of)?;
        let scraper = Scraper::start(backend.targets(), samples.clone(), backend.scrape_interval());
        scraper.refresh().await;
        (bench.tell)(format!("scraping: {spans} spans of {} s", SPAN.as_secs()));
        let with = cost(spans).await?;
        let gaps = scraper.stop().await.map_err(Error::of)?;
        Ok(Taken {
            with,
            without,
            targets: targets(backend),
            interval: backend.scrape_interval(),
            series: samples.read(|store| store.series().count()),
            gaps: gaps.len(),
        })
    });
    let taken = taken.await?;
    let [figure] = declared(&bench.plan.choice);
    Ok(vec![
        figure
            .with(taken.with)
            .part("without scraping", Unit::Percent, taken.without)
            .note(format!(
                "{} pages each {:.0} s, {} series; {} gaps",
                taken.targets,
                taken.interval.as_secs_f64(),
                taken.series,
                taken.gaps
            ))
            .note(format!("each sample is a span of {} s", SPAN.as_secs())),
    ])
}

struct Taken {
    with: Vec<f64>,
    without: Vec<f64>,
    targets: usize,
    interval: Duration,
    series: usize,
    gaps: usize,
}

fn targets(backend: &Backend) -> usize {
    backend.targets().borrow().len()
}

/// The share of a core that this process takes, span by span.
async fn cost(spans: usize) -> Result<Vec<f64>, Error> {
    let mut costs = Vec::new();
    for _ in 0..spans {
        let (began, before) = (Instant::now(), ticks()?);
        tokio::time::sleep(SPAN).await; // what is looked at is a span of time
        let took = (ticks()? - before) as f64 / TICKS_A_SECOND;
        costs.push(took / began.elapsed().as_secs_f64());
    }
    Ok(costs)
}

/// The processor time of this process and of all its threads.
fn ticks() -> Result<u64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(Error::of)?;
    spent(&stat).ok_or_else(|| Error::Failed(format!("/proc/self/stat reads {stat:?}")))
}

/// Of user and system; the name before them may hold anything, a closing bracket too.
fn spent(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

async fn ask(url: &str) -> Result<(), Error> {
    let client = bed::client()?;
    for _ in 0..REQUESTS {
        let answer = client.get(url).send().await.map_err(Error::of)?;
        answer.bytes().await.map_err(Error::of)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_time_is_that_of_user_and_system() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 17 25 3 4 20 0 9 0 1000 0 0";
        assert_eq!(spent(stat), Some(42));
        assert_eq!(spent("nonsense"), None);
        assert!(ticks().is_ok());
    }
}
