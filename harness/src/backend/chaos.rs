//! A pod's own chaos switch: the service itself fails, so that retries and ejection see a real failure. On the same
//! socket the service makes a call when it is asked to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};

use super::call::{Call, Told};
use super::cluster::forward::{self, Forward};
use crate::nearby;

/// How long a switch may take to answer.
const LIMIT: Duration = Duration::from_secs(3);
const SWITCH: &str = "/chaos";

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
    #[error("the chaos switch of pod {pod} does not answer")]
    Forward {
        pod: String,
        #[source]
        source: forward::Error,
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
    Pod(Forward),
}

/// A reachable switch.
pub struct Switch {
    pod: String,
    way: Way,
}

enum Way {
    Socket(reqwest::Client),
    Forward(Forward),
}

impl Switch {
    pub fn at(pod: &str, address: &Address) -> Result<Self, Error> {
        let way = match address {
            Address::Unix(path) => {
                let builder = nearby::client().unix_socket(path.clone());
                let client = builder.build();
                Way::Socket(client.map_err(|source| Error::Unreachable { pod: pod.into(), source })?)
            }
            Address::Pod(forward) => Way::Forward(forward.clone()),
        };
        Ok(Self { pod: pod.into(), way })
    }

    pub async fn on(&self, misbehaviour: &Misbehaviour) -> Result<(), Error> {
        let wanted = serde_json::to_string(misbehaviour).unwrap_or_default();
        self.send(Method::PUT, SWITCH, Some(wanted), LIMIT).await.map(drop)
    }

    pub async fn off(&self) -> Result<(), Error> {
        self.send(Method::DELETE, SWITCH, None, LIMIT).await.map(drop)
    }

    pub async fn state(&self) -> Result<Misbehaviour, Error> {
        let answer = self.send(Method::GET, SWITCH, None, LIMIT).await?;
        serde_json::from_str(&answer).map_err(|_| Error::Refused { pod: self.pod.clone(), answer })
    }

    /// Has the service make a call, as it would by itself, and tells what came of it.
    pub async fn call(&self, call: &Call) -> Result<Told, Error> {
        let asked = serde_json::to_string(call).unwrap_or_default();
        let limit = LIMIT + Duration::from_millis(call.within_ms);
        let answer = self.send(Method::POST, "/call", Some(asked), limit).await?;
        serde_json::from_str(&answer).map_err(|_| Error::Refused { pod: self.pod.clone(), answer })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<String>,
        limit: Duration,
    ) -> Result<String, Error> {
        let pod = || self.pod.clone();
        let (status, text) = match &self.way {
            Way::Socket(client) => {
                let unreachable = |source| Error::Unreachable { pod: pod(), source };
                let mut request = client.request(method, format!("http://switch{path}")).timeout(limit);
                if let Some(json) = json {
                    request = request.header(http::header::CONTENT_TYPE, "application/json").body(json);
                }
                let answer = request.send().await.map_err(unreachable)?;
                (answer.status(), answer.text().await.map_err(unreachable)?)
            }
            Way::Forward(forward) => {
                let answer = forward.send(method, path, json, limit).await;
                let (status, body) = answer.map_err(|source| Error::Forward { pod: pod(), source })?;
                (status, String::from_utf8_lossy(&body).into_owned())
            }
        };
        if status.is_success() {
            return Ok(text);
        }
        Err(Error::Refused { pod: pod(), answer: format!("{status} {}", text.trim()) })
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
