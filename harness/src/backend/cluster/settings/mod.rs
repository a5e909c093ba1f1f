//! `meshquake.toml`: what a person wants otherwise about clusters, Istio, metrics and images. Everything is optional.
//!
//! ```toml
//! [cluster]
//! name = "meshquake"            # of the kind or k3d cluster
//! port = 8000                   # of this machine; leads to the gateway, on 127.0.0.1 only
//! profile = "one-node"          # or "three-nodes"
//! [kind]                        # and [k3d] likewise
//! config = "my-kind.yaml"       # in place of ours; must lead a port of the host to node port 30080
//! node-image = "kindest/node:v1.34.11"
//! create = ["--retain"]         # handed on to `kind create cluster`
//! import = []                   # handed on to `kind load`
//! [context]
//! entry = "http://10.0.0.7"     # where the gateway is reached; else by its Service
//! [istio]
//! version = "1.31.1"
//! revision = "canary"           # label `istio.io/rev` in place of `istio-injection`
//! values = ["overlay.yaml"]     # handed to `istioctl install` by `-f`, after ours
//! manifests = ["extra.yaml"]    # applied after Istio
//! [metrics]
//! interval = "1s"
//! relabel = [{source = ["raw"], regex = "([^;]*);.*", target = "app", replacement = "$1"}]
//! [prometheus]                  # asked every objective as well
//! addon = true                  # ours, put into a cluster that we make; it gets the rules above
//! url = "http://127.0.0.1:9090" # or a person's own
//! [images]
//! build = "host"                # by cargo, or "dockerfile"; else as this machine can
//! registry = "registry.example/team"   # where images go for `context`; else into nodes that are containers here
//! ```
//! Paths are relative to the file. Found by `--config`, `MESHQUAKE_CONFIG`, or in the working directory.

mod relabel;
mod toml;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::problem::{Place, Problem, Problems};
use crate::yaml::{Fields, Node};
pub use relabel::Relabel;

/// Its name, where nobody gives another.
const FILE: &str = "meshquake.toml";

#[derive(Clone, Debug)]
pub struct Settings {
    /// The file that they are from.
    pub file: Option<PathBuf>,
    pub cluster: Cluster,
    pub kind: Maker,
    pub k3d: Maker,
    /// Where the gateway of a `context` cluster is reached.
    pub entry: Option<String>,
    pub istio: Istio,
    pub metrics: Metrics,
    pub prometheus: Prometheus,
    pub images: Images,
}

/// The Prometheus that is asked as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prometheus {
    /// The one whose Service in the cluster says that it is there for this, if there is one.
    #[default]
    Found,
    /// Ours is put into a cluster that we make, and is then found as any other.
    AddOn,
    /// A person's own, by URL.
    At(String),
}

/// A cluster that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    /// The port of this machine that leads to the gateway.
    pub port: u16,
    pub profile: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    OneNode,
    ThreeNodes,
}

impl Profile {
    const ALL: [(&'static str, Profile); 2] =
        [("one-node", Profile::OneNode), ("three-nodes", Profile::ThreeNodes)];

    pub fn name(self) -> &'static str {
        match self {
            Profile::OneNode => "one-node",
            Profile::ThreeNodes => "three-nodes",
        }
    }

    pub fn nodes(self) -> u64 {
        match self {
            Profile::OneNode => 1,
            Profile::ThreeNodes => 3,
        }
    }
}

/// How `kind` or `k3d` is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    pub config: Option<PathBuf>,
    pub node_image: Option<String>,
    pub create: Vec<String>,
    pub import: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Istio {
    pub version: Option<String>,
    pub revision: Option<String>,
    pub values: Vec<PathBuf>,
    pub manifests: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Metrics {
    /// How often every pod is asked, where their number allows it.
    pub interval: Duration,
    pub relabel: Vec<Relabel>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Where nobody says, the host's toolchain builds if there is one.
    pub build: Option<ImageBuild>,
    /// Where images are pushed for clusters that nobody can load them into.
    pub registry: Option<String>,
}

/// How an image comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageBuild {
    /// From the host's own static binary, without any base image.
    Host,
    /// By the engine, from the package's Dockerfile.
    Dockerfile,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: None,
            cluster: Cluster { name: "meshquake".to_owned(), port: 8000, profile: Profile::OneNode },
            kind: Maker::default(),
            k3d: Maker::default(),
            entry: None,
            istio: Istio::default(),
            metrics: Metrics { interval: Duration::from_secs(1), relabel: Vec::new() },
            prometheus: Prometheus::default(),
            images: Images { build: None, registry: None },
        }
    }
}

impl Settings {
    /// Of the file given, else that of the working directory, else none at all.
    pub fn find(given: Option<&Path>) -> Result<Self, Problems> {
        match given {
            Some(file) => Self::read(file),
            None if Path::new(FILE).is_file() => Self::read(Path::new(FILE)),
            None => Ok(Self::default()),
        }
    }

    pub fn read(file: &Path) -> Result<Self, Problems> {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            let title = format!("the settings cannot be read: {error}");
            Problems(vec![Problem::new(&Place::new(shown.as_str(), 1), title)])
        })?;
        let mut settings = Self::parse(&text, &shown, file.parent().unwrap_or(Path::new("")))?;
        settings.file = Some(file.to_owned());
        Ok(settings)
    }

    /// All problems at once; files that the text names must be there.
    pub fn parse(text: &str, shown_as: &str, folder: &Path) -> Result<Self, Problems> {
        let root = toml::parse(text, shown_as)?;
        let mut problems = Problems::default();
        let mut settings = Self::default();
        if let Some(mut sections) = Fields::of(&root, "the settings", &mut problems) {
            settings.sections(&mut sections, folder, &mut problems);
            sections.finish(&mut problems);
        }
        problems.into_result(settings)
    }

    fn sections(&mut self, sections: &mut Fields<'_>, folder: &Path, problems: &mut Problems) {
        if let Some(mut fields) = section(sections, "cluster", problems) {
            set(&mut self.cluster.name, fields.optional("name"), |node| cluster_name(node, problems));
            let port = |node: &Node| node.integer(1..=65535, problems);
            let port = fields.optional("port").and_then(port).and_then(|port| u16::try_from(port).ok());
            self.cluster.port = port.unwrap_or(self.cluster.port);
            set(&mut self.cluster.profile, fields.optional("profile"), |node| {
                node.choice(&Profile::ALL, problems)
            });
            fields.finish(problems);
        }
        for (name, maker) in [("kind", &mut self.kind), ("k3d", &mut self.k3d)] {
            let Some(mut fields) = section(sections, name, problems) else { continue };
            maker.config = fields.optional("config").and_then(|node| file(node, folder, problems));
            maker.node_image = fields.optional("node-image").and_then(|node| words(node, problems));
            maker.create = fields.optional("create").map(|node| texts(node, problems)).unwrap_or_default();
            maker.import = fields.optional("import").map(|node| texts(node, problems)).unwrap_or_default();
            fields.finish(problems);
        }
        if let Some(mut fields) = section(sections, "context", problems) {
            self.entry = fields.optional("entry").and_then(|node| url(node, problems));
            fields.finish(problems);
        }
        if let Some(mut fields) = section(sections, "istio", problems) {
            self.istio.version = fields.optional("version").and_then(|node| words(node, problems));
            self.istio.revision = fields.optional("revision").and_then(|node| words(node, problems));
            self.istio.values = files(fields.optional("values"), folder, problems);
            self.istio.manifests = files(fields.optional("manifests"), folder, problems);
            fields.finish(problems);
        }
        if let Some(mut fields) = section(sections, "metrics", problems) {
            set(&mut self.metrics.interval, fields.optional("interval"), |node| interval(node, problems));
            let rules = fields.optional("relabel").and_then(|node| node.list(problems)).unwrap_or_default();
            self.metrics.relabel = rules.iter().filter_map(|rule| Relabel::read(rule, problems)).collect();
            fields.finish(problems);
        }
        if let Some(mut fields) = section(sections, "prometheus", problems) {
            let wish = fields.one_of(&["url", "addon"], problems);
            let read = wish.and_then(|(name, node)| match name {
                "url" => url(node, problems).map(Prometheus::At),
                _ => node.boolean(problems).filter(|wanted| *wanted).map(|_| Prometheus::AddOn),
            });
            self.prometheus = read.unwrap_or_default();
            fields.finish(problems);
        }
        if let Some(mut fields) = section(sections, "images", problems) {
            let ways = [("host", ImageBuild::Host), ("dockerfile", ImageBuild::Dockerfile)];
            self.images.build = fields.optional("build").and_then(|node| node.choice(&ways, problems));
            self.images.registry = fields.optional("registry").and_then(|node| words(node, problems));
            fields.finish(problems);
        }
    }

    /// What would make another cluster: a digest of all that shapes it, the contents of the files included.
    pub fn digest(&self, tool: &str, maker: &Maker, config: &str) -> Result<String, std::io::Error> {
        let mut hasher = Sha256::new();
        let mut part = |name: &str, value: &[u8]| {
            hasher.update(format!("{name} {}\n", value.len()));
            hasher.update(value);
        };
        part("tool", tool.as_bytes());
        part("config", config.as_bytes());
        part("node-image", maker.node_image.as_deref().unwrap_or_default().as_bytes());
        part("create", maker.create.join("\0").as_bytes());
        part("istio", self.istio.version.as_deref().unwrap_or_default().as_bytes());
        part("revision", self.istio.revision.as_deref().unwrap_or_default().as_bytes());
        for (what, files) in [("values", &self.istio.values), ("manifests", &self.istio.manifests)] {
            for file in files {
                part(what, &std::fs::read(file)?);
            }
        }
        Ok(hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Puts a value where it belongs, if there is one.
fn set<T>(place: &mut T, node: Option<&Node>, read: impl FnOnce(&Node) -> Option<T>) {
    if let Some(value) = node.and_then(read) {
        *place = value;
    }
}

fn section<'n>(sections: &mut Fields<'n>, name: &'static str, problems: &mut Problems) -> Option<Fields<'n>> {
    let node = sections.optional(name)?;
    Fields::of(node, format!("[{name}]"), problems)
}

fn words(node: &Node, problems: &mut Problems) -> Option<String> {
    node.words(problems).map(str::to_owned)
}

fn texts(node: &Node, problems: &mut Problems) -> Vec<String> {
    let items = node.list(problems).unwrap_or_default();
    items.iter().filter_map(|item| item.text(problems).map(str::to_owned)).collect()
}

fn files(node: Option<&Node>, folder: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let items = node.and_then(|node| node.list(problems)).unwrap_or_default();
    items.iter().filter_map(|item| file(item, folder, problems)).collect()
}

fn file(node: &Node, folder: &Path, problems: &mut Problems) -> Option<PathBuf> {
    let path = folder.join(node.words(problems)?);
    if path.is_file() {
        // Tools are called from elsewhere.
        return Some(path.canonicalize().unwrap_or(path));
    }
    let problem = Problem::new(&node.place, format!("there is no file {}", path.display()));
    problems.push(problem.help("paths are taken from the folder of the settings"));
    None
}

fn url(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.words(problems)?;
    let parsed: Option<http::Uri> = text.parse().ok();
    if parsed
        .is_some_and(|uri| uri.host().is_some() && uri.scheme_str().is_some_and(|s| s.starts_with("http")))
    {
        return Some(text.trim_end_matches('/').to_owned());
    }
    let problem = Problem::new(&node.place, format!("`{text}` is no URL"));
    problems.push(problem.allowed("such as `http://127.0.0.1:9090`"));
    None
}

/// Names of containers, contexts and networks are made of it.
fn cluster_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = node.words(problems)?;
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = name.len() <= 32
        && name.bytes().all(inside)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-');
    if fits {
        return Some(name.to_owned());
    }
    let problem = Problem::new(&node.place, format!("`{name}` is no name of a cluster"));
    problems.push(problem.allowed("1 to 32 of a-z, 0-9 and `-`, a letter first and no `-` last"));
    None
}

fn interval(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let interval = node.duration(problems)?;
    if (Duration::from_millis(200)..=Duration::from_secs(60)).contains(&interval) {
        return Some(interval);
    }
    problems.push(Problem::new(&node.place, "the interval is out of range").allowed("200ms to 60s"));
    None
}

#[cfg(test)]
mod tests;
