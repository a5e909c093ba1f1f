//! A second opinion: a Prometheus that watched the same world is asked the same questions.
//!
//! It scrapes at other moments than we do, so its answers are close and not equal; the verdict is ours alone, and the
//! report shows both and how far they are apart.

use std::time::Duration;

use serde_json::Value as Json;

use super::judging::Judge;
use super::objective::{Objective, Window};
use super::target::Target;
use super::verdict::margin;
use super::window::Beat;
use crate::error::chain;
use crate::event::{Judged, SecondOpinion};
use crate::wait::{self, Seen};

const LIMIT: Duration = Duration::from_secs(5);

/// How long one in the cluster may take until it reads pods that have just come up: it looks for new ones every five
/// seconds, and takes up what it has found every five seconds.
const NOTICE: Duration = Duration::from_secs(20);

/// The way to a Prometheus.
#[derive(Clone)]
pub enum Prometheus {
    /// Where a person says that it is.
    At { client: reqwest::Client, url: String },
    /// A Service in the cluster, through the API server; `path` leads to its root.
    Behind { client: kube::Client, path: String },
}

/// An objective as it is asked elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// At each of these moments, the queries whose values are added up.
    pub at: Vec<(i64, Vec<String>)>,
    /// A selector of what the queries look at, by which is seen how much the other has of it.
    pub looks_at: Option<String>,
    pub window_ms: i64,
}

impl Judge<'_> {
    /// What would have to be asked, or why that makes no sense elsewhere.
    pub fn asked(&self, objective: &Objective) -> Result<Asked, String> {
        if let Window::Recovery { .. } = objective.window {
            return Err("it was judged second by second until it held".to_owned());
        }
        let whole = self.align(objective)?;
        let steps = match objective.every {
            None => vec![whole],
            Some((step, _)) => whole.steps(i64::try_from(step.as_millis()).unwrap_or(i64::MAX)).collect(),
        };
        let mut asked = Asked { at: Vec::new(), looks_at: None, window_ms: 0 };
        for step in steps {
            let compiled = self.compiled(objective, step)?;
            if compiled.beat() == Beat::Load {
                return Err("it is about the load, which is counted only here".to_owned());
            }
            asked.window_ms = step.length_ms();
            asked.looks_at = compiled.looks_at();
            asked.at.push((step.to, compiled.values()));
        }
        Ok(asked)
    }
}

impl Prometheus {
    pub fn at(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(LIMIT).build()?;
        Ok(Self::At { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Waits until it reads all of these: what it has not seen from the beginning it cannot count. How a person's own
    /// names them, and how often it reads them, is not known, so nobody waits for that.
    pub async fn reads(&self, targets: &[Target]) -> Result<(), String> {
        if let Self::At { .. } = self {
            return Ok(());
        }
        let names = targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join("|");
        let query = format!("count(group by (namespace, pod) (up{{pod=~\"{names}\"}} == 1))");
        let look = async || match self.value(&query, crate::clock::now()).await {
            Ok(count) if count.first().is_some_and(|count| *count >= targets.len() as f64) => Seen::Done(()),
            Ok(count) => {
                Seen::NotYet(format!("{} of {} proxies", count.first().unwrap_or(&0.0), targets.len()))
            }
            Err(why) => Seen::NotYet(why),
        };
        wait::until("all proxies read by it", NOTICE, look).await.map_err(|error| error.to_string())
    }

    /// What it says to an objective that was judged.
    pub async fn ask(
        &self,
        objective: &Objective,
        judged: &Judged,
        asked: Result<Asked, String>,
    ) -> SecondOpinion {
        let mut opinion = SecondOpinion {
            name: judged.name.clone(),
            ours: judged.value,
            theirs: None,
            unit: judged.unit,
            note: String::new(),
        };
        let answered = match asked {
            Ok(asked) => self.answer(objective, &asked).await,
            Err(why) => Err(why),
        };
        match answered {
            Ok(value) => opinion.theirs = Some(value),
            Err(why) => opinion.note = why,
        }
        opinion
    }

    async fn answer(&self, objective: &Objective, asked: &Asked) -> Result<f64, String> {
        if let (Some(selector), Some((at, _))) = (&asked.looks_at, asked.at.last()) {
            let query = format!("max(count_over_time({selector}[{}ms]))", asked.window_ms + 1);
            match self.value(&query, *at).await?.first() {
                None => return Err(format!("it has no series {selector} in the window")),
                Some(samples) if *samples < 2.0 => {
                    return Err(format!("its scrape interval leaves {samples} sample in the window"));
                }
                Some(_) => {}
            }
        }
        let mut worst: Option<f64> = None;
        for (at, queries) in &asked.at {
            let mut sum = None;
            for query in queries {
                let values = self.value(query, *at).await?;
                let nearest = values.into_iter().filter(|value| !value.is_nan());
                let nearest = nearest
                    .min_by(|a, b| margin(*a, objective.bound).total_cmp(&margin(*b, objective.bound)));
                if let Some(value) = nearest {
                    sum = Some(sum.unwrap_or(0.0) + value);
                }
            }
            let Some(value) = sum else { continue };
            let is_worse = |other: &f64| margin(value, objective.bound) < margin(*other, objective.bound);
            if worst.as_ref().is_none_or(is_worse) {
                worst = Some(value);
            }
        }
        worst.ok_or_else(|| "it has no value for it".to_owned())
    }

    async fn value(&self, query: &str, at_ms: i64) -> Result<Vec<f64>, String> {
        let at = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
        let answer = self.get(query, &at).await?;
        let answer: Json =
            serde_json::from_str(&answer).map_err(|error| format!("it answers no JSON: {error}"))?;
        if answer["status"] != "success" {
            let why = answer["error"].as_str().unwrap_or("without a reason");
            return Err(format!("it refuses the query: {why}"));
        }
        let number = |value: &Json| value[1].as_str().and_then(|text| text.parse::<f64>().ok());
        let result = &answer["data"]["result"];
        let values: Option<Vec<f64>> = match answer["data"]["resultType"].as_str() {
            Some("scalar") => number(result).map(|value| vec![value]),
            _ => result.as_array().into_iter().flatten().map(|one| number(&one["value"])).collect(),
        };
        values.ok_or_else(|| "it answers something else than numbers".to_owned())
    }

    async fn get(&self, query: &str, at: &str) -> Result<String, String> {
        let base = match self {
            Self::At { url, .. } => url.as_str(),
            // Only its path and query are used.
            Self::Behind { .. } => "http://cluster",
        };
        let params = [("query", query), ("time", at)];
        let url = reqwest::Url::parse_with_params(&format!("{base}/api/v1/query"), params);
        // Not the address itself: it may hold a password, and this gets into reports.
        let url = url.map_err(|error| format!("its `url` is no address: {error}"))?;
        match self {
            Self::At { client, .. } => {
                let answer = client.get(url).send().await.map_err(|error| chain(&error))?;
                answer.text().await.map_err(|error| chain(&error))
            }
            Self::Behind { client, path } => {
                let asked = format!("{path}{}?{}", url.path(), url.query().unwrap_or_default());
                let request =
                    http::Request::get(asked).body(Vec::new()).map_err(|error| error.to_string())?;
                match tokio::time::timeout(LIMIT, client.request_text(request)).await {
                    Ok(answer) => answer.map_err(|error| chain(&error)),
                    Err(_) => Err(format!("it did not answer within {} s", LIMIT.as_secs())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
