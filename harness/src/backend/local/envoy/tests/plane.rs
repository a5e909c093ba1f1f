//! A control plane with Envoys of its own, and what it tells them.

use super::*;

/// A control plane and a folder for its Envoys.
pub struct Plane {
    pub folder: TempDir,
    pub program: PathBuf,
    pub ads: Ads,
    pub _serving: Serving,
}

impl Plane {
    pub fn start() -> Option<Self> {
        let program = parts::real_envoy()?;
        let folder = tempfile::Builder::new().prefix("mq-").tempdir().unwrap();
        let ads = Ads::new();
        let serving = ads.serve(&folder.path().join("ads.sock")).unwrap();
        Some(Self { folder, program, ads, _serving: serving })
    }

    pub fn bootstrap(&self, pod: &str) -> Bootstrap {
        let folder = self.folder.path().join(pod);
        fs::create_dir_all(&folder).unwrap();
        Bootstrap {
            role: Role::Sidecar,
            namespace: "shop".into(),
            pod: pod.into(),
            workload: pod.into(),
            address: [127, 0, 0, 1].into(),
            labels: BTreeMap::from([("app".into(), pod.into())]),
            folder,
            ads: self.folder.path().join("ads.sock"),
        }
    }

    /// Starts an Envoy with this snapshot and waits until it is ready.
    pub async fn envoy(&self, pod: &str, snapshot: Snapshot) -> Envoy {
        let bootstrap = self.bootstrap(pod);
        self.ads.set(&bootstrap.node(), snapshot);
        let log = bootstrap.folder.join("log");
        let process = Command::new(&self.program)
            .args(bootstrap.write().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let admin = Admin::new(bootstrap.admin_socket()).unwrap();
        let envoy = Envoy { node: bootstrap.node(), process, admin, log };
        let ready = wait::until("Envoy is ready", LIMIT, async || match envoy.admin.ready().await {
            Ok(Readiness::Ready) => Seen::Done(()),
            Ok(Readiness::NotReady(state)) => Seen::NotYet(state),
            Err(error) => Seen::NotYet(error.to_string()),
        });
        if let Err(error) = ready.await {
            panic!("{error}: {}", fs::read_to_string(&envoy.log).unwrap());
        }
        envoy
    }

    pub async fn set(&self, envoy: &Envoy, snapshot: Snapshot) {
        self.ads.set(&envoy.node, snapshot);
        let converged = self.ads.converged([&envoy.node], None, LIMIT).await;
        converged.unwrap_or_else(|error| panic!("{error}"));
    }
}

pub struct Envoy {
    pub node: String,
    pub process: Child,
    pub admin: Admin,
    pub log: PathBuf,
}

impl Envoy {
    /// Where a listener that asked for any port is.
    pub async fn port(&self, listener: &str) -> u16 {
        let listeners = self.admin.listeners().await.unwrap();
        let all = listeners["listener_statuses"].as_array().unwrap();
        let one = all.iter().find(|status| status["name"] == listener).expect("the listener is there");
        let port = &one["local_address"]["socket_address"]["port_value"];
        u16::try_from(port.as_u64().unwrap()).unwrap()
    }

    pub async fn end(mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.process.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(LIMIT, self.process.wait()).await.expect("ends by SIGTERM").unwrap()
    }
}

pub fn by_ads() -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        resource_api_version: 2,
        ..ConfigSource::default()
    }
}

pub fn socket_address(port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: "127.0.0.1".into(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    }
}

pub fn tls(context: Any) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".into(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(context)),
    }
}

pub fn common() -> CommonTlsContext {
    let secret = |name: &str| SdsSecretConfig { name: name.into(), sds_config: Some(by_ads()) };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![secret(CERTIFICATE)],
        validation_context_type: Some(
            common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig(secret(ROOTS)),
        ),
        ..CommonTlsContext::default()
    }
}

/// A listener on any port whose routes come by RDS under its own name.
pub fn listener(name: &str, transport_socket: Option<TransportSocket>) -> Listener {
    let manager = HttpConnectionManager {
        stat_prefix: name.into(),
        http_filters: vec![HttpFilter {
            name: "envoy.filters.http.router".into(),
            config_type: Some(http_filter::ConfigType::TypedConfig(pack_any(Router::default()))),
            ..HttpFilter::default()
        }],
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(by_ads()),
            route_config_name: name.into(),
        })),
        ..HttpConnectionManager::default()
    };
    Listener {
        name: name.into(),
        address: Some(socket_address(0)),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "envoy.filters.network.http_connection_manager".into(),
                config_type: Some(filter::ConfigType::TypedConfig(pack_any(manager))),
            }],
            transport_socket,
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

pub fn routes(name: &str, action: route::Action) -> RouteConfiguration {
    RouteConfiguration {
        name: name.into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes: vec![Route {
                r#match: Some(RouteMatch {
                    path_specifier: Some(PathSpecifier::Prefix("/".into())),
                    ..RouteMatch::default()
                }),
                action: Some(action),
                ..Route::default()
            }],
            ..VirtualHost::default()
        }],
        validate_clusters: Some(BoolValue { value: false }),
        ..RouteConfiguration::default()
    }
}

pub fn says(text: &str) -> route::Action {
    route::Action::DirectResponse(DirectResponseAction {
        status: 200,
        body: Some(DataSource {
            specifier: Some(data_source::Specifier::InlineString(text.into())),
            ..DataSource::default()
        }),
        ..DirectResponseAction::default()
    })
}

pub fn speaker(text: &str) -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.add(listener("in", None));
    snapshot.add(routes("in", says(text)));
    snapshot
}

pub async fn get(client: &reqwest::Client, port: u16) -> (u16, String) {
    let response = client.get(format!("http://127.0.0.1:{port}/")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(LIMIT).no_proxy().build().unwrap()
}
