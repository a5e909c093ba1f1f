//! A pod's own chaos switch: the service itself fails, so that retries and ejection see a real failure.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("pod {pod} has no chaos switch (annotation `meshquake.dev/chaos-port` on its template)")]
    NoSwitch { pod: String },
    #[error("the chaos switch of pod {pod} does not answer")]
    Unreachable {
        pod: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the chaos switch of pod {pod} refused: {answer}")]
    Refused { pod: String, answer: String },
    #[error("pod {pod} still misbehaves: {state}")]
    StillOn { pod: String, state: String },
}

/// How a service misbehaves; nothing set means that it behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Misbehaviour {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delay_ms: Option<u64>,
    /// Share of the requests, 0 to 1; all where it is absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub hang: bool,
}

impl Misbehaviour {
    pub fn is_calm(&self) -> bool {
        self.status.is_none() && self.delay_ms.is_none_or(|delay| delay == 0) && !self.hang
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(status) = self.status {
            parts.push(format!("answers {status}"));
        }
        if let Some(delay) = self.delay_ms.filter(|delay| *delay > 0) {
            parts.push(format!("answers {delay} ms late"));
        }
        if self.hang {
            parts.push("never answers".into());
        }
        if parts.is_empty() {
            parts.push("behaves".into());
        }
        if let Some(share) = self.share.filter(|share| *share < 1.0) {
            parts.push(format!("for {} % of the requests", share * 100.0));
        }
        f.write_str(&parts.join(" "))
    }
}

/// Where a switch is reached.
#[derive(Clone, Debug)]
pub enum Address {
    Unix(PathBuf),
    Http(String),
}

/// A reachable switch.
pub struct Switch {
    pod: String,
    url: String,
    client: reqwest::Client,
}

impl Switch {
    pub fn at(pod: &str, address: &Address) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().timeout(Duration::from_secs(3)).no_proxy();
        let (builder, url) = match address {
            Address::Unix(path) => (builder.unix_socket(path.clone()), "http://switch/chaos".to_string()),
            Address::Http(base) => (builder, format!("{base}/chaos")),
        };
        let client = builder.build().map_err(|source| Error::Unreachable { pod: pod.into(), source })?;
        Ok(Self { pod: pod.into(), url, client })
    }

    pub async fn on(&self, misbehaviour: &Misbehaviour) -> Result<(), Error> {
        self.send(self.client.put(&self.url).json(misbehaviour)).await.map(|_| ())
    }

    pub async fn off(&self) -> Result<(), Error> {
        self.send(self.client.delete(&self.url)).await.map(|_| ())
    }

    pub async fn state(&self) -> Result<Misbehaviour, Error> {
        let answer = self.send(self.client.get(&self.url)).await?;
        answer.json().await.map_err(|source| Error::Unreachable { pod: self.pod.clone(), source })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let unreachable = |source| Error::Unreachable { pod: self.pod.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        Err(Error::Refused { pod: self.pod.clone(), answer: format!("{status} {}", text.trim()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_is_the_absence_of_every_misbehaviour() {
        assert!(Misbehaviour::default().is_calm());
        assert!(Misbehaviour { share: Some(0.5), delay_ms: Some(0), ..Default::default() }.is_calm());
        for on in [
            Misbehaviour { status: Some(503), ..Default::default() },
            Misbehaviour { delay_ms: Some(1), ..Default::default() },
            Misbehaviour { hang: true, ..Default::default() },
        ] {
            assert!(!on.is_calm(), "{on}");
        }
    }

    #[test]
    fn what_is_not_set_is_not_sent() {
        let json = serde_json::to_string(&Misbehaviour { status: Some(503), ..Default::default() }).unwrap();
        assert_eq!(json, r#"{"status":503}"#);
    }
}
