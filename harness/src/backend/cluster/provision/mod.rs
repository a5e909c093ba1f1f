//! How a cluster is reached: made and completed where it is ours to make (`kind`, `k3d`), looked at where it is not.
//!
//! [`stand`] goes until the API answers, [`Nodes::complete`] until Istio is in place; between the two, images can be
//! loaded. [`reach`] does both. Each step's time is kept, for the report and for whoever wants it faster.

mod addon;
mod by_hand;
mod context;
mod engine;
#[cfg(test)]
pub(super) mod fake;
mod istio;
mod load;
mod look;
mod machine;
mod made;
mod maker;
mod manifests;
mod mark;
mod pins;
mod record;
mod standing;
mod tool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, Config, ResourceExt};

use crate::backend::Choice;
use crate::backend::cluster::image;
use crate::backend::cluster::settings::{Prometheus, Settings};
use crate::backend::local::dirs;
use crate::wait;
pub use by_hand::ByHand;
pub use engine::{Engine, Error as EngineError};
pub use load::Loader;
pub use look::look;
pub use maker::Maker;
pub use pins::PINS;
pub use record::NAMESPACE;
pub use tool::{Error as ToolError, Tool, Which};

/// Whom progress is told.
pub type Tell<'t> = &'t (dyn Fn(String) + Sync);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tool(#[from] tool::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Machine(#[from] machine::Error),
    #[error(transparent)]
    Dirs(#[from] dirs::Error),
    #[error(transparent)]
    Mark(mark::Error),
    #[error(transparent)]
    Lock(#[from] mark::LockError),
    #[error(transparent)]
    Istio(#[from] istio::Error),
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
    #[error(transparent)]
    Image(#[from] Box<image::Error>),
    #[error(transparent)]
    NotReached(#[from] wait::NotReached),
    #[error("{name} is {found}, older than {wanted}, with which meshquake was tried; {how}")]
    Old { name: &'static str, found: String, wanted: String, how: String },
    #[error("the configuration {} cannot be read: {source}", .path.display())]
    Config { path: PathBuf, source: std::io::Error },
    #[error("a file of the settings cannot be read: {0}")]
    Settings(std::io::Error),
    #[error(
        "there is a {what} that meshquake did not make, and which it does not touch; choose another name: `name` under [cluster] in meshquake.toml"
    )]
    NotOurs { what: String, name: String },
    #[error("the {what} could not be made{}", .left.as_ref().map(|why| format!(", and what there was of it not removed ({why})")).unwrap_or_default())]
    Create { what: String, source: Box<tool::Error>, left: Option<String> },
    #[error("Istio could not be installed; the cluster stays, and the next try goes on from here")]
    Install(#[source] tool::Error),
    #[error("a file for a tool cannot be written: {0}")]
    File(#[source] std::io::Error),
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("the cluster does not answer as it should")]
    Api(#[source] kube::Error),
    #[error("the cluster of context `{name}` does not answer at {server}: {why}")]
    Silent { name: String, server: String, why: String },
    #[error("there is no context `{name}`; there are {known}{near}")]
    NoContext { name: String, known: String, near: String },
    #[error(
        "the cluster of context `{name}` looks like one that people depend on: {}; say `--yes-really` if it may be shaken",
        .reasons.join("; ")
    )]
    Production { name: String, reasons: Vec<String> },
    #[error(
        "nobody says where the gateway is reached: no Service with the label istio=ingressgateway has an address; say it by `entry` under [context] in meshquake.toml"
    )]
    NoEntry,
    #[error("`local` has no cluster")]
    Local,
}

/// A part of the way, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    pub took: Duration,
}

impl Step {
    pub fn new(what: &'static str, began: Instant) -> Self {
        Self { what, took: began.elapsed() }
    }
}

/// A cluster with Istio in it.
pub struct Reached {
    /// `kind-meshquake`
    pub name: String,
    pub client: Client,
    pub config: Config,
    pub context: String,
    /// In place of the person's own, for tools; none where it is the person's own.
    pub kubeconfig: Option<PathBuf>,
    /// Where the gateway is reached.
    pub entry: String,
    /// The label of a namespace into which sidecars are injected.
    pub injection: (String, String),
    pub versions: Vec<(String, String)>,
    /// It was made just now.
    pub made: bool,
    pub took: Vec<Step>,
    /// The way for images, where they can be loaded.
    pub loader: Option<Loader>,
}

/// A cluster whose API answers. While it lives, nobody else works on the cluster.
pub struct Nodes {
    which: Kin,
    took: Vec<Step>,
    settings: Settings,
}

enum Kin {
    Made(Box<standing::Standing>),
    /// Somebody else's: it is used as it is.
    Given(Box<Reached>),
}

/// The cluster as it is wanted, with Istio.
pub async fn reach(choice: &Choice, settings: &Settings, tell: Tell<'_>) -> Result<Reached, Error> {
    let mut nodes = stand(choice, settings, tell).await?;
    nodes.complete(tell).await?;
    nodes.reached().await
}

/// The cluster with Istio and with a world's images: what does not depend on each other is done at once.
pub async fn furnish(
    choice: &Choice,
    settings: &Settings,
    wanted: image::Wanted<'_>,
    tell: Tell<'_>,
) -> Result<(Reached, BTreeMap<String, String>), Error> {
    let boxed = |error: image::Error| Error::Image(Box::new(error));
    let began = Instant::now();
    let (prepared, nodes) = tokio::try_join!(
        async { image::prepare(wanted, settings, tell).await.map_err(boxed) },
        stand(choice, settings, tell)
    )?;
    let mut nodes = nodes;
    let loader = nodes.loader().cloned();
    let lock = nodes.lock().and_then(|lock| lock.try_clone().ok());
    let (references, ()) = tokio::try_join!(
        async { prepared.supply(loader.as_ref(), lock.as_ref(), tell).await.map_err(boxed) },
        nodes.complete(tell)
    )?;
    // Until it is closed the lock would be held.
    drop(lock);
    let reached = nodes.reached().await?;
    if reached.made {
        let steps = reached.took.iter().map(|step| format!("{} {:.1} s", step.what, step.took.as_secs_f64()));
        let steps = steps.collect::<Vec<_>>().join(", ");
        let all = began.elapsed().as_secs_f64();
        tell(format!("the cluster {} is ready after {all:.1} s: {steps}", reached.name));
    }
    Ok((reached, references))
}

/// The cluster as far as its API.
pub async fn stand(choice: &Choice, settings: &Settings, tell: Tell<'_>) -> Result<Nodes, Error> {
    let mut took = Vec::new();
    let which = match choice {
        Choice::Local => return Err(Error::Local),
        Choice::Kind | Choice::K3d => {
            let maker = if *choice == Choice::Kind { Maker::Kind } else { Maker::K3d };
            let standing = made::Shop::open(maker, settings)?.stand(&mut took, tell).await?;
            Kin::Made(Box::new(standing))
        }
        Choice::Context { name, yes_really } => {
            let began = Instant::now();
            let (client, config, kubernetes) = context::connect(name).await?;
            if !yes_really {
                let reasons = context::looks_like_production(&client, name).await.map_err(Error::Api)?;
                if !reasons.is_empty() {
                    return Err(Error::Production { name: name.clone(), reasons });
                }
            }
            // What we cannot give it must be there before anything is built for it.
            let istio = istio::find(&client, settings).await?;
            let entry = context::entry(&client, settings).await?;
            let nodes = node_names(&client).await.map_err(Error::Api)?;
            Kin::Given(Box::new(Reached {
                name: name.clone(),
                client,
                config,
                context: name.clone(),
                kubeconfig: None,
                entry,
                injection: istio.injection,
                versions: vec![("kubernetes".to_owned(), kubernetes), ("istio".to_owned(), istio.version)],
                made: false,
                took: vec![Step::new("API", began)],
                loader: match settings.images.registry {
                    // Who names a place for images means it.
                    Some(_) => None,
                    None => Loader::of_nodes(nodes).await,
                },
            }))
        }
    };
    Ok(Nodes { which, took, settings: settings.clone() })
}

impl Nodes {
    /// The way for images, where they can be loaded.
    pub fn loader(&self) -> Option<&Loader> {
        match &self.which {
            Kin::Made(standing) => Some(&standing.loader),
            Kin::Given(reached) => reached.loader.as_ref(),
        }
    }

    /// What tools that change the cluster hold on to.
    pub fn lock(&self) -> Option<&std::fs::File> {
        match &self.which {
            Kin::Made(standing) => Some(standing.lock()),
            Kin::Given(_) => None,
        }
    }

    /// Puts Istio into it where it is ours and has none yet, and the Prometheus that the settings ask for.
    pub async fn complete(&mut self, tell: Tell<'_>) -> Result<(), Error> {
        let addon = self.settings.prometheus == Prometheus::AddOn;
        match &mut self.which {
            Kin::Made(standing) => {
                standing.complete(&mut self.took, tell).await?;
                let began = Instant::now();
                if addon {
                    standing.put_prometheus(tell).await;
                    self.took.push(Step::new("Prometheus", began));
                }
            }
            Kin::Given(_) if addon => tell(
                "note: `addon` under [prometheus] is for clusters that meshquake makes; apply kind/addons/prometheus.yaml \
                 to this one, or name another by `url`"
                    .to_owned(),
            ),
            Kin::Given(_) => {}
        }
        Ok(())
    }

    /// The cluster for use, if it has an Istio that injects where it is asked.
    pub async fn reached(self) -> Result<Reached, Error> {
        let settings = &self.settings;
        match self.which {
            Kin::Made(standing) => {
                let found = istio::find(&standing.client, settings).await?;
                let mut versions = standing.versions;
                versions.push(("istio".to_owned(), found.version));
                let (maker, name) = (standing.shop.maker, settings.cluster.name.as_str());
                Ok(Reached {
                    name: maker.context(name),
                    client: standing.client,
                    config: standing.config,
                    context: maker.context(name),
                    kubeconfig: Some(standing.shop.desk.kubeconfig()),
                    entry: format!("http://127.0.0.1:{}", settings.cluster.port),
                    injection: found.injection,
                    versions,
                    made: standing.made,
                    took: self.took,
                    loader: Some(standing.loader),
                })
            }
            Kin::Given(reached) => Ok(*reached),
        }
    }
}

/// The cluster as it is, for those who only look, join or take back: nothing is made, completed or locked.
pub async fn find(choice: &Choice, settings: &Settings) -> Result<Option<Reached>, Error> {
    let (name, client, config, kubeconfig, entry) = match choice {
        Choice::Local => return Err(Error::Local),
        Choice::Kind | Choice::K3d => {
            let maker = if *choice == Choice::Kind { Maker::Kind } else { Maker::K3d };
            let shop = made::Shop::open(maker, settings)?;
            let Some((client, config)) = shop.find().await? else { return Ok(None) };
            let entry = format!("http://127.0.0.1:{}", settings.cluster.port);
            let kubeconfig = Some(shop.desk.kubeconfig());
            (maker.context(&settings.cluster.name), client, config, kubeconfig, entry)
        }
        Choice::Context { name, .. } => {
            let (client, config, _) = context::connect(name).await?;
            let entry = context::entry(&client, settings).await?;
            (name.clone(), client, config, None, entry)
        }
    };
    let found = istio::find(&client, settings).await?;
    Ok(Some(Reached {
        context: name.clone(),
        name,
        client,
        config,
        kubeconfig,
        entry,
        injection: found.injection,
        versions: vec![("istio".to_owned(), found.version)],
        made: false,
        took: vec![],
        loader: None,
    }))
}

/// Whether the cluster that meshquake makes is there and answers, as far as anybody can say.
pub async fn is_there(choice: &Choice, settings: &Settings) -> bool {
    matches!(find(choice, settings).await, Ok(Some(_)))
}

/// Removes the cluster that meshquake made; whether there was one.
pub async fn remove(choice: &Choice, settings: &Settings, tell: Tell<'_>) -> Result<bool, Error> {
    match choice {
        Choice::Kind => made::Shop::open(Maker::Kind, settings)?.take_away(tell).await,
        Choice::K3d => made::Shop::open(Maker::K3d, settings)?.take_away(tell).await,
        Choice::Local | Choice::Context { .. } => Ok(false),
    }
}

/// The contexts of the person's kubeconfig, for a message.
pub fn contexts() -> Result<String, Error> {
    context::known()
}

async fn node_names(client: &Client) -> Result<Vec<String>, kube::Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list_metadata(&ListParams::default()).await?;
    Ok(nodes.iter().map(ResourceExt::name_any).collect())
}
