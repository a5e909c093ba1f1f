//! The same way by hand: what a person types with the tools alone, one command after the other, with the same files and
//! settings. Nobody needs it but whoever wants to know what our way is worth beside it.
//!
//! The cluster has a name and a port of its own. It is marked as ours before it is begun, so that one that a killed
//! process left behind is removed by the next.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::made::{LOCK_LIMIT, Shop};
use super::maker::{ISTIO_VALUES, Maker};
use super::mark::Stage;
use super::tool::{Tool, Which};
use super::{Error, Step, Tell, istio, machine};
use crate::backend::cluster::image::{self, ByHand as Image, Wanted};
use crate::backend::cluster::kinds::Kinds;
use crate::backend::cluster::settings::Settings;
use crate::backend::cluster::world as placing;
use crate::world::{Images, World};

/// As long as a person would let `kubectl wait` wait.
const WAIT: &str = "--timeout=180s";

/// A cluster that is going to be made by hand.
pub struct ByHand {
    shop: Shop,
    istioctl: Tool,
    kubectl: Tool,
    images: Vec<Image>,
    /// The world's objects, with the images that are loaded.
    world: tempfile::NamedTempFile,
    namespaces: Vec<String>,
    lock: File,
    /// Its tool has made it, and is not in the middle of it.
    made: AtomicBool,
}

impl ByHand {
    /// Everything that is not counted: what is left of an earlier try is removed, the images are built and written.
    pub async fn prepare(
        maker: Maker,
        settings: &Settings,
        world: &World,
        tell: Tell<'_>,
    ) -> Result<Self, Error> {
        let settings = beside(maker, settings).map_err(Error::File)?;
        let mut shop = Shop::open(maker, &settings)?;
        let lock = shop.desk.lock(LOCK_LIMIT, tell).await?;
        if shop.desk.mark().is_some() {
            tell(format!("removing the {}, which an earlier try has left", shop.title()));
            shop.clear_away(&lock).await?;
        } else if shop.is_there().await? {
            return Err(Error::NotOurs { what: shop.title(), name: shop.name().to_owned() });
        }
        let istioctl = istio::istioctl(&settings).await?;
        let mut kubectl = Tool::find(Which::Kubectl, "")?;
        kubectl.kubeconfig = Some(shop.desk.kubeconfig());
        shop.tool.kubeconfig = Some(shop.desk.kubeconfig());
        let boxed = |error| Error::Image(Box::new(error));
        let wanted =
            Wanted { folder: &world.folder, images: &world.images, built: &Images::new(), own: None };
        let prepared = image::prepare(wanted, &settings, tell).await.map_err(boxed)?;
        let images = prepared.by_hand(&shop.engine).await.map_err(boxed)?;
        let references = images.iter().map(|(name, image)| (name.clone(), image.reference.clone())).collect();
        let placed =
            placing::place(world, &references, "by-hand", &istio::injection(&settings), &Kinds::default());
        let file = listed(&placed).map_err(Error::File)?;
        let namespaces = placed.workloads.iter().cloned().collect();
        let facts = shop.engine.facts().await?;
        machine::check_size(&facts, &settings)?;
        machine::check_port(&shop.engine, settings.cluster.port).await?;
        shop.desk.set(Stage::Begun, "by-hand").map_err(Error::Mark)?;
        let images = images.into_values().collect();
        Ok(Self {
            shop,
            istioctl,
            kubectl,
            images,
            world: file,
            namespaces,
            lock,
            made: AtomicBool::new(false),
        })
    }

    /// Where its gateway is reached.
    pub fn entry(&self) -> String {
        format!("http://127.0.0.1:{}", self.shop.settings.cluster.port)
    }

    /// All commands, one after the other, and how long each took. Whoever gives up waiting removes what there is.
    pub async fn go(&self) -> Result<Vec<Step>, Error> {
        let mut took = Vec::new();
        let began = Instant::now();
        self.create().await?;
        took.push(Step::new("create the cluster", began));
        let began = Instant::now();
        self.load().await?;
        took.push(Step::new("load the images", began));
        let began = Instant::now();
        self.install().await?;
        took.push(Step::new("istioctl install", began));
        let settings = &self.shop.settings;
        if !settings.istio.manifests.is_empty() {
            let began = Instant::now();
            self.apply(settings.istio.manifests.iter().map(AsRef::as_ref)).await?;
            took.push(Step::new("kubectl apply, what comes after Istio", began));
        }
        let began = Instant::now();
        self.apply(std::iter::once(self.world.path())).await?;
        took.push(Step::new("kubectl apply, the world", began));
        let began = Instant::now();
        for namespace in &self.namespaces {
            let words =
                ["wait", "--for=condition=Available", "deployment", "--all", "--namespace", namespace, WAIT];
            self.kubectl.act(&words, Some(&self.lock), &|_| {}).await?;
        }
        took.push(Step::new("kubectl wait", began));
        Ok(took)
    }

    /// The cluster is gone afterwards, however far it had come.
    pub async fn remove(self) -> Result<(), Error> {
        match self.made.into_inner() {
            true => self.shop.remove(&self.lock).await,
            false => self.shop.clear_away(&self.lock).await,
        }
    }

    async fn create(&self) -> Result<(), Error> {
        let Shop { maker, tool, desk, settings, .. } = &self.shop;
        let config = maker.config(settings).map_err(|(path, source)| Error::Config { path, source })?;
        let config = desk.file("config.yaml", &config).map_err(Error::Mark)?;
        let words = maker.create(settings, &config, &desk.kubeconfig());
        tool.act(&words, Some(&self.lock), &|_| {}).await?;
        self.made.store(true, Ordering::Relaxed);
        if *maker == Maker::K3d {
            let text = tool.ask(&maker.kubeconfig(self.shop.name())).await?;
            desk.file("kubeconfig", &text).map_err(Error::Mark)?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<(), Error> {
        let Shop { maker, tool, engine, settings, .. } = &self.shop;
        let (archives, engines): (Vec<&Image>, Vec<&Image>) =
            self.images.iter().partition(|image| image.archive.is_some());
        let mut named: Vec<String> = engines.iter().map(|image| image.reference.clone()).collect();
        for image in istio::images(istio::wanted(settings)) {
            // What the engine lacks the cluster pulls.
            if engine.image(&image).await.is_some() {
                named.push(image);
            }
        }
        if !named.is_empty() {
            tool.act(&maker.import_named(settings, &named), Some(&self.lock), &|_| {}).await?;
        }
        for file in archives.iter().filter_map(|image| image.archive.as_ref()) {
            tool.act(&maker.import(settings, file.path()), Some(&self.lock), &|_| {}).await?;
        }
        Ok(())
    }

    async fn install(&self) -> Result<(), Error> {
        let Shop { maker, desk, settings, .. } = &self.shop;
        let ours = desk.file("istio.yaml", ISTIO_VALUES).map_err(Error::Mark)?;
        let kubeconfig = desk.kubeconfig().display().to_string();
        let words = istio::install(settings, &kubeconfig, &maker.context(self.shop.name()), ours);
        self.istioctl.act(&words, Some(&self.lock), &|_| {}).await?;
        Ok(())
    }

    async fn apply(&self, files: impl Iterator<Item = &Path>) -> Result<(), Error> {
        let mut words = vec!["apply".to_owned()];
        words.extend(files.flat_map(|file| ["--filename".to_owned(), file.display().to_string()]));
        self.kubectl.act(&words, Some(&self.lock), &|_| {}).await?;
        Ok(())
    }
}

/// The settings of a cluster beside the one that is meant: all the same but its name and its port.
fn beside(maker: Maker, settings: &Settings) -> std::io::Result<Settings> {
    let mut settings = settings.clone();
    settings.cluster.name = format!("{}-by-hand", settings.cluster.name);
    // A person's own configuration says its port itself.
    if maker.settings(&settings).config.is_none() {
        settings.cluster.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    }
    Ok(settings)
}

/// The objects as `kubectl apply` takes them: namespaces first.
fn listed(placed: &placing::Placed) -> std::io::Result<tempfile::NamedTempFile> {
    let namespace = |name: &String| {
        let plain = || json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        placed.namespace_objects.get(name).cloned().unwrap_or_else(plain)
    };
    let objects: Vec<Value> =
        placed.namespaces.iter().map(namespace).chain(placed.objects.iter().cloned()).collect();
    let mut file = tempfile::Builder::new().prefix("meshquake-").suffix(".json").tempfile()?;
    file.write_all(json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string().as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use meshquake_xds::source::Place;

    use super::*;
    use crate::backend::cluster::provision::engine::Engine;
    use crate::backend::cluster::provision::fake;
    use crate::backend::cluster::provision::mark::Desk;

    #[test]
    fn a_cluster_beside_ours_differs_by_name_and_port_alone() {
        let ours = Settings::default();
        let hand = beside(Maker::Kind, &ours).expect("a free port");
        assert_eq!(hand.cluster.name, "meshquake-by-hand");
        assert_ne!(hand.cluster.port, ours.cluster.port);
        assert_eq!((hand.kind, hand.istio), (ours.kind, ours.istio));
        let mut own = Settings::default();
        own.kind.config = Some("/my.yaml".into());
        assert_eq!(beside(Maker::Kind, &own).expect("settings").cluster.port, own.cluster.port);
    }

    #[tokio::test]
    async fn the_commands_are_those_that_a_person_types() {
        let folder = tempfile::tempdir().expect("a folder");
        let docker = "case \"$1\" in image) echo sha256:x ;; esac";
        let tool = |which| fake::tool(folder.path(), which, "");
        let mut settings = Settings::default();
        settings.cluster.name = "x".into();
        settings.kind.node_image = Some("node:1".into());
        settings.istio.version = Some("1.0".into());
        settings.istio.manifests = vec!["/telemetry.yaml".into()];
        let shop = Shop {
            maker: Maker::Kind,
            tool: tool(Which::Kind),
            engine: Engine::of(fake::tool(folder.path(), Which::Docker, docker)),
            desk: Desk::new(folder.path(), Maker::Kind, "x"),
            settings,
        };
        let world =
            World::load("pinning", None, Path::new(env!("CARGO_MANIFEST_DIR")), &Place::new("test", 1))
                .expect("the world");
        let placed = placing::place(
            &world,
            &Default::default(),
            "by-hand",
            &("a".into(), "b".into()),
            &Kinds::default(),
        );
        let hand = ByHand {
            shop,
            istioctl: tool(Which::Istioctl),
            kubectl: tool(Which::Kubectl),
            images: vec![Image {
                reference: "shop:1".into(),
                archive: Some(tempfile::NamedTempFile::new().expect("a file")),
            }],
            world: listed(&placed).expect("written"),
            namespaces: vec!["pinning".into()],
            lock: tempfile::tempfile().expect("a file"),
            made: AtomicBool::new(false),
        };
        let steps = hand.go().await.expect("all of them");
        let words = steps.iter().map(|step| step.what).collect::<Vec<_>>();
        let mut calls = fake::calls(folder.path());
        calls.retain(|call| !call.starts_with("docker"));
        let begin = |call: &String| call.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        assert_eq!(
            calls.iter().map(begin).collect::<Vec<_>>(),
            [
                "kind create cluster",
                "kind load docker-image",
                "kind load image-archive",
                "istioctl install --skip-confirmation",
                "kubectl apply --filename",
                "kubectl apply --filename",
                "kubectl wait --for=condition=Available"
            ]
        );
        assert!(
            calls[1].ends_with("docker.io/istio/pilot:1.0 docker.io/istio/proxyv2:1.0 --name x"),
            "{calls:?}"
        );
        assert_eq!(words.first().zip(words.last()), Some((&"create the cluster", &"kubectl wait")));
        let list: Value =
            serde_json::from_slice(&std::fs::read(hand.world.path()).expect("there")).expect("JSON");
        assert_eq!(list["items"][0]["kind"], "Namespace", "what others lie in comes first");
        hand.remove().await.expect("removed");
        assert_eq!(
            fake::calls(folder.path()).last().map(String::as_str),
            Some("kind delete cluster --name x")
        );
    }
}
