//! What an Envoy is told at its start: who it is, where its admin socket is, and where to ask for the rest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meshquake_xds::ads::SOCKET_PATH_LIMIT;
use meshquake_xds::envoy::{KEPT_STATS, STAT_TAGS};
use serde_json::{Value, json};

const FILE: &str = "envoy.json";
const ADMIN: &str = "admin.sock";

/// For how long an Envoy serves the connections of a listener that was replaced.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "socket path {path} has {length} bytes, the system allows {SOCKET_PATH_LIMIT}; \
         choose a shorter runtime directory (XDG_RUNTIME_DIR)"
    )]
    PathTooLong { path: PathBuf, length: usize },
    #[error("path {path} is not UTF-8, which Envoy's configuration demands")]
    PathNotText { path: PathBuf },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Sidecar,
    /// A gateway: no app beside it.
    Router,
}

/// Who an Envoy is, and where its sockets are.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub role: Role,
    pub namespace: String,
    pub pod: String,
    /// The workload's name, as in `source_workload`.
    pub workload: String,
    /// `status.podIP`.
    pub address: IpAddr,
    pub labels: BTreeMap<String, String>,
    /// The pod's own folder (0700): the configuration and the admin socket lie there.
    pub folder: PathBuf,
    /// Where the ADS server listens.
    pub ads: PathBuf,
}

impl Bootstrap {
    /// The name under which this Envoy is known to the ADS server, in the form that Istio uses.
    pub fn node(&self) -> String {
        let role = match self.role {
            Role::Sidecar => "sidecar",
            Role::Router => "router",
        };
        let Self { namespace, pod, address, .. } = self;
        format!("{role}~{address}~{pod}.{namespace}~{namespace}.svc.cluster.local")
    }

    pub fn admin_socket(&self) -> PathBuf {
        self.folder.join(ADMIN)
    }

    /// Writes the configuration, and removes the socket that an earlier Envoy of this pod left. What comes back are the
    /// arguments with which to start Envoy.
    pub fn write(&self) -> Result<Vec<OsString>, Error> {
        let text = serde_json::to_string_pretty(&self.configuration()?).unwrap_or_default();
        let path = self.folder.join(FILE);
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        let socket = self.admin_socket();
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(&socket)(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(write(&path))?;
        Ok(arguments(&path))
    }

    /// The configuration as Envoy reads it.
    pub fn configuration(&self) -> Result<Value, Error> {
        let socket = self.admin_socket();
        let (admin, ads) = (pipe(&socket)?, pipe(&self.ads)?);
        let by_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        Ok(json!({
            "node": {
                "id": self.node(),
                "cluster": format!("{}.{}", self.workload, self.namespace),
                "metadata": {
                    "NAMESPACE": self.namespace,
                    "NAME": self.pod,
                    "WORKLOAD_NAME": self.workload,
                    "LABELS": self.labels,
                },
            },
            "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
            // Histograms show only after a flush, and each scrape is a second apart.
            "stats_flush_interval": "1s",
            "stats_config": {
                "use_all_default_tags": false,
                "stats_tags": tags(),
                "stats_matcher": {"inclusion_list": {"patterns": patterns()}},
            },
            // As Istio sets it: by Envoy's own limit of 100 many an honest regular expression is too long.
            "layered_runtime": {"layers": [
                {"name": "istio", "static_layer": {"re2.max_program_size.error_level": 32_768}},
            ]},
            // As good as none; without it each Envoy warns at its start.
            "overload_manager": {"resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/\
                        envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": 1_000_000,
                },
            }]},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {
                        "cluster_name": "xds",
                        // The default grows to 30 s, in which a world would stand still.
                        "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}},
                    }}],
                },
                "lds_config": by_ads,
                "cds_config": by_ads,
            },
            "static_resources": {"clusters": [{
                "name": "xds",
                "type": "STATIC",
                "connect_timeout": "1s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {
                            "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                        }},
                    },
                },
                "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"pipe": {"path": ads}}}},
                ]}]},
            }]},
        }))
    }
}

/// How Envoy is started with a configuration file.
fn arguments(configuration: &Path) -> Vec<OsString> {
    let drain = DRAIN.as_secs().to_string();
    let after_drain = (DRAIN.as_secs() + 1).to_string();
    let mut arguments = vec![OsString::from("-c"), configuration.into()];
    arguments.extend(
        [
            "--concurrency",
            "1",
            // Its socket would be shared by all Envoys of the machine.
            "--disable-hot-restart",
            // As Istio's agent does, but not for its 45 s.
            "--drain-time-s",
            &drain,
            "--drain-strategy",
            "immediate",
            "--parent-shutdown-time-s",
            &after_drain,
            "--file-flush-interval-msec",
            "1000",
            "--log-level",
            "warning",
        ]
        .map(OsString::from),
    );
    arguments
}

/// What the statistics pages hold. The rest would cost 2 MiB in each Envoy and most of the time of a scrape.
fn patterns() -> Vec<Value> {
    KEPT_STATS.iter().map(|regex| json!({"safe_regex": {"regex": regex}})).collect()
}

/// The labels of Envoy's own statistics; by its defaults it would cut a cluster's name at the first dot.
fn tags() -> Vec<Value> {
    STAT_TAGS.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect()
}

/// A socket's path as text, where it is short enough for the system.
fn pipe(path: &Path) -> Result<&str, Error> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_LIMIT {
        return Err(Error::PathTooLong { path: path.to_owned(), length });
    }
    path.to_str().ok_or_else(|| Error::PathNotText { path: path.to_owned() })
}
