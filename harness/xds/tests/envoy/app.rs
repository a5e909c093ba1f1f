//! The apps of a test mesh: each answers with its name, and passes the request on where it has someone to call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub struct App {
    pub name: String,
    /// The URL of the next service and the host that is asked for.
    pub next: Option<(String, String)>,
    pub client: reqwest::Client,
    pub hits: AtomicUsize,
}

impl App {
    /// Serves HTTP until the runtime ends.
    pub async fn serve(self: &Arc<Self>, address: IpAddr, port: u16) {
        let listener =
            TcpListener::bind(SocketAddr::new(address, port)).await.expect("the app's port is free");
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// `/status/N` answers with N, `/slow` after 2 s, `/flaky` twice in three with 503, `/headers` with the request's
/// headers; whatever the path says happens at the end of the chain.
async fn answer(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Response {
    let hit = app.hits.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Some((url, host)) = &app.next {
        let call = app.client.get(format!("{url}{path}")).header("host", host).send().await;
        return match call {
            Ok(response) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_else(|error| error.to_string());
                (status, format!("{} -> {body}", app.name)).into_response()
            }
            Err(error) => (StatusCode::BAD_GATEWAY, format!("{} -> {error}", app.name)).into_response(),
        };
    }
    let name = app.name.clone();
    match path.split('/').nth(1).unwrap_or_default() {
        "status" => {
            let status = path.rsplit('/').next().and_then(|status| status.parse().ok()).unwrap_or(500);
            (StatusCode::from_u16(status).expect("a status"), name).into_response()
        }
        "slow" => {
            tokio::time::sleep(Duration::from_secs(2)).await; // what makes it slow
            name.into_response()
        }
        "flaky" if hit % 3 != 2 => (StatusCode::SERVICE_UNAVAILABLE, name).into_response(),
        "headers" => {
            let mut lines = vec![format!("path: {path}")];
            for (key, value) in &headers {
                lines.push(format!("{key}: {}", String::from_utf8_lossy(value.as_bytes())));
            }
            lines.join("\n").into_response()
        }
        _ => name.into_response(),
    }
}

/// An app that sends back whatever it gets, with its name before it.
pub async fn echo(name: String, address: IpAddr, port: u16) {
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await.expect("the app's port is free");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let name = name.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 256];
                while let Ok(length) = stream.read(&mut buffer).await
                    && length > 0
                {
                    let answer = [name.as_bytes(), b":", &buffer[..length]].concat();
                    if stream.write_all(&answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
}
