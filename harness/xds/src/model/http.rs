//! HTTP routes as VirtualServices describe them; checked values, shared by the intent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Percent;
use crate::source::Place;

/// A rule: what it matches, and what becomes of such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    pub place: Place,
    pub name: String,
    /// Any of them; none means every request.
    pub matches: Vec<HttpMatch>,
    pub action: HttpAction,
    /// `None` is no timeout at all, as under Istio.
    pub timeout: Option<Duration>,
    pub retries: Retries,
    pub fault: Fault,
    pub mirrors: Vec<Mirror>,
    pub headers: Headers,
    pub rewrite: Option<Rewrite>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAction {
    Forward(Vec<Forward>),
    Redirect(Redirect),
    Respond { status: u16, body: Option<String> },
}

/// A destination and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub destination: Destination,
    pub weight: u32,
    pub headers: Headers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub place: Place,
    /// Fully qualified.
    pub host: String,
    pub subset: Option<String>,
    pub port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpMatch {
    pub place: Place,
    pub name: String,
    pub port: Option<u16>,
    pub source: SourceMatch,
    pub request: RequestMatch,
}

/// Which proxies a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMatch {
    /// `mesh`, or `namespace/name`; where given, labels and namespace are not looked at.
    pub gateways: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub namespace: Option<String>,
    pub place: Option<Place>,
}

/// Which requests a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMatch {
    pub uri: Option<StringMatch>,
    pub ignore_uri_case: bool,
    pub scheme: Option<StringMatch>,
    pub method: Option<StringMatch>,
    pub authority: Option<StringMatch>,
    /// `None` asks for presence alone.
    pub headers: BTreeMap<String, Option<StringMatch>>,
    pub without_headers: BTreeMap<String, Option<StringMatch>>,
    pub query: BTreeMap<String, Option<StringMatch>>,
}

impl RequestMatch {
    /// Whether every request fits, so that no later rule is ever reached.
    pub fn is_catch_all(&self) -> bool {
        let any_uri = match &self.uri {
            None => true,
            Some(StringMatch::Prefix(prefix)) => prefix == "/",
            Some(StringMatch::Regex(regex)) => regex == "*" || regex == ".*",
            Some(StringMatch::Exact(_)) => false,
        };
        any_uri
            && *self
                == Self { uri: self.uri.clone(), ignore_uri_case: self.ignore_uri_case, ..Self::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    Exact(String),
    Prefix(String),
    Regex(String),
}

/// How often a call is tried again, and after what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// 0 is never.
    pub attempts: u32,
    /// Envoy's conditions.
    pub on: Vec<String>,
    pub codes: Vec<u32>,
    pub per_try_timeout: Option<Duration>,
    pub backoff: Option<Duration>,
    /// Prefer a host that was not yet tried.
    pub other_hosts: bool,
}

impl Default for Retries {
    /// Istio's: what failed before a request could have had an effect is tried twice more.
    fn default() -> Self {
        let on = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];
        Self {
            attempts: 2,
            on: on.map(str::to_owned).to_vec(),
            codes: Vec::new(),
            per_try_timeout: None,
            backoff: None,
            other_hosts: true,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    pub place: Place,
    pub duration: Duration,
    pub percent: Percent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    pub place: Place,
    pub status: AbortStatus,
    pub percent: Percent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    Http(u16),
    Grpc(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub destination: Destination,
    pub percent: Percent,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    pub request: HeaderOps,
    pub response: HeaderOps,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    pub set: BTreeMap<String, String>,
    pub add: BTreeMap<String, String>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    pub uri: Option<String>,
    /// Pattern and substitution.
    pub regex: Option<(String, String)>,
    pub authority: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pub uri: Option<String>,
    pub authority: Option<String>,
    pub scheme: Option<String>,
    pub port: RedirectPort,
    pub code: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPort {
    /// Of the scheme.
    Default,
    OfRequest,
    Number(u16),
}
