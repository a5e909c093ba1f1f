//! The supervisor: brings a world up, serves its API, and takes all of it down again.
//!
//! ```text
//! start ─► ports checked ─► slice, folder, journal, warden ─► objects into the store ─► API served
//!       ─► controllers: deployments, kubelet, mesh ─► … ─► stop ─► pods end ─► folder and journal removed
//! ```
//!
//! It runs as a process of its own (`meshquake supervise`, see [`main`]) that outlives or ends with its client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshquake_xds::ads::Serving;
use meshquake_xds::object::Object;
use meshquake_xds::source::Problems;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::{Answer, Config, KEEP, Speaker, Told};
use super::dirs::{self, Dirs};
use super::journal::{self, Header, Journal};
use super::mesh::Mesh;
use super::net::{self, Published, Slice};
use super::own::{self, Own};
use super::site::{Site, log_path};
use super::spawn::{self, Spawner};
use super::store::{Store, unpack};
use super::warden::{self, Warden};
use super::{api, ca, deployment, kubelet, logs, mesh};
use crate::error::chain;
use crate::world::check_objects;

/// The hidden subcommands of the binary.
pub const SUPERVISE: &str = "supervise";
pub const WARDEN: &str = "warden";
/// The API's socket in the runtime folder.
pub const SOCKET: &str = "api.sock";
const ADS_SOCKET: &str = "ads.sock";
/// The field manager of the world's own objects: the one under which `apply` changes them later.
pub const MANAGER: &str = crate::backend::objects::FIELD_MANAGER;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} problem(s) in the objects of the world", .0.0.len())]
    Objects(Problems),
    #[error(transparent)]
    Store(super::store::Error),
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Dirs(#[from] dirs::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Spawn(#[from] spawn::Error),
    #[error(transparent)]
    Warden(#[from] warden::Error),
    #[error(transparent)]
    Authority(#[from] ca::Error),
    #[error(transparent)]
    Ads(#[from] meshquake_xds::ads::Error),
    #[error("cannot {act}")]
    Io { act: String, source: std::io::Error },
}

impl From<super::store::Error> for Error {
    fn from(error: super::store::Error) -> Self {
        match error {
            super::store::Error::Invalid(problems) => Self::Objects(problems),
            other => Self::Store(other),
        }
    }
}

fn io(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let act = act.into();
    move |source| Error::Io { act, source }
}

/// A supervisor at work.
pub struct Supervisor {
    pub site: Arc<Site>,
    pub socket: PathBuf,
    pub urls: BTreeMap<u16, Vec<String>>,
    /// What did not go as wished, but hinders nothing.
    pub remarks: Vec<String>,
    kubelet: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    ads: Option<Serving>,
    api: CancellationToken,
    _warden: Option<Warden>,
    _published: Vec<Published>,
}

impl Supervisor {
    /// Starts everything; when this returns the API answers and the pods are on their way.
    pub async fn start(config: Config) -> Result<Self, Error> {
        // Checked before anything is started: a bad world leaves no trace.
        let images: Vec<String> = config.images.keys().cloned().collect();
        let store = Store::new(move |objects| check_objects(objects, &images));
        let objects: Vec<Object> =
            config.objects.into_iter().map(|value| unpack(value, &config.world)).collect();
        load(&store, &objects)?;

        let spawner = Spawner::start()?;
        spawn::adopt_orphans().map_err(io("adopt orphans"))?;
        let (slice, passed_over) = Slice::take()?;
        let addresses = slice.addresses();
        let gateway = addresses.gateway();
        net::check_ports(&wanted_ports(&objects, &config.publish, gateway))?;
        let mut remarks: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
        let mut published = Vec::new();
        let mut publish: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
        for (port, host) in &config.publish {
            let mut listens = vec![SocketAddr::from((gateway, *host))];
            if config.on_localhost {
                match net::publish(SocketAddr::from((Ipv4Addr::LOCALHOST, *host))) {
                    Ok(taken) => {
                        listens.push(taken.address);
                        published.push(taken);
                    }
                    // First come: the world is there under its own address all the same.
                    Err(error) => remarks.push(chain(&error)),
                }
            }
            publish.insert(*port, listens);
        }
        // The shortest to type comes first.
        let url = |at: &SocketAddr| format!("http://{at}");
        let urls = publish.iter().map(|(port, at)| (*port, at.iter().rev().map(url).collect())).collect();

        let dirs = Dirs::from_env()?;
        let folder = dirs.run(&config.run)?;
        let logs_folder = dirs.logs(&config.run)?;
        let socket = dirs::socket(&folder, SOCKET)?;
        let ads_socket = dirs::socket(&folder, ADS_SOCKET)?;
        let header = Header::of_self(&config.run, &config.world, slice.number(), &folder);
        let journal = Arc::new(Journal::create(&dirs.runs()?, header.map_err(io("know this process"))?)?);
        // Only now: a folder that no journal knows would be nobody's to remove after `kill -9`.
        if let Err(error) = dirs.create_run(&config.run) {
            journal.close()?;
            return Err(error.into());
        }
        let warden = if config.warden {
            let program = std::env::current_exe().map_err(io("find this program"))?;
            let task = warden::Task {
                run: config.run.clone(),
                journal: journal.path().to_owned(),
                runtime_dir: folder.clone(),
            };
            Some(warden::start(&spawner, &program, &[WARDEN], &task, Some(&slice)).await?)
        } else {
            None
        };
        let mesh = config.envoy.map(|envoy| Mesh::new(envoy, ads_socket.clone(), publish)).transpose()?;
        let ads = mesh.as_ref().map(|mesh| mesh.ads.serve(&ads_socket)).transpose()?;
        let site = Arc::new(Site {
            run: config.run,
            store: store.clone(),
            folder,
            logs: logs_folder.clone(),
            images: config.images,
            spawner,
            journal,
            addresses: Mutex::new(addresses),
            slice,
            settings: config.settings,
            stop: CancellationToken::new(),
            mesh,
        });
        let api = CancellationToken::new();
        let own = Own::new(site.clone(), config.world, urls, remarks.clone());
        let urls = own.urls.clone();
        serve(&socket, own, api.clone())?;
        let kubelet = tokio::spawn(kubelet::control(site.clone()));
        let others = vec![
            tokio::spawn(deployment::control(store)),
            tokio::spawn(mesh::control(site.clone())),
            tokio::spawn(logs::keep_small(logs_folder, logs::LIMIT)),
        ];
        Ok(Self {
            site,
            socket,
            urls,
            remarks,
            kubelet,
            others,
            ads,
            api,
            _warden: warden,
            _published: published,
        })
    }

    /// Ends every pod, removes what was made, closes the journal.
    pub async fn end(self) -> Result<(), Error> {
        self.site.stop.cancel();
        // Deployments would only make new pods.
        self.others.iter().for_each(JoinHandle::abort);
        if let Err(error) = self.kubelet.await {
            tracing::error!(%error, "the kubelet has failed");
        }
        if let Some(ads) = self.ads {
            ads.stop().await;
        }
        self.api.cancel();
        match std::fs::remove_dir_all(&self.site.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(format!("remove {}", self.site.folder.display()))(error));
            }
            _ => {}
        }
        // The world is gone, and with it whatever was to be taken back in it.
        for (intent, _) in self.site.journal.open_intents() {
            self.site.journal.done(intent)?;
        }
        Ok(self.site.journal.close()?)
    }
}

/// Puts all objects of a world into the store, or none, with every problem of every one of them.
fn load(store: &Store, objects: &[Object]) -> Result<(), Error> {
    let mut problems = Problems::default();
    let loaded = store.transact(|draft| {
        // Namespaces first, then in the order of the kinds.
        let mut sorted: Vec<&Object> = objects.iter().collect();
        sorted.sort_by_key(|object| object.kind() != "Namespace");
        for object in sorted {
            match draft.key_of(object, None).and_then(|key| draft.apply(key, object, MANAGER, false)) {
                Ok(_) => {}
                Err(super::store::Error::Invalid(more)) => problems.extend(more),
                Err(other) => return Err(other),
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(super::store::Error::Invalid(std::mem::take(&mut problems)))
        }
    });
    loaded?;
    Ok(())
}

/// One address for each port that anything in this world will listen on: a stranger on 0.0.0.0 blocks them all.
fn wanted_ports(objects: &[Object], publish: &BTreeMap<u16, u16>, gateway: Ipv4Addr) -> Vec<SocketAddr> {
    let port = |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok());
    let mut ports: BTreeSet<u16> = publish.values().copied().collect();
    for object in objects {
        let spec = &object.value["spec"];
        if object.kind() == "Service" {
            ports.extend(spec["ports"].as_array().into_iter().flatten().filter_map(|p| port(&p["port"])));
        }
        let containers = spec["template"]["spec"]["containers"].as_array().into_iter().flatten();
        for container in containers {
            let all = container["ports"].as_array().into_iter().flatten();
            ports.extend(all.filter_map(|p| port(&p["containerPort"])));
        }
    }
    ports.into_iter().map(|port| SocketAddr::from((gateway, port))).collect()
}

/// Serves the API on a socket that only this user may open, until it is cancelled.
fn serve(socket: &Path, own: Own, until: CancellationToken) -> Result<(), Error> {
    let (store, logs) = (own.site.store.clone(), own.site.logs.clone());
    let log_of = move |namespace: &str, pod: &str, container: Option<&str>| {
        let part = if container == Some(kubelet::SIDECAR) { kubelet::SIDECAR } else { "app" };
        let log = log_path(&logs, namespace, pod, part);
        let gateway = log_path(&logs, namespace, pod, kubelet::SIDECAR);
        [log, gateway].into_iter().find(|path| path.exists())
    };
    let routes =
        api::router(api::Api { store, log_of: Arc::new(log_of) }).nest("/meshquake/v1", own::router(own));
    let listener = UnixListener::bind(socket).map_err(io(format!("listen on {}", socket.display())))?;
    // The folder is 0700 already; this is for those who look at the socket alone.
    std::fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(io("protect the socket"))?;
    tokio::spawn(async move {
        tokio::select! {
            served = axum::serve(listener, routes) => drop(served),
            () = until.cancelled() => {}
        }
    });
    Ok(())
}

/// The life of `meshquake supervise`: configuration on standard input, an answer on standard output.
pub async fn main() -> ExitCode {
    // A session of its own: a terminal's Ctrl-C is for the client, which ends us in its own time.
    let _already_leader = rustix::process::setsid();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let line = match lines.next_line().await {
        Ok(line) => line.unwrap_or_default(),
        Err(error) => return answer(&Answer::Failed { message: format!("no configuration: {error}") }),
    };
    let own = env!("CARGO_PKG_VERSION");
    if serde_json::from_str(&line).is_ok_and(|speaker: Speaker| speaker.version != own) {
        return answer(&Answer::OtherVersion { own: own.to_owned() });
    }
    let config: Config = match serde_json::from_str(&line) {
        Ok(config) => config,
        Err(error) => return answer(&Answer::Failed { message: format!("bad configuration: {error}") }),
    };
    let supervisor = match Supervisor::start(config).await {
        Ok(supervisor) => supervisor,
        Err(Error::Objects(problems)) => {
            return answer(&Answer::Refused { problems: problems.0.iter().map(Told::from).collect() });
        }
        Err(error) => return answer(&Answer::Failed { message: chain(&error) }),
    };
    let (socket, urls) = (supervisor.socket.clone(), supervisor.urls.clone());
    let remarks = supervisor.remarks.clone();
    answer(&Answer::Serving { socket, pid: std::process::id(), urls, remarks });
    let stop = supervisor.site.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = signalled() => tracing::info!("told to end by a signal"),
        () = abandoned(lines) => tracing::info!("the client is gone"),
    }
    match supervisor.end().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "not all was taken down");
            ExitCode::FAILURE
        }
    }
}

fn answer(answer: &Answer) -> ExitCode {
    let line = serde_json::to_string(answer).unwrap_or_default();
    let mut output = std::io::stdout().lock();
    // Nobody to read it: then the end of standard input is near.
    let _unread = writeln!(output, "{line}").and_then(|()| output.flush());
    ExitCode::FAILURE
}

/// Returns when the client's end of standard input closes before it said that the world is to be kept.
async fn abandoned(mut lines: tokio::io::Lines<BufReader<tokio::io::Stdin>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if line == KEEP {
            std::future::pending::<()>().await;
        }
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut term), Ok(mut int)) = (term, int) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// How long a supervisor may take to end its world.
pub const END_LIMIT: Duration = Duration::from_secs(15);
