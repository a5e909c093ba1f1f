//! The samples of a run while it goes on: scraped each second, or at once when somebody waits for a proof.

use std::path::Path;
use std::time::Duration;

use meshquake_promql::Query;
use tokio::sync::watch;

use super::samples::{self, Samples};
use super::scrape::{Gap, Refresh, Scraper};
use super::target::Target;
use crate::clock::now;

/// Samples with the scraper that feeds them.
pub struct Live {
    pub samples: Samples,
    scraper: Scraper,
    refresh: Refresh,
}

impl Live {
    pub fn start(
        file: &Path,
        targets: watch::Receiver<Vec<Target>>,
        interval: Duration,
    ) -> Result<Self, samples::Error> {
        let samples = Samples::to_file(file)?;
        let scraper = Scraper::start(targets, samples.clone(), interval);
        let refresh = scraper.handle();
        Ok(Self { samples, scraper, refresh })
    }

    /// A round of scraping at once.
    pub async fn refresh(&self) {
        self.refresh.refresh().await;
    }

    /// The sum of a query's values now, zero where there is none: a total that is watched for growth.
    pub async fn total(&self, promql: &str) -> f64 {
        match Query::parse(promql) {
            Ok(query) => self.samples.total(&query, now()),
            Err(error) => {
                // Our own text: a test of each action evaluates it.
                tracing::error!(%error, promql, "a query of our own was refused");
                0.0
            }
        }
    }

    /// A last round, then no more.
    pub async fn stop(self) -> Result<(Samples, Vec<Gap>), samples::Error> {
        let gaps = self.scraper.stop().await?;
        self.samples.close()?;
        Ok((self.samples, gaps))
    }
}
