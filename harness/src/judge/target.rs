//! What is scraped: a page of metrics of one pod, and how to fetch it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use meshquake_promql::Labels;

use super::exposition::{self, Pages, Reading};
use crate::error::chain;
use crate::nearby;

/// More than any sidecar writes; a page without end must not fill the memory.
const LARGEST_PAGE: usize = 64 << 20;

/// Which of a pod's two containers the page is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Sidecar,
    App,
}

impl Kind {
    /// The container's name, as on a cluster.
    pub const fn container(self) -> &'static str {
        match self {
            Kind::Sidecar => "istio-proxy",
            Kind::App => "app",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A socket and the path of the page on it.
    Unix {
        socket: PathBuf,
        path: String,
    },
    Http(String),
    /// Where only the backend knows the way.
    By(Way),
}

/// Tells by its name on the page whether a metric is wanted.
pub type Wanted<'w> = &'w (dyn Fn(&str) -> bool + Sync);

impl Address {
    pub(super) fn keeps(&self, metric: &str) -> bool {
        match self {
            Address::By(way) => way.0.keeps(metric),
            Address::Unix { .. } | Address::Http(_) => true,
        }
    }

    pub(super) fn relabel(&self, labels: &mut Labels) {
        if let Address::By(way) = self {
            way.0.relabel(labels);
        }
    }
}

/// A way to a page that a backend has.
pub trait Page: Send + Sync {
    /// Equal for equal pages.
    fn name(&self) -> &str;

    fn text(&self, limit: Duration) -> BoxFuture<'_, Result<String, Error>>;

    /// Whether a metric of this name is wanted.
    fn keeps(&self, metric: &str) -> bool;

    /// Makes of a series' labels what they should have been.
    fn relabel(&self, labels: &mut Labels);
}

/// A backend's page, compared by its name.
#[derive(Clone)]
pub struct Way(Arc<dyn Page>);

impl Way {
    pub fn to(page: impl Page + 'static) -> Self {
        Self(Arc::new(page))
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Way {}

impl PartialOrd for Way {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Way {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name().cmp(other.0.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The pod.
    pub name: String,
    pub kind: Kind,
    pub address: Address,
    /// Added to each series: pod, namespace and the like. A label of the same name on the page becomes `exported_…`.
    pub labels: BTreeMap<String, String>,
}

impl Target {
    /// The labels that tell this target's series from those of all others.
    pub(super) fn constant(&self) -> Labels {
        let mut labels: Labels =
            self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in [("pod", self.name.as_str()), ("container", self.kind.container())] {
            if labels.get(name).is_empty() {
                labels.set(name, value);
            }
        }
        labels
    }
}

/// Why a page could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
    #[error("answered {0}")]
    Status(u16),
    #[error("the page is larger than {LARGEST_PAGE} bytes")]
    TooLarge,
    #[error("the page is not UTF-8")]
    NotText,
    #[error(transparent)]
    NotUnderstood(#[from] exposition::Error),
    #[error("{0}")]
    NotThere(String),
}

/// Fetches the page of one target; its connection is kept.
pub struct Fetcher(Route);

enum Route {
    Own { client: reqwest::Client, url: String },
    By { way: Way, limit: Duration },
}

impl Fetcher {
    pub fn new(address: &Address, limit: Duration) -> Result<Self, Error> {
        let builder = nearby::client().timeout(limit);
        let (builder, url) = match address {
            Address::Unix { socket, path } => {
                (builder.unix_socket(socket.as_path()), format!("http://localhost{path}"))
            }
            Address::Http(url) => (builder, url.clone()),
            Address::By(way) => return Ok(Self(Route::By { way: way.clone(), limit })),
        };
        Ok(Self(Route::Own { client: builder.build()?, url }))
    }

    /// The page as it is.
    pub async fn text(&self) -> Result<String, Error> {
        match &self.0 {
            Route::Own { client, url } => fetch(client, url).await,
            Route::By { way, limit } => way.0.text(*limit).await,
        }
    }

    /// What it has now, only of metrics whose name on the page is wanted: the others cost no more than a look at their
    /// name.
    pub async fn readings_of(&self, wanted: Wanted<'_>) -> Result<Vec<Reading>, Error> {
        let page = self.text().await?;
        let readings = match &self.0 {
            Route::Own { .. } => Pages::default().read(&page, wanted, |labels| labels)?,
            Route::By { way, .. } => {
                let kept = |metric: &str| way.0.keeps(metric) && wanted(metric);
                let relabelled = |mut labels: Labels| {
                    way.0.relabel(&mut labels);
                    labels
                };
                Pages::default().read(&page, kept, relabelled)?
            }
        };
        Ok(readings)
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<String, Error> {
    let mut response = client.get(url).send().await?;
    if !response.status().is_success() {
        return Err(Error::Status(response.status().as_u16()));
    }
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if page.len() + chunk.len() > LARGEST_PAGE {
            return Err(Error::TooLarge);
        }
        page.extend_from_slice(&chunk);
    }
    String::from_utf8(page).map_err(|_| Error::NotText)
}
