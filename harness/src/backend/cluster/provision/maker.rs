//! kind and k3d by what differs between them: the words of their command lines, and what they are called.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::pins::{PINS, numbers};
use super::tool::{self, Tool, Which};
use crate::backend::cluster::settings::{self, Profile, Settings};

const KIND_ONE_NODE: &str = include_str!("../../../../../kind/one-node.yaml");
const KIND_THREE_NODES: &str = include_str!("../../../../../kind/three-nodes.yaml");
const K3D_ONE_NODE: &str = include_str!("../../../../../k3d/one-node.yaml");
const K3D_THREE_NODES: &str = include_str!("../../../../../k3d/three-nodes.yaml");

/// Istio's values for both: the gateway's Service on a node port, because nobody gives it a load balancer.
pub const ISTIO_VALUES: &str = include_str!("../../../../../kind/istio.yaml");

/// What makes a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Kind,
    K3d,
}

impl Maker {
    pub fn which(self) -> Which {
        match self {
            Maker::Kind => Which::Kind,
            Maker::K3d => Which::K3d,
        }
    }

    pub fn name(self) -> &'static str {
        self.which().name()
    }

    /// The version that was tried.
    pub fn version(self) -> &'static str {
        match self {
            Maker::Kind => &PINS.kind,
            Maker::K3d => &PINS.k3d,
        }
    }

    pub fn settings(self, settings: &Settings) -> &settings::Maker {
        match self {
            Maker::Kind => &settings.kind,
            Maker::K3d => &settings.k3d,
        }
    }

    pub fn node_image(self, settings: &Settings) -> &str {
        let pinned = match self {
            Maker::Kind => &PINS.kind_node,
            Maker::K3d => &PINS.k3d_node,
        };
        self.settings(settings).node_image.as_deref().unwrap_or(pinned)
    }

    /// The configuration of the cluster: the person's file as it is, else ours with the port that is wanted.
    pub fn config(self, settings: &Settings) -> Result<String, (PathBuf, std::io::Error)> {
        if let Some(file) = &self.settings(settings).config {
            return std::fs::read_to_string(file).map_err(|error| (file.clone(), error));
        }
        let port = settings.cluster.port;
        let text = match (self, settings.cluster.profile) {
            (Maker::Kind, Profile::OneNode) => KIND_ONE_NODE,
            (Maker::Kind, Profile::ThreeNodes) => KIND_THREE_NODES,
            (Maker::K3d, Profile::OneNode) => K3D_ONE_NODE,
            (Maker::K3d, Profile::ThreeNodes) => K3D_THREE_NODES,
        };
        Ok(match self {
            Maker::Kind => text.replace("hostPort: 8000", &format!("hostPort: {port}")),
            Maker::K3d => text.replace("127.0.0.1:8000:30080", &format!("127.0.0.1:{port}:30080")),
        })
    }

    /// Its name in the kubeconfig.
    pub fn context(self, cluster: &str) -> String {
        format!("{}-{cluster}", self.name())
    }

    pub fn create(self, settings: &Settings, config: &Path, kubeconfig: &Path) -> Vec<OsString> {
        let name = settings.cluster.name.as_str();
        let image = self.node_image(settings);
        let mut words: Vec<OsString> = match self {
            Maker::Kind => [&["create", "cluster", "--name", name, "--image", image][..]].concat(),
            Maker::K3d => {
                let own = ["--kubeconfig-update-default=false", "--kubeconfig-switch-context=false"];
                [&["cluster", "create", name, "--image", image][..], &own].concat()
            }
        }
        .into_iter()
        .map(OsString::from)
        .collect();
        words.extend(["--config".into(), config.into()]);
        if self == Maker::Kind {
            words.extend(["--kubeconfig".into(), kubeconfig.into()]);
        }
        words.extend(self.settings(settings).create.iter().map(OsString::from));
        words
    }

    pub fn delete(self, cluster: &str) -> Vec<OsString> {
        match self {
            Maker::Kind => vec!["delete", "cluster", "--name", cluster],
            Maker::K3d => vec!["cluster", "delete", cluster],
        }
        .into_iter()
        .map(OsString::from)
        .collect()
    }

    pub fn list(self) -> &'static [&'static str] {
        match self {
            Maker::Kind => &["get", "clusters"],
            Maker::K3d => &["cluster", "list", "--no-headers"],
        }
    }

    /// The names in the answer to [`Maker::list`].
    pub fn listed(self, answer: &str) -> Vec<String> {
        answer.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    pub fn kubeconfig(self, cluster: &str) -> Vec<&str> {
        match self {
            Maker::Kind => vec!["get", "kubeconfig", "--name", cluster],
            Maker::K3d => vec!["kubeconfig", "get", cluster],
        }
    }

    /// The containers that the nodes of our own configurations are.
    pub fn nodes(self, cluster: &str, profile: Profile) -> Vec<String> {
        let names: &[&str] = match (self, profile) {
            (Maker::Kind, Profile::OneNode) => &["control-plane"],
            (Maker::Kind, Profile::ThreeNodes) => &["control-plane", "worker", "worker2"],
            (Maker::K3d, Profile::OneNode) => &["server-0"],
            (Maker::K3d, Profile::ThreeNodes) => &["server-0", "agent-0", "agent-1"],
        };
        let before = match self {
            Maker::Kind => "",
            Maker::K3d => "k3d-",
        };
        names.iter().map(|name| format!("{before}{cluster}-{name}")).collect()
    }

    /// Puts an archive of images onto every node.
    pub fn import(self, settings: &Settings, archive: &Path) -> Vec<OsString> {
        let name = settings.cluster.name.as_str();
        let mut words: Vec<OsString> = match self {
            Maker::Kind => vec!["load".into(), "image-archive".into(), archive.into(), "--name".into()],
            Maker::K3d => vec!["image".into(), "import".into(), archive.into(), "--cluster".into()],
        };
        words.push(name.into());
        words.extend(self.settings(settings).import.iter().map(OsString::from));
        words
    }

    /// Puts images of the engine onto every node.
    pub fn import_named(self, settings: &Settings, images: &[String]) -> Vec<OsString> {
        let mut words: Vec<OsString> = match self {
            Maker::Kind => vec!["load".into(), "docker-image".into()],
            Maker::K3d => vec!["image".into(), "import".into()],
        };
        words.extend(images.iter().map(OsString::from));
        words.push(if self == Maker::Kind { "--name".into() } else { "--cluster".into() });
        words.push(settings.cluster.name.as_str().into());
        words.extend(self.settings(settings).import.iter().map(OsString::from));
        words
    }

    /// What may stay behind of a cluster: a network and a volume, if any.
    pub fn leftovers(self, cluster: &str) -> Option<(String, String)> {
        match self {
            // Its network is shared by all clusters, and belongs to kind.
            Maker::Kind => None,
            Maker::K3d => Some((format!("k3d-{cluster}"), format!("k3d-{cluster}-images"))),
        }
    }

    /// The tool's version, and how it compares to the one that was tried; patches are all alike.
    pub async fn found(self, tool: &Tool) -> Result<(String, Ordering), tool::Error> {
        let found = self.version_in(&tool.ask(&["version"]).await?).unwrap_or_default();
        let minor = |version: &str| {
            let (major, minor, _) = numbers(version);
            (major, minor)
        };
        let order = minor(&found).cmp(&minor(self.version()));
        Ok((found, order))
    }

    /// The version in the answer to `version`.
    fn version_in(self, answer: &str) -> Option<String> {
        let word = match self {
            // `kind v0.33.0 go1.26 linux/amd64`
            Maker::Kind => answer.split_whitespace().nth(1),
            // `k3d version v5.8.3`, then a line about k3s
            Maker::K3d => answer.lines().next()?.split_whitespace().nth(2),
        };
        word.map(|word| word.trim_start_matches('v').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn text(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn command_lines() {
        let mut settings = Settings::default();
        settings.kind.create = vec!["--retain".into()];
        settings.k3d.node_image = Some("node:1".into());
        settings.k3d.import = vec!["--mode".into(), "direct".into()];
        let (config, kubeconfig) = (Path::new("/c.yaml"), Path::new("/k"));
        assert_eq!(
            text(&Maker::Kind.create(&settings, config, kubeconfig)),
            format!(
                "create cluster --name meshquake --image {} --config /c.yaml --kubeconfig /k --retain",
                PINS.kind_node
            )
        );
        assert_eq!(
            text(&Maker::K3d.create(&settings, config, kubeconfig)),
            "cluster create meshquake --image node:1 --kubeconfig-update-default=false \
             --kubeconfig-switch-context=false --config /c.yaml"
        );
        assert_eq!(
            text(&Maker::Kind.import(&settings, Path::new("/a.tar"))),
            "load image-archive /a.tar --name meshquake"
        );
        assert_eq!(
            text(&Maker::K3d.import(&settings, Path::new("/a.tar"))),
            "image import /a.tar --cluster meshquake --mode direct"
        );
        assert_eq!(
            text(&Maker::Kind.import_named(&settings, &["a:1".into(), "b:1".into()])),
            "load docker-image a:1 b:1 --name meshquake"
        );
        assert_eq!(
            text(&Maker::K3d.import_named(&settings, &["a:1".into()])),
            "image import a:1 --cluster meshquake --mode direct"
        );
        assert_eq!(Maker::Kind.nodes("x", Profile::OneNode), ["x-control-plane"]);
        assert_eq!(
            Maker::K3d.nodes("x", Profile::ThreeNodes),
            ["k3d-x-server-0", "k3d-x-agent-0", "k3d-x-agent-1"]
        );
        assert_eq!(text(&Maker::Kind.delete("x")), "delete cluster --name x");
        assert_eq!(text(&Maker::K3d.delete("x")), "cluster delete x");
    }

    #[test]
    fn answers_are_understood() {
        assert_eq!(Maker::Kind.listed("meshquake\nother\n"), ["meshquake", "other"]);
        assert_eq!(Maker::K3d.listed("meshquake   1/1   0/0   false\n"), ["meshquake"]);
        assert_eq!(Maker::Kind.version_in("kind v0.33.0 go1.26.8 linux/amd64").as_deref(), Some("0.33.0"));
        assert_eq!(
            Maker::K3d.version_in("k3d version v5.8.3\nk3s version latest (default)").as_deref(),
            Some("5.8.3")
        );
    }

    #[test]
    fn the_files_are_yaml_and_take_the_port() {
        for maker in [Maker::Kind, Maker::K3d] {
            for profile in [Profile::OneNode, Profile::ThreeNodes] {
                let mut settings = Settings::default();
                settings.cluster.profile = profile;
                settings.cluster.port = 8123;
                let text = maker.config(&settings).expect("ours");
                assert!(text.contains("8123") && text.contains("30080"), "{text}");
                assert!(text.contains("127.0.0.1"), "never beyond this machine: {text}");
                assert!(text.contains(maker.node_image(&settings)), "the pinned node image: {text}");
                let documents = yaml::parse(&text, "config").expect("YAML");
                assert_eq!(documents.len(), 1);
            }
        }
        yaml::parse(ISTIO_VALUES, "istio.yaml").expect("YAML");
    }
}
