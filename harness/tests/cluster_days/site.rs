//! The cluster as a test sees it, past the program: by a client of its own.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use meshquake::backend::Choice;
use meshquake::backend::cluster::Ground;
use meshquake::backend::cluster::settings::Settings;
use meshquake::backend::objects::{ObjectRef, Objects};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support;
use crate::until::until;

/// How long anything ordinary may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Site {
    pub backend: &'static str,
    pub settings: Settings,
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    /// That of the cluster, where our own programs have it.
    pub kubeconfig: PathBuf,
}

impl Site {
    /// With a cluster that is there: `up` and `down` of the smallest world make it, where it is not.
    pub fn new(backend: &'static str) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let config = std::env::var_os("MESHQUAKE_CONFIG").map(PathBuf::from);
        let settings = Settings::find(config.as_deref()).expect("settings that can be read");
        let find = || {
            let choice = if backend == "kind" { Choice::Kind } else { Choice::K3d };
            runtime.block_on(Ground::find(&choice, &settings)).ok().flatten()
        };
        let ground = find().unwrap_or_else(|| {
            for words in [&["up", ILL, "--backend", backend][..], &["down", "--backend", backend]] {
                let output = support::meshquake(words).output().expect("the program starts");
                assert!(output.status.success(), "{}", support::said(&output));
            }
            find().expect("a cluster that was just made")
        });
        let kubeconfig = ground.kubeconfig.expect("a cluster of ours has one");
        Self { backend, settings, client: ground.client, runtime, kubeconfig }
    }

    /// The cluster's name in a kubeconfig.
    pub fn context(&self) -> String {
        format!("{}-{}", self.backend, self.settings.cluster.name)
    }

    /// Where its gateway is reached, as a line of the settings.
    pub fn entry(&self) -> String {
        format!("entry = \"http://127.0.0.1:{}\"", self.settings.cluster.port)
    }

    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// One that does not try again what fails.
    pub fn impatient(&self, kubeconfig: Kubeconfig) -> kube::Client {
        self.wait(async {
            let context = kubeconfig.contexts.first().map(|context| context.name.clone());
            let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("usable");
            kube::Client::try_from(config).expect("a client")
        })
    }

    /// Something that goes on beside the test, and ends with it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn objects(&self) -> Objects {
        Objects::new(self.client.clone())
    }

    pub fn get(&self, object: &ObjectRef) -> Option<Value> {
        self.wait(self.objects().get(object)).expect("the API answers")
    }

    /// `meshquake` with these words, on this cluster.
    pub fn meshquake(&self, words: &[&str]) -> Command {
        let mut command = support::meshquake(words);
        command.args(["--backend", self.backend]);
        command
    }

    /// The same to its end, which must be with this exit code.
    pub fn ends(&self, words: &[&str], exit: i32) -> Output {
        let output = self.meshquake(words).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {}", support::said(&output));
        output
    }

    /// `up` of this variant of the ill world, which must fail, be cleaned up, and say these things.
    pub fn does_not_come_up(&self, overlay: Option<&str>, says: &[&str]) {
        let mut words = vec!["up", ILL];
        words.extend(overlay.iter().flat_map(|overlay| ["--overlay", overlay]));
        let said = String::from_utf8_lossy(&self.ends(&words, 21).stderr).into_owned();
        for part in says {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        self.no_world();
    }

    /// A program under way.
    pub fn begin(&self, words: &[&str]) -> Begun {
        self.start(self.meshquake(words))
    }

    pub fn start(&self, mut command: Command) -> Begun {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        Begun::of(quiet.spawn().expect("the program starts"))
    }

    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        self.wait(namespaces.get_opt(name)).expect("the API answers")
    }

    /// That no world is up, and none half up.
    pub fn no_world(&self) {
        until("no world", PATIENCE, || {
            let output = self.ends(&["ls", "--json"], 0);
            let worlds: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
            let here = worlds.iter().filter(|world| world.get("cluster").is_some());
            let here = here.map(Value::to_string).collect::<Vec<_>>();
            if here.is_empty() { Ok(()) } else { Err(here.join("\n")) }
        });
    }

    /// After a test that failed half-way: the next one begins with nothing.
    pub fn clear(&self) {
        for words in [&["heal"][..], &["down"]] {
            // What cannot be taken back shows itself in the next test.
            let _ = self.meshquake(words).output();
        }
    }

    /// Deletes an object that a test has made, and waits until it is gone.
    pub fn delete(&self, object: &ObjectRef) {
        self.wait(self.objects().delete(object)).expect("it can be deleted");
        until("gone", PATIENCE, || match self.get(object) {
            None => Ok(()),
            Some(there) => Err(there["status"].to_string()),
        });
    }

    pub fn delete_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        self.wait(namespaces.delete(name, &DeleteParams::background())).expect("it can be deleted");
        until("gone", PATIENCE, || match self.namespace(name) {
            None => Ok(()),
            Some(_) => Err("it is terminating".to_owned()),
        });
    }
}

/// One service, with overlays in which it is ill.
pub const ILL: &str = "harness/tests/fixtures/worlds/ill";

/// The settings of the suite with another line or two in this table, as a file in `folder`; paths in it stay those of
/// the suite's own file.
pub fn config_with(folder: &Path, table: &str, lines: &str) -> PathBuf {
    let suite = std::env::var_os("MESHQUAKE_CONFIG").map(PathBuf::from);
    let text = suite.as_ref().map_or(String::new(), |file| fs::read_to_string(file).expect("settings"));
    let header = format!("[{table}]");
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let given: Vec<String> = lines.lines().map(key).collect();
    let (mut whole, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == header;
        }
        // What is said anew takes the place of what was said.
        if !inside || !given.contains(&key(line)) {
            whole.push(line);
        }
        if line == header {
            whole.extend(lines.lines());
        }
    }
    if !whole.contains(&header.as_str()) {
        whole.push(&header);
        whole.extend(lines.lines());
    }
    let text = whole.join("\n");
    // Relative paths start from where the suite's file lies.
    let beside = suite.and_then(|file| Some(file.canonicalize().ok()?.parent()?.to_owned()));
    for entry in beside.iter().flat_map(|beside| fs::read_dir(beside).into_iter().flatten().flatten()) {
        let link = folder.join(entry.file_name());
        if text.contains(&*entry.file_name().to_string_lossy()) && !link.exists() {
            std::os::unix::fs::symlink(entry.path(), link).expect("linked");
        }
    }
    let file = folder.join(format!("{table}.toml"));
    fs::write(&file, text).expect("written");
    file
}

/// The containers of a cluster, begun ones too.
pub fn nodes(backend: &str, cluster: &str) -> String {
    let label = match backend {
        "kind" => format!("label=io.x-k8s.kind.cluster={cluster}"),
        _ => format!("label=k3d.cluster={cluster}"),
    };
    let listed = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &label]).output();
    String::from_utf8_lossy(&listed.expect("docker starts").stdout).trim().to_owned()
}

/// A program that runs; one of a failed test is killed.
pub struct Begun(Child);

impl Begun {
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it can be signalled");
    }

    pub fn end(&mut self) -> Option<i32> {
        until("ended", PATIENCE, || match self.0.try_wait().expect("a child can be waited for") {
            Some(status) => Ok(status.code()),
            None => Err("it runs".to_owned()),
        })
    }

    pub fn runs(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // One that has ended does not mind.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}
