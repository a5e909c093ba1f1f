//! Every target's page once a second, all at once, on a beat that may skip but never bunches.
//!
//! All samples of a round carry one time, so that a window can begin and end with a round. A round that fails for a
//! target ends the target's series there (as in Prometheus) and is kept as a gap. Each round writes, for each target,
//! `up` (1 or 0), and once `meshquake_scrape_interval_seconds`: the time since the round before, as it really was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use meshquake_promql::{Labels, METRIC_NAME};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::exposition::Pages;
use super::samples::{self, Reading, Samples};
use super::target::{self, Fetcher, Target};
use crate::clock::now;

/// Whether a target's page could be had in a round.
pub const UP: &str = "up";
/// The time between a round and the one before.
pub const INTERVAL: &str = "meshquake_scrape_interval_seconds";

/// A time without samples of a target that should have had some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub target: String,
    /// Round of the first failure.
    pub from: i64,
    /// Round in which the page was there again, or the target was gone.
    pub to: Option<i64>,
    pub reason: String,
}

/// Scrapes until it is stopped.
pub struct Scraper {
    requests: mpsc::Sender<oneshot::Sender<()>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Vec<Gap>, samples::Error>>,
}

impl Scraper {
    /// Scrapes all targets of the moment now and then once an `interval`.
    pub fn start(targets: watch::Receiver<Vec<Target>>, samples: Samples, interval: Duration) -> Self {
        let (requests, asked) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        // A page that takes longer than a beat would make the next round late.
        let rounds =
            Rounds { samples, known: BTreeMap::new(), gaps: Vec::new(), last: None, limit: interval };
        let task = tokio::spawn(rounds.run(targets, interval, asked, stopped));
        Self { requests, stop, task }
    }

    /// A round at once; returns when its samples are there.
    pub async fn refresh(&self) {
        self.handle().refresh().await;
    }

    /// For others that need fresh samples.
    pub fn handle(&self) -> Refresh {
        Refresh { requests: self.requests.clone() }
    }

    /// A last round, then no more. Returns all gaps.
    pub async fn stop(self) -> Result<Vec<Gap>, samples::Error> {
        self.refresh().await;
        // The task may have ended by itself, when samples could not be written; its result says so.
        let _ = self.stop.send(true);
        match self.task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Ok(Vec::new()),
        }
    }
}

/// Asks the scraper for a round.
#[derive(Clone)]
pub struct Refresh {
    requests: mpsc::Sender<oneshot::Sender<()>>,
}

impl Refresh {
    pub async fn refresh(&self) {
        let (done, seen) = oneshot::channel();
        if self.requests.send(done).await.is_ok() {
            // It fails only when the scraper has ended; then there is nothing fresher.
            let _ = seen.await;
        }
    }
}

struct Rounds {
    samples: Samples,
    known: BTreeMap<Target, Known>,
    gaps: Vec<Gap>,
    last: Option<i64>,
    limit: Duration,
}

/// What is kept of a target between rounds.
struct Known {
    fetcher: Option<Fetcher>,
    pages: Pages,
    /// The last round, if it succeeded.
    succeeded_at: Option<i64>,
    /// Position of the gap that is open.
    gap: Option<usize>,
}

impl Rounds {
    async fn run(
        mut self,
        targets: watch::Receiver<Vec<Target>>,
        interval: Duration,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Vec<Gap>, samples::Error> {
        let mut beat = tokio::time::interval_at(Instant::now() + interval, interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.round(&targets).await?;
        loop {
            tokio::select! {
                biased;
                // Whoever asked may go before the answer: the round was made in any case.
                Some(done) = asked.recv() => {
                    self.round(&targets).await?;
                    let _ = done.send(());
                }
                _ = stopped.changed() => return Ok(self.gaps),
                _ = beat.tick() => self.round(&targets).await?,
            }
        }
    }

    async fn round(&mut self, targets: &watch::Receiver<Vec<Target>>) -> Result<(), samples::Error> {
        let wanted: BTreeSet<Target> = targets.borrow().iter().cloned().collect();
        let at = self.next_time();
        self.forget_all_but(&wanted, at)?;
        for target in &wanted {
            self.known.entry(target.clone()).or_insert_with(|| Known {
                fetcher: Fetcher::new(&target.address, self.limit).ok(),
                pages: Pages::default(),
                succeeded_at: None,
                gap: None,
            });
        }
        let limit = self.limit;
        let fetches = self.known.iter().map(|(target, known)| async move {
            match &known.fetcher {
                Some(fetcher) => fetcher.text().await,
                None => Fetcher::new(&target.address, limit)?.text().await,
            }
        });
        let pages: Vec<Result<_, target::Error>> = join_all(fetches).await;
        if let Some(last) = self.last {
            let value = (at - last) as f64 / 1000.0;
            self.samples.append(
                at,
                None,
                &[Reading { labels: Labels::named(INTERVAL), value, counts: false }],
            )?;
        }
        for ((target, known), page) in self.known.iter_mut().zip(pages) {
            let result = match page {
                Ok(page) => take(target, known, &self.samples, at, &page),
                Err(error) => Err(error.to_string()),
            };
            let up = result.is_ok();
            match result {
                Ok(()) => {
                    known.succeeded_at = Some(at);
                    if let Some(gap) = known.gap.take().and_then(|position| self.gaps.get_mut(position)) {
                        gap.to = Some(at);
                    }
                }
                Err(reason) => {
                    self.samples.end(at, known.pages.all())?;
                    known.succeeded_at = None;
                    known.gap.get_or_insert_with(|| {
                        self.gaps.push(Gap { target: target.name.clone(), from: at, to: None, reason });
                        self.gaps.len() - 1
                    });
                }
            }
            let labels = target.constant().with(METRIC_NAME, UP);
            let reading = Reading { labels, value: f64::from(u8::from(up)), counts: false };
            self.samples.append(at, None, &[reading])?;
        }
        self.last = Some(at);
        Ok(())
    }

    /// Now, and later than the round before even if that was in the same millisecond.
    fn next_time(&self) -> i64 {
        let now = now();
        self.last.map_or(now, |last| now.max(last + 1))
    }

    /// Ends the series of targets that are gone.
    fn forget_all_but(&mut self, wanted: &BTreeSet<Target>, at: i64) -> Result<(), samples::Error> {
        let gone: Vec<Target> =
            self.known.keys().filter(|target| !wanted.contains(*target)).cloned().collect();
        for target in gone {
            let Some(known) = self.known.remove(&target) else { continue };
            self.samples.end(at, known.pages.all())?;
            self.samples.end(at, [&target.constant().with(METRIC_NAME, UP)])?;
            if let Some(gap) = known.gap.and_then(|position| self.gaps.get_mut(position)) {
                gap.to = Some(at);
            }
        }
        Ok(())
    }
}

/// Takes a page in, under the target's labels.
fn take(target: &Target, known: &mut Known, into: &Samples, at: i64, page: &str) -> Result<(), String> {
    let constant = target.constant();
    let shape = |mut labels: Labels| {
        target.address.relabel(&mut labels);
        let labels = joined(&constant, &labels);
        // It will be written each second.
        let text = samples::series_text(&labels);
        labels.with_text(text)
    };
    let readings = known.pages.read(page, |metric| target.address.keeps(metric), shape);
    let readings = readings.map_err(|error| error.to_string())?.into_iter().map(|reading| Reading {
        labels: reading.labels,
        value: reading.value,
        // One that is known here has a first sample already.
        counts: reading.counts && reading.new,
    });
    let readings: Vec<Reading> = readings.collect();
    into.append(at, known.succeeded_at, &readings).map_err(|error| error.to_string())?;
    into.end(at, known.pages.gone()).map_err(|error| error.to_string())
}

/// A page's labels under those of its target; a page's own label of the same name is kept as `exported_…`.
fn joined(constant: &Labels, page: &Labels) -> Labels {
    let mut labels = constant.clone();
    for (name, value) in page.iter() {
        if constant.get(name).is_empty() {
            labels.set(name, value);
        } else {
            labels.set(&format!("exported_{name}"), value);
        }
    }
    labels
}

#[cfg(test)]
mod tests;
