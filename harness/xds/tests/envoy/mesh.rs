//! A mesh for one test: ADS, certificates, an Envoy for each proxy, an app for each pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use meshquake_xds::ads::{Ads, Diff, Serving};
use meshquake_xds::envoy::{Interception, KEPT_STATS, Loopback, STAT_TAGS, Translator};
use meshquake_xds::intent::{Fleet, ProxyIntent};
use meshquake_xds::model::{Mesh, Settings};
use meshquake_xds::object::Object;
use serde_json::json;

use crate::app::{self, App};
use crate::ca::Ca;
use crate::support::fleet;

const LIMIT: Duration = Duration::from_secs(20);
/// The port of every HTTP service here; not one that somebody is likely to hold on all addresses.
pub const PORT: u16 = 28080;
pub const TCP_PORT: u16 = 28081;

pub struct TestMesh {
    pub objects: Vec<Object>,
    pub fleet: Fleet,
    pub ads: Ads,
    pub apps: BTreeMap<String, Arc<App>>,
    client: reqwest::Client,
    net: [u8; 2],
    translator: Translator,
    ca: Ca,
    secrets: BTreeMap<String, [envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret; 2]>,
    envoys: Vec<Envoy>,
    folder: tempfile::TempDir,
    _serving: Serving,
    _slice: TcpListener,
}

/// Ended with the test, also when it fails.
struct Envoy(Child);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the Envoys had to say goes with the failure.
impl Drop for TestMesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for id in self.proxies() {
                let log = self.log(&id);
                if !log.is_empty() {
                    eprintln!("--- {id}\n{log}");
                }
            }
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
    pub took: Duration,
}

impl TestMesh {
    /// Brings everything up and waits until each Envoy has taken its configuration.
    pub async fn up(envoy: PathBuf, objects: Vec<Object>) -> Self {
        let (slice, net) = slice();
        let fleet = fleet(&objects, net);
        let folder = tempfile::Builder::new().prefix("mqx").tempdir().expect("a folder");
        let ads = Ads::new();
        let serving = ads.serve(&folder.path().join("ads.sock")).expect("the ADS server listens");
        let mut mesh = Self {
            objects,
            fleet,
            ads,
            apps: BTreeMap::new(),
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            net,
            translator: Translator::default(),
            ca: Ca::new(),
            secrets: BTreeMap::new(),
            envoys: Vec::new(),
            folder,
            _serving: serving,
            _slice: slice,
        };
        mesh.start_apps().await;
        mesh.push();
        for id in mesh.proxies() {
            let child = mesh.start_envoy(&envoy, &id);
            mesh.envoys.push(Envoy(child));
        }
        mesh.converged().await;
        mesh.wait_live().await;
        mesh
    }

    pub fn proxies(&self) -> Vec<String> {
        let pods = self.fleet.pods.iter().map(|pod| format!("{}.{}", pod.pod, pod.namespace));
        let gateways = self.fleet.gateways.iter().map(|proxy| format!("{}.{}", proxy.pod, proxy.namespace));
        pods.chain(gateways).collect()
    }

    /// Puts an object in the place of the one with its kind and name, and waits until it is in force; says what
    /// that changed.
    pub async fn apply(&mut self, yaml: &str) -> Diff {
        for object in crate::support::objects("change.yaml", yaml, "shop") {
            self.objects.retain(|old| old.kind() != object.kind() || old.name() != object.name());
            self.objects.push(object);
        }
        let diff = self.push();
        self.converged().await;
        diff
    }

    /// Translates what there is and hands it to the ADS server.
    pub fn push(&mut self) -> Diff {
        let (mesh, _) = Mesh::from_objects(&self.objects, Settings::default())
            .unwrap_or_else(|problems| panic!("the mesh is not good: {:#?}", problems.0));
        let mut diff = Diff::default();
        for (id, intent) in mesh.intents(&self.fleet) {
            let interception = self.interception(&mesh, &intent);
            let identity = intent.peer.principal.clone();
            let mut snapshot =
                self.translator.translate(Arc::new(intent), &interception).expect("it has addresses");
            let ca = &self.ca;
            for secret in self.secrets.entry(id.clone()).or_insert_with(|| ca.secrets(&identity)) {
                snapshot.add(secret.clone());
            }
            if let Some(old) = self.ads.snapshot(&id) {
                let more = snapshot.diff(&old);
                diff.changed.extend(more.changed);
                diff.removed.extend(more.removed);
            }
            self.ads.set(&id, snapshot);
        }
        diff
    }

    pub async fn converged(&self) {
        if let Err(error) = self.ads.converged(self.proxies(), None, LIMIT).await {
            panic!("{error}");
        }
    }

    /// Pod number N of the fleet calls service number M at `NET.(100+N).M`.
    fn interception(&self, mesh: &Mesh, intent: &ProxyIntent) -> Interception {
        let number = self.pod_number(&intent.id);
        let vips = mesh.services.keys().zip(1u8..).map(|(id, service)| {
            (id.clone(), IpAddr::V4(Ipv4Addr::new(self.net[0], self.net[1], 100 + number, service)))
        });
        Interception::Loopback(Loopback { vips: vips.collect() })
    }

    fn pod_number(&self, id: &str) -> u8 {
        let position = self.proxies().iter().position(|known| known == id).expect("a known proxy");
        u8::try_from(position).expect("few proxies")
    }

    /// The address under which a pod calls a service.
    pub fn vip(&self, workload: &str, service: &str) -> IpAddr {
        let (mesh, _) = Mesh::from_objects(&self.objects, Settings::default()).expect("the mesh is good");
        let pod = self.pod_number(&self.proxy_of(workload));
        let service = mesh.services.keys().zip(1u8..).find(|(id, _)| id.name == service);
        let service = service.expect("a known service").1;
        IpAddr::V4(Ipv4Addr::new(self.net[0], self.net[1], 100 + pod, service))
    }

    /// The URL under which a pod calls a service.
    pub fn url(&self, workload: &str, service: &str) -> String {
        format!("http://{}:{PORT}", self.vip(workload, service))
    }

    pub fn proxy_of(&self, workload: &str) -> String {
        let pod = self.fleet.pods.iter().find(|pod| pod.workload == workload).expect("a known workload");
        format!("{}.{}", pod.pod, pod.namespace)
    }

    pub fn pod_address(&self, workload: &str) -> IpAddr {
        self.fleet.pods.iter().find(|pod| pod.workload == workload).expect("a known workload").address
    }

    pub fn gateway(&self) -> String {
        format!("http://{}.{}.1.250:8000", self.net[0], self.net[1])
    }

    /// What a pod's app gets from a service; `path` begins with a slash.
    pub async fn call(&self, workload: &str, service: &str, path: &str) -> Answer {
        self.call_with(workload, service, service, path, |request| request).await
    }

    /// The same under another host, with more to the request.
    pub async fn call_with(
        &self,
        workload: &str,
        service: &str,
        host: &str,
        path: &str,
        more: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let request = self.client.get(self.url(workload, service) + path).header("host", host);
        let start = Instant::now();
        let response = more(request).send().await.expect("an answer, be it an error's");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.expect("a body");
        Answer { status, headers, body, took: start.elapsed() }
    }

    /// The numbers of a proxy, in Prometheus' format, waited for until they say what is asked for.
    pub async fn metrics(&self, proxy: &str, until: impl Fn(&str) -> bool) -> String {
        let client = self.admin(proxy);
        let start = Instant::now();
        loop {
            let page = client.get("http://admin/stats/prometheus?usedonly").send().await.expect("an answer");
            let page = page.text().await.expect("a page");
            if until(&page) || start.elapsed() > LIMIT {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // pacing
        }
    }

    /// Waits until no proxy drains what a change replaced: at its end a drain closes the connections that are left,
    /// whoever is about to use them.
    pub async fn drained(&self) {
        let none_left = |page: &str| {
            let mut draining =
                page.lines().filter(|line| line.contains("_draining{") || line.contains("_draining "));
            draining.all(|line| line.starts_with('#') || line.ends_with(" 0"))
        };
        for proxy in self.proxies() {
            let page = self.metrics(&proxy, none_left).await;
            assert!(none_left(&page), "{proxy} still drains: {page}");
        }
    }

    fn admin(&self, proxy: &str) -> reqwest::Client {
        reqwest::Client::builder().unix_socket(self.admin_socket(proxy)).build().expect("a client")
    }

    fn admin_socket(&self, proxy: &str) -> PathBuf {
        self.folder.path().join(format!("{}.admin", self.pod_number(proxy)))
    }

    async fn start_apps(&mut self) {
        for pod in &self.fleet.pods {
            let name = pod.labels["app"].clone();
            let version = pod.labels["version"].clone();
            let port = pod.ports.iter().find(|port| port.port == TCP_PORT);
            if let Some(port) = port {
                app::echo(pod.workload.clone(), pod.app_address, port.port).await;
                continue;
            }
            let next = (name == "a").then(|| (self.url(&pod.workload, "b"), "b".to_owned()));
            let app = Arc::new(App {
                name: format!("{name} {version}"),
                next,
                client: reqwest::Client::new(),
                hits: AtomicUsize::new(0),
            });
            app.serve(pod.app_address, PORT).await;
            self.apps.insert(pod.workload.clone(), app);
        }
    }

    fn start_envoy(&self, envoy: &Path, id: &str) -> Child {
        let config = self.folder.path().join(format!("{}.json", self.pod_number(id)));
        std::fs::write(&config, self.bootstrap(id).to_string()).expect("a written bootstrap");
        let log = self.folder.path().join(format!("{}.log", self.pod_number(id)));
        Command::new(envoy)
            .arg("-c")
            .arg(config)
            .args(["--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "2"])
            .args(["--drain-strategy", "immediate", "--parent-shutdown-time-s", "3", "-l", "warning"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log).expect("a log"))
            .spawn()
            .expect("Envoy starts")
    }

    fn bootstrap(&self, id: &str) -> serde_json::Value {
        let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let kept: Vec<_> =
            KEPT_STATS.iter().map(|pattern| json!({"safe_regex": {"regex": pattern}})).collect();
        let tags: Vec<_> =
            STAT_TAGS.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect();
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        json!({
            "node": {"id": id, "cluster": "test"},
            "admin": {"address": {"pipe": {"path": self.admin_socket(id), "mode": 0o600}}},
            "stats_flush_interval": "0.1s",
            "stats_config": {"use_all_default_tags": false, "stats_tags": tags, "stats_matcher": {"inclusion_list": {"patterns": kept}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
                },
                "lds_config": ads,
                "cds_config": ads,
            },
            "static_resources": {"clusters": [{
                "name": "xds",
                "type": "STATIC",
                "connect_timeout": "1s",
                "typed_extension_protocol_options": {options: {
                    "@type": format!("type.googleapis.com/{options}"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                }},
                "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {
                    "address": {"pipe": {"path": self.folder.path().join("ads.sock")}},
                }}]}]},
            }]},
        })
    }

    fn log(&self, id: &str) -> String {
        let log = self.folder.path().join(format!("{}.log", self.pod_number(id)));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    async fn wait_live(&self) {
        let start = Instant::now();
        for id in self.proxies() {
            loop {
                let answer = self.admin(&id).get("http://admin/ready").send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                let log =
                    std::fs::read_to_string(self.folder.path().join(format!("{}.log", self.pod_number(&id))));
                assert!(start.elapsed() < LIMIT, "{id} is not live; its log:\n{}", log.unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(10)).await; // pacing
            }
        }
    }
}

/// A part of loopback that no other test holds: as long as the socket is open.
fn slice() -> (TcpListener, [u8; 2]) {
    for second in 200..250 {
        let lock = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, second, 255, 254)), 28079);
        if let Ok(listener) = TcpListener::bind(lock) {
            return (listener, [127, second]);
        }
    }
    panic!("every slice of 127.200.0.0 to 127.249.0.0 is held");
}
