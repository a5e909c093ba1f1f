//! What the harness itself costs while it scrapes many pods each second: the processor time of this process, which does
//! nothing else meanwhile, as a share of one core. It follows the pods as in a run; what that costs without scraping is
//! given beside it.

use std::time::{Duration, Instant};

use super::super::figure::{Better, Statistic};
use super::super::{Bench, Error, Figure, bed, census};
use crate::backend::{Backend, Choice};
use crate::event::{Relation, Unit};
use crate::judge::{Samples, Scraper};

/// Pods of each of the six Deployments.
const FEW: u32 = 2;
const MANY: u32 = 10;
const SPAN: Duration = Duration::from_secs(5);
/// Requests before it, so that every series is there.
const REQUESTS: usize = 200;

pub fn declared(on: &Choice) -> Vec<Figure> {
    let figure = |name, pods| {
        let means = format!(
            "The share of one core that the harness takes while it scrapes all pages of {pods} pods each second."
        );
        Figure::new(name, Unit::Percent, Better::Lower, &means).tolerance(0.25, 0.01)
    };
    let few = figure("scrape-cost", 6 * FEW);
    match on {
        Choice::Local => vec![few, figure("scrape-cost-60", 6 * MANY)],
        _ => vec![few.limit(Statistic::Median, Relation::AtMost, 0.10)],
    }
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for (figure, pods) in declared(&bench.plan.choice).into_iter().zip([FEW, MANY]) {
        let world = bed::world(Some(pods))?;
        let images = bed::build(bench, &world).await?;
        let spans = bench.rounds(if pods == FEW { 6 } else { 4 });
        (bench.tell)(format!("scraping: {} pods, {spans} spans of {} s", 6 * pods, SPAN.as_secs()));
        let taken = bed::within(bench, &world, &images, false, async |up| {
            let without = cost(spans.div_ceil(2), SPAN).await?;
            Ok((without, scrape(bench, &up.backend, spans, SPAN).await?))
        });
        let (without, taken) = taken.await?;
        figures.push(
            figure
                .with(taken.shares)
                .part("without scraping", Unit::Percent, without)
                .note(format!(
                    "{} pages each {:.0} s, {} series; {} gaps",
                    taken.targets,
                    taken.interval.as_secs_f64(),
                    taken.series,
                    taken.gaps
                ))
                .note(format!("each sample is a span of {} s", SPAN.as_secs())),
        );
    }
    Ok(figures)
}

pub struct Scraped {
    /// Of a core, span by span.
    pub shares: Vec<f64>,
    targets: usize,
    interval: Duration,
    series: usize,
    gaps: usize,
}

/// Scrapes a world that is up, as in a run: to a file as well.
pub async fn scrape(
    bench: &Bench<'_>,
    backend: &Backend,
    spans: usize,
    span: Duration,
) -> Result<Scraped, Error> {
    ask(backend.entry()).await?;
    let samples = Samples::to_file(&bench.folder.join("samples")).map_err(Error::of)?;
    let scraper = Scraper::start(backend.targets(), samples.clone(), backend.scrape_interval());
    scraper.refresh().await;
    let shares = cost(spans, span).await?;
    let gaps = scraper.stop().await.map_err(Error::of)?;
    Ok(Scraped {
        shares,
        targets: targets(backend),
        interval: backend.scrape_interval(),
        series: samples.read(|store| store.series().count()),
        gaps: gaps.len(),
    })
}

fn targets(backend: &Backend) -> usize {
    backend.targets().borrow().len()
}

/// The share of a core that this process takes, span by span.
async fn cost(spans: usize, span: Duration) -> Result<Vec<f64>, Error> {
    let spent = || {
        let unknown =
            || Error::Failed("the kernel tells nothing of this process's processor time".to_owned());
        census::time(std::process::id()).ok_or_else(unknown)
    };
    let mut costs = Vec::new();
    for _ in 0..spans {
        let (began, before) = (Instant::now(), spent()?);
        tokio::time::sleep(span).await; // what is looked at is a span of time
        costs.push((spent()? - before) / began.elapsed().as_secs_f64());
    }
    Ok(costs)
}

async fn ask(url: &str) -> Result<(), Error> {
    let client = bed::client()?;
    for _ in 0..REQUESTS {
        let answer = client.get(url).send().await.map_err(Error::of)?;
        answer.bytes().await.map_err(Error::of)?;
    }
    Ok(())
}
