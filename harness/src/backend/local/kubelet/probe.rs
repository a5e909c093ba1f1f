//! Probes: is an app up, ready, alive? Asked of the app itself, beside its sidecar, as Istio's agent does it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A probe with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    ask: Ask,
    pub initial_delay: Duration,
    pub period: Duration,
    timeout: Duration,
    pub successes: u32,
    pub failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Http { port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { port: u16 },
    Exec { command: Vec<String> },
}

impl Probe {
    /// The probe under `field` of a container, if it has one that can be asked here.
    pub fn of(container: &Value, field: &str) -> Option<Self> {
        let probe = container.get(field)?;
        let ask = if let Some(http) = probe.get("httpGet") {
            let headers = http["httpHeaders"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Ask::Http {
                port: port(container, &http["port"])?,
                path: http["path"].as_str().unwrap_or("/").to_owned(),
                headers: headers.map(|h| (text(&h["name"]), text(&h["value"]))).collect(),
            }
        } else if let Some(tcp) = probe.get("tcpSocket") {
            Ask::Tcp { port: port(container, &tcp["port"])? }
        } else {
            let words = probe["exec"]["command"].as_array()?.iter();
            Ask::Exec { command: words.filter_map(Value::as_str).map(str::to_owned).collect() }
        };
        let number = |field: &str, usual: u64| probe[field].as_u64().unwrap_or(usual);
        Some(Self {
            ask,
            initial_delay: Duration::from_secs(number("initialDelaySeconds", 0)),
            period: Duration::from_secs(number("periodSeconds", 10).max(1)),
            timeout: Duration::from_secs(number("timeoutSeconds", 1).max(1)),
            successes: number("successThreshold", 1) as u32,
            failures: number("failureThreshold", 3) as u32,
        })
    }

    /// Asks once. An error says what was found instead.
    pub async fn ask(&self, app: Ipv4Addr) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.ask.once(app)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("{} gave no answer within {:?}", self.ask.what(app), self.timeout)),
        }
    }
}

impl Ask {
    fn what(&self, app: Ipv4Addr) -> String {
        match self {
            Self::Http { port, path, .. } => format!("GET http://{app}:{port}{path}"),
            Self::Tcp { port } => format!("a connection to {app}:{port}"),
            Self::Exec { command } => format!("`{}`", command.join(" ")),
        }
    }

    async fn once(&self, app: Ipv4Addr) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.what(app));
        match self {
            Self::Tcp { port } => {
                TcpStream::connect(SocketAddr::from((app, *port))).await.map_err(|e| failed(&e))?;
                Ok(())
            }
            Self::Http { port, path, headers } => {
                let stream =
                    TcpStream::connect(SocketAddr::from((app, *port))).await.map_err(|e| failed(&e))?;
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|e| failed(&e))?;
                let mut request = http::Request::get(path.as_str())
                    .header("host", format!("{app}:{port}"))
                    .header("user-agent", "kube-probe/meshquake")
                    .header("connection", "close");
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|e| failed(&e))?;
                // The connection is driven here, so that it ends with the probe.
                let mut answer = std::pin::pin!(sender.send_request(request));
                let answer = tokio::select! {
                    answer = &mut answer => answer,
                    _ended = connection => answer.await,
                };
                let answer = answer.map_err(|e| failed(&e))?;
                let status = answer.status();
                if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(failed(&status)) }
            }
            Self::Exec { command } => {
                let [program, args @ ..] = command.as_slice() else { return Err("no command".to_owned()) };
                let output = tokio::process::Command::new(program).args(args).kill_on_drop(true).output();
                let output = output.await.map_err(|e| failed(&e))?;
                if output.status.success() { Ok(()) } else { Err(failed(&output.status)) }
            }
        }
    }
}

/// A port by number or by the name of one of the container's ports.
fn port(container: &Value, port: &Value) -> Option<u16> {
    if let Some(number) = port.as_u64() {
        return u16::try_from(number).ok();
    }
    let name = port.as_str()?;
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let found = container["ports"].as_array()?.iter().find(|p| p["name"] == name)?;
    u16::try_from(found["containerPort"].as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use serde_json::json;

    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

    #[test]
    fn defaults_are_those_of_kubernetes() {
        let container = json!({"ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/ready"}, "periodSeconds": 1}});
        let probe = Probe::of(&container, "readinessProbe").unwrap();
        assert_eq!(probe.ask, Ask::Http { port: 8080, path: "/ready".into(), headers: Vec::new() });
        assert_eq!((probe.period, probe.failures), (Duration::from_secs(1), 3));
        assert_eq!(Probe::of(&container, "livenessProbe"), None);
    }

    #[tokio::test]
    async fn a_probe_tells_what_it_found() {
        let listener = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new()
            .route("/good", get(|| async { "fine" }))
            .route("/bad", get(|| async { http::StatusCode::SERVICE_UNAVAILABLE }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let ask = async |probe: Value| {
            Probe::of(&json!({"readinessProbe": probe}), "readinessProbe").unwrap().ask(HERE).await
        };
        ask(json!({"httpGet": {"port": port, "path": "/good"}})).await.unwrap();
        ask(json!({"tcpSocket": {"port": port}})).await.unwrap();
        ask(json!({"exec": {"command": ["true"]}})).await.unwrap();
        let bad = ask(json!({"httpGet": {"port": port, "path": "/bad"}})).await.unwrap_err();
        assert_eq!(bad, format!("GET http://127.0.0.1:{port}/bad: 503 Service Unavailable"));
        let failed = ask(json!({"exec": {"command": ["false"]}})).await.unwrap_err();
        assert_eq!(failed, "`false`: exit status: 1");
    }
}
