//! A cluster that somebody else has made: it is named, never guessed, and what it lacks is told before anything is
//! changed. It is the suite's own cluster by another way, and a second one without Istio.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use meshquake::backend::cluster::settings::Settings;
use tempfile::TempDir;

use crate::scenario;
use crate::site::{ILL, PATIENCE, Site, config_with};
use crate::support::{meshquake, said};
use crate::until::until;

/// The name under which a kubeconfig knows the suite's cluster as well; nobody would shake a cluster of that name.
const TELLING: &str = "eu-production";

/// A kubeconfig of several contexts: the cluster under two names, and one that is current and leads nowhere.
struct Foreign {
    folder: TempDir,
    context: String,
    config: PathBuf,
}

impl Foreign {
    fn new(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let context = site.context();
        let name = site.settings.cluster.name.as_str();
        let words = match site.backend {
            "kind" => vec!["get", "kubeconfig", "--name", name],
            _ => vec!["kubeconfig", "get", name],
        };
        let output = Command::new(site.backend).args(words).output().expect("the tool starts");
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, &output.stdout).expect("written");
        for words in [
            vec!["set-cluster", "nowhere", "--server=https://127.0.0.1:1"],
            vec!["set-context", "nowhere", "--cluster=nowhere"],
            vec!["set-context", TELLING, &format!("--cluster={context}"), &format!("--user={}", user(site))],
            vec!["use-context", "nowhere"],
        ] {
            let done =
                Command::new("kubectl").arg("config").args(words).arg("--kubeconfig").arg(&path).output();
            let done = done.expect("kubectl starts");
            assert!(done.status.success(), "{}", said(&done));
        }
        let config = config_with(folder.path(), "context", &site.entry());
        Self { folder, context, config }
    }

    fn command(&self, words: &[&str], context: Option<&str>) -> Command {
        self.configured(&self.config, words, context)
    }

    fn configured(&self, config: &Path, words: &[&str], context: Option<&str>) -> Command {
        let mut command = meshquake(words);
        command.args(["--backend", "context"]).arg("--config").arg(config);
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        if let Some(context) = context {
            command.args(["--context", context]);
        }
        command
    }
}

fn user(site: &Site) -> String {
    match site.backend {
        "kind" => site.context(),
        _ => format!("admin@{}", site.context()),
    }
}

fn ends(mut command: Command, exit: i32, says: &[&str]) -> Output {
    let output = command.output().expect("the program starts");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for part in says {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    output
}

pub fn a_context_is_named_and_never_guessed(site: &Site) {
    site.no_world();
    let foreign = Foreign::new(site);
    let known = ["`nowhere`", TELLING, foreign.context.as_str()];
    ends(foreign.command(&["up", ILL], None), 2, &[&["`--context NAME`"], &known[..]].concat());
    let near = format!("did you mean `{}`?", foreign.context);
    let misspelt = format!("{}x", foreign.context);
    ends(foreign.command(&["up", ILL], Some(&misspelt)), 21, &[&[near.as_str()], &known[..]].concat());
    // The current one is there, is meant this time, and does not answer.
    ends(foreign.command(&["up", ILL], Some("nowhere")), 21, &["127.0.0.1:1"]);
    site.no_world();
}

pub fn what_looks_like_production_is_left_alone(site: &Site) {
    site.no_world();
    let foreign = Foreign::new(site);
    ends(foreign.command(&["up", ILL], Some(TELLING)), 21, &["`production`", "--yes-really"]);
    site.no_world();
    ends(foreign.command(&["down", "--cluster"], Some(&foreign.context)), 2, &["did not make"]);
    assert!(site.namespace("istio-system").is_some(), "nobody removes a cluster that somebody else has made");
}

pub fn a_run_on_a_cluster_of_somebody_elses(site: &Site) {
    site.no_world();
    let foreign = Foreign::new(site);
    let reports = foreign.folder.path().join("reports").display().to_string();
    let words = ["run", "failing-dependency", "--as-expected", "--reports", &reports];
    let run = foreign.command(&words, Some(&foreign.context)).output().expect("the program starts");
    let text = said(&run);
    // A busy machine starves the generator, which is told and is no matter of the cluster's.
    let starved = text.contains(scenario::STARVED);
    assert!(run.status.success() || (starved && run.status.code() == Some(11)), "{text}");
    assert!(text.contains("abort: proved") && text.contains("abort: undone"), "{text}");
    until("its world gone", PATIENCE, || match site.namespace("pinning") {
        None => Ok(()),
        Some(_) => Err("it is still there".to_owned()),
    });
    assert!(site.namespace("istio-system").is_some(), "the cluster stays");
}

pub fn another_revision_of_istio(site: &Site) {
    site.no_world();
    let foreign = Foreign::new(site);
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_with(folder.path(), "istio", "revision = \"canary\"");
    let up = foreign.configured(&config, &["up", ILL], Some(&foreign.context));
    ends(up, 21, &["istio.io/rev=canary", "revision `default`", "`revision` under [istio]"]);
    assert!(site.namespace("ill").is_none(), "it was told before anything was made");
}

pub fn no_istio_at_all(site: &Site) {
    // One cluster is enough to show it, and only kind makes one on any machine.
    if site.backend != "kind" {
        return;
    }
    let bare = Bare::make(&site.settings);
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_with(folder.path(), "context", &site.entry());
    let mut up = meshquake(&["up", ILL, "--backend", "context", "--context", "kind-meshquake-bare"]);
    up.arg("--config").arg(config).env("KUBECONFIG", bare.kubeconfig());
    ends(up, 21, &["the cluster has no Istio", "istioctl install"]);
    let namespaces = Command::new("kubectl")
        .args(["get", "namespaces", "--output", "name", "--kubeconfig"])
        .arg(bare.kubeconfig())
        .output()
        .expect("kubectl starts");
    let namespaces = String::from_utf8_lossy(&namespaces.stdout).into_owned();
    assert!(namespaces.contains("namespace/default") && !namespaces.contains("ill"), "{namespaces}");
}

/// A cluster without Istio, as long as the test lasts.
struct Bare(TempDir);

impl Bare {
    fn make(settings: &Settings) -> Self {
        let bare = Self(tempfile::tempdir().expect("a folder"));
        let mut kind = Command::new("kind");
        kind.args(["create", "cluster", "--name", "meshquake-bare", "--wait", "120s"]);
        if let Some(image) = &settings.kind.node_image {
            kind.args(["--image", image]);
        }
        let made = kind.arg("--kubeconfig").arg(bare.kubeconfig()).output().expect("kind starts");
        assert!(made.status.success(), "{}", said(&made));
        bare
    }

    fn kubeconfig(&self) -> PathBuf {
        self.0.path().join("kubeconfig")
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let words = ["delete", "cluster", "--name", "meshquake-bare", "--kubeconfig"];
        // A test that failed has said why already.
        let _removed = Command::new("kind").args(words).arg(self.kubeconfig()).output();
    }
}
