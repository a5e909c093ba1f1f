//! A cluster that kind or k3d makes: found, completed, made anew, removed.
//!
//! ```text
//! lock ─► is it there? ─┬─ yes, ours and as wanted ────────────────────────────────► use it
//!                       ├─ yes, ours, not ready ── API answers ── go on with Istio
//!                       ├─ yes, ours, otherwise configured or dead ── remove ──┐
//!                       ├─ yes, not ours ── refuse                             │
//!                       └─ no ── size, port ── mark ── create ◄────────────────┘ ── go on with Istio
//! ```

use std::cmp;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::engine::Engine;
use super::load::{self, Loader, Way};
use super::maker::{ISTIO_VALUES, Maker};
use super::mark::{Desk, Stage};
use super::record::Record;
use super::standing::Standing;
use super::tool::Tool;
use super::{Error, Step, Tell, istio, machine};
use crate::backend::cluster::settings::Settings;
use crate::backend::local::dirs::Dirs;
use crate::wait::{self, Seen};

/// How long somebody else may work on the cluster: a first try may pull images.
pub(super) const LOCK_LIMIT: Duration = Duration::from_secs(900);
/// How long the API of a cluster that is there may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// And that of one that was just made.
const NEW_LIMIT: Duration = Duration::from_secs(120);
/// For how long nothing may come of a cluster that was given up, until it is believed to be gone.
const CALM: Duration = Duration::from_secs(2);
/// Between two looks for it.
const BEAT: Duration = Duration::from_millis(200);
/// How long that may take at all: somebody has pressed Ctrl-C and waits.
const ABANDON_LIMIT: Duration = Duration::from_secs(20);

/// The tools for one cluster, and where its things lie.
pub(super) struct Shop {
    pub maker: Maker,
    pub tool: Tool,
    pub engine: Engine,
    pub desk: Desk,
    pub settings: Settings,
}

impl Shop {
    pub fn open(maker: Maker, settings: &Settings) -> Result<Self, Error> {
        let folder = Dirs::from_env().and_then(|dirs| dirs.clusters())?;
        let desk = Desk::new(&folder, maker, &settings.cluster.name);
        let mut tool = Tool::find(maker.which(), maker.version())?;
        tool.kubeconfig = Some(desk.kubeconfig());
        Ok(Self { maker, tool, engine: Engine::find()?, desk, settings: settings.clone() })
    }

    pub fn name(&self) -> &str {
        &self.settings.cluster.name
    }

    /// What a person calls it.
    pub fn title(&self) -> String {
        format!("{} cluster `{}`", self.maker.name(), self.name())
    }

    pub async fn is_there(&self) -> Result<bool, Error> {
        let listed = self.tool.ask(self.maker.list()).await?;
        Ok(self.maker.listed(&listed).iter().any(|name| name == self.name()))
    }

    /// Removes the cluster and what its tool may leave behind.
    pub async fn remove(&self, lock: &File) -> Result<(), Error> {
        self.tool.act(&self.maker.delete(self.name()), Some(lock), &|_| {}).await?;
        self.sweep().await;
        self.desk.clear();
        Ok(())
    }

    /// Removes what there is of a cluster whose making was given up. What the engine was asked for already it goes on
    /// making, though nobody waits for the answer any more: so it is looked again until nothing has come for a while.
    async fn abandon(&self) -> bool {
        let delete = async || self.tool.act(&self.maker.delete(self.name()), None, &|_| {}).await.is_ok();
        let until_calm = async {
            let mut gone = delete().await;
            let mut since = Instant::now();
            while since.elapsed() < CALM {
                match self.is_there().await {
                    Ok(false) => tokio::time::sleep(BEAT).await, // pacing
                    Ok(true) => (gone, since) = (delete().await, Instant::now()),
                    Err(_) => return false,
                }
            }
            self.sweep().await;
            gone
        };
        tokio::time::timeout(ABANDON_LIMIT, until_calm).await.unwrap_or(false)
    }

    /// The same for one whose maker is no more, with the reason where that cannot be done.
    pub async fn clear_away(&self, lock: &File) -> Result<(), Error> {
        if !self.abandon().await {
            self.remove(lock).await?;
        }
        self.desk.clear();
        Ok(())
    }

    async fn sweep(&self) {
        let Some((network, volume)) = self.maker.leftovers(self.name()) else { return };
        for words in [["network", "rm", network.as_str()], ["volume", "rm", volume.as_str()]] {
            // That it is not there is what we want.
            let _ = self.engine.ask(&words).await;
        }
    }

    /// `down --cluster`: whether there was one.
    pub async fn take_away(&self, tell: Tell<'_>) -> Result<bool, Error> {
        let lock = self.desk.lock(LOCK_LIMIT, tell).await?;
        if !self.is_there().await? {
            self.sweep().await;
            self.desk.clear();
            return Ok(false);
        }
        if self.desk.mark().is_none() && self.recorded().await.is_none() {
            return Err(Error::NotOurs { what: self.title(), name: self.name().to_owned() });
        }
        self.remove(&lock).await?;
        Ok(true)
    }

    /// The cluster as it is, without touching it; nothing where we have never made one.
    pub async fn find(&self) -> Result<Option<(Client, Config)>, Error> {
        match self.desk.kubeconfig().exists() {
            true => self.connect(ANSWER_LIMIT).await.map(Some),
            false => Ok(None),
        }
    }

    /// What there is of the cluster and what would be done with it; nothing is changed.
    pub async fn condition(&self) -> Result<Option<Found>, Error> {
        if !self.is_there().await? {
            return Ok(None);
        }
        let config =
            self.maker.config(&self.settings).map_err(|(path, source)| Error::Config { path, source })?;
        self.look(&self.digest(&config)?).await.map(Some)
    }

    async fn recorded(&self) -> Option<Record> {
        let (client, _) = self.connect(ANSWER_LIMIT).await.ok()?;
        Record::read(&client).await.ok().flatten()
    }

    /// Finds the cluster as it is wanted, or makes it so, until its API answers.
    pub async fn stand(self, took: &mut Vec<Step>, tell: Tell<'_>) -> Result<Standing, Error> {
        let mut versions = vec![(self.maker.name().to_owned(), self.version(tell).await?)];
        let config =
            self.maker.config(&self.settings).map_err(|(path, source)| Error::Config { path, source })?;
        let digest = self.digest(&config)?;
        let lock = self.desk.lock(LOCK_LIMIT, tell).await?;
        let facts = self.engine.facts().await?;
        versions.push(("docker".to_owned(), facts.version.clone()));
        if self.desk.mark().is_some_and(|mark| mark.stage == Stage::Begun) {
            tell(format!("the {} {HALF_MADE}; making it anew", self.title()));
            // It may not even show yet: its tool died with whoever called it, and the engine goes on for a moment.
            self.clear_away(&lock).await?;
        }
        if self.is_there().await? {
            match self.look(&digest).await? {
                Found::Usable { client, config, complete } => {
                    let standing = self.standing(lock, client, *config, versions, digest, false).await?;
                    return Ok(Standing { complete, ..standing });
                }
                Found::Remake(why) => {
                    tell(format!("the {} {why}; making it anew", self.title()));
                    self.remove(&lock).await?;
                }
            }
        }
        machine::check_size(&facts, &self.settings)?;
        machine::check_port(&self.engine, self.settings.cluster.port).await?;
        // Known before the cluster is begun, that nothing is found wrong half-way.
        istio::istioctl(&self.settings).await?;
        let file = self.desk.file("config.yaml", &config).map_err(Error::Mark)?;
        self.desk.set(Stage::Begun, &digest).map_err(Error::Mark)?;
        let profile = self.settings.cluster.profile.name();
        tell(format!("making the {} ({profile})", self.title()));
        let began = Instant::now();
        self.create_and_feed(&file, &lock).await?;
        took.push(Step::new("nodes", began));
        let began = Instant::now();
        let (client, config) = self.connect(NEW_LIMIT).await?;
        self.desk.set(Stage::Answers, &digest).map_err(Error::Mark)?;
        let version = istio::wanted(&self.settings).to_owned();
        let record = Record { digest: digest.clone(), ready: false, istio: version };
        record.write(&client).await.map_err(Error::Api)?;
        took.push(Step::new("API", began));
        self.standing(lock, client, config, versions, digest, true).await
    }

    async fn standing(
        self,
        lock: File,
        client: Client,
        config: Config,
        mut versions: Vec<(String, String)>,
        digest: String,
        made: bool,
    ) -> Result<Standing, Error> {
        let server = client.apiserver_version().await.map_err(Error::Api)?;
        versions.push(("kubernetes".to_owned(), server.git_version.trim_start_matches('v').to_owned()));
        versions.push(("node image".to_owned(), self.maker.node_image(&self.settings).to_owned()));
        let nodes = super::node_names(&client).await.map_err(Error::Api)?;
        let way = Way::Maker {
            maker: self.maker,
            tool: self.tool.clone(),
            settings: Box::new(self.settings.clone()),
        };
        let loader = Loader { way, engine: self.engine.clone(), nodes };
        Ok(Standing { shop: self, client, config, versions, digest, made, complete: false, loader, lock })
    }

    /// The tool's version; one that is older than what was tried is refused, a newer one is told.
    async fn version(&self, tell: Tell<'_>) -> Result<String, Error> {
        let (found, order) = self.maker.found(&self.tool).await?;
        let (name, wanted) = (self.maker.name(), self.maker.version());
        match order {
            cmp::Ordering::Less => {
                let how = self.maker.which().how(wanted);
                return Err(Error::Old { name, found, wanted: wanted.to_owned(), how });
            }
            cmp::Ordering::Greater => {
                tell(format!("note: {name} is {found}; meshquake was tried with {wanted}"))
            }
            cmp::Ordering::Equal => {}
        }
        Ok(found)
    }

    fn digest(&self, config: &str) -> Result<String, Error> {
        let mut settings = self.settings.clone();
        settings.istio.version = Some(istio::wanted(&settings).to_owned());
        let mut maker = self.maker.settings(&settings).clone();
        maker.node_image = Some(self.maker.node_image(&settings).to_owned());
        // Our own values for Istio are part of what shapes the cluster.
        let config = format!("{config}\n{ISTIO_VALUES}");
        settings.digest(self.maker.name(), &maker, &config).map_err(Error::Settings)
    }

    /// What is to be done with the cluster that is there.
    async fn look(&self, digest: &str) -> Result<Found, Error> {
        let mark = self.desk.mark();
        if mark.as_ref().is_some_and(|mark| mark.stage == Stage::Begun) {
            return Ok(Found::Remake(HALF_MADE));
        }
        let not_ours = || Error::NotOurs { what: self.title(), name: self.name().to_owned() };
        let (client, config) = match self.connect(ANSWER_LIMIT).await {
            Ok(connected) => connected,
            Err(_) if mark.is_some() => return Ok(Found::Remake("does not answer any more")),
            Err(_) => return Err(not_ours()),
        };
        match Record::read(&client).await.map_err(Error::Api)? {
            Some(record) if record.digest == digest => {
                Ok(Found::Usable { client, config: Box::new(config), complete: record.ready })
            }
            Some(_) => Ok(Found::Remake("was made from another configuration")),
            None if mark.is_some() => Ok(Found::Remake(HALF_MADE)),
            None => Err(not_ours()),
        }
    }

    /// While its control plane comes up, the nodes get Istio's images.
    async fn create_and_feed(&self, config: &Path, lock: &File) -> Result<(), Error> {
        // Of a person's own configuration we do not know the nodes.
        let nodes = match self.maker.settings(&self.settings).config {
            Some(_) => vec![],
            None => self.maker.nodes(self.name(), self.settings.cluster.profile),
        };
        let images = istio::images(istio::wanted(&self.settings));
        let made = AtomicBool::new(false);
        let feed = async {
            if let Err(error) = load::feed(&self.engine, &images, &nodes, &made).await {
                tracing::debug!(%error, "images wait for the cluster");
            }
        };
        let create = self.create(config, lock);
        tokio::pin!(create, feed);
        tokio::select! {
            created = &mut create => {
                created?;
                made.store(true, Ordering::Relaxed);
                feed.await;
                Ok(())
            }
            () = &mut feed => create.await,
        }
    }

    async fn create(&self, config: &Path, lock: &File) -> Result<(), Error> {
        let words = self.maker.create(&self.settings, config, &self.desk.kubeconfig());
        let unfinished = Unfinished { shop: self, armed: true };
        match self.tool.act(&words, Some(lock), &|_| {}).await {
            Ok(_) => {
                unfinished.finished();
                Ok(())
            }
            Err(error) => {
                unfinished.finished();
                let left = self.remove(lock).await.err().map(|error| error.to_string());
                Err(Error::Create { what: self.title(), source: Box::new(error), left })
            }
        }
    }

    /// A client by our own kubeconfig, written anew: the API may have moved to another port.
    async fn connect(&self, limit: Duration) -> Result<(Client, Config), Error> {
        let text = self.tool.ask(&self.maker.kubeconfig(self.name())).await?;
        let file = self.desk.file("kubeconfig", &text).map_err(Error::Mark)?;
        let kubeconfig = Kubeconfig::read_from(&file)?;
        let context = kubeconfig.current_context.clone();
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let client = Client::try_from(config.clone()).map_err(Error::Api)?;
        let what = format!("the API of the {}", self.title());
        wait::until(what, limit, async || {
            match tokio::time::timeout(Duration::from_secs(3), client.apiserver_version()).await {
                Ok(Ok(_)) => Seen::Done(()),
                Ok(Err(error)) => Seen::NotYet(crate::error::chain(&error)),
                Err(_) => Seen::NotYet("no answer within 3 s".into()),
            }
        })
        .await?;
        Ok((client, config))
    }
}

/// What is told of a cluster that an earlier try has begun and not finished.
const HALF_MADE: &str = "was left half-made by an earlier try";

/// A cluster that is there.
pub(super) enum Found {
    Usable { client: Client, config: Box<Config>, complete: bool },
    Remake(&'static str),
}

/// A cluster that is being made: removed again should nobody wait for it any more.
struct Unfinished<'s> {
    shop: &'s Shop,
    armed: bool,
}

impl Unfinished<'_> {
    fn finished(mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let shop = self.shop;
        // Nobody is left to wait for it but this thread, and its own runtime does nothing any more.
        let abandoned = std::thread::scope(|scope| {
            let abandon = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                Some(runtime.block_on(shop.abandon()))
            };
            scope.spawn(abandon).join().ok().flatten()
        });
        // The mark stays where it could not be removed, so that the next try does it.
        if abandoned == Some(true) {
            shop.desk.clear();
        }
    }
}

#[cfg(test)]
mod tests;
