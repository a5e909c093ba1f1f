//! Services in process and a client to call them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use shop::log::{Log, Writer};
use shop::metrics::Metrics;
use shop::server::{self, Drain, Error};
use shop::{App, Environment, Service};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough that nothing but a hang reaches it.
const LIMIT: Duration = Duration::from_secs(20);

/// What was written to it, for all who hold it.
#[derive(Clone, Default)]
pub struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("page").clone()).expect("the log is text")
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("page").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A service that listens on a free port of 127.0.0.1.
pub struct Running {
    pub app: App,
    pub address: SocketAddr,
    pub log: Page,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), Error>>,
    writer: Option<Writer>,
}

impl Running {
    pub async fn start(name: &str, stack: &str, variables: &[(&str, &str)]) -> Self {
        let drain = Drain { linger: Duration::ZERO, timeout: LIMIT };
        Self::start_with(name, stack, variables, drain).await
    }

    pub async fn start_with(name: &str, stack: &str, variables: &[(&str, &str)], drain: Drain) -> Self {
        let environment: Environment = [("STACK", stack)].iter().chain(variables).copied().collect();
        let service = Service::named(name).expect("a service of the shop");
        let log = Page::default();
        let (lines, writer) = Log::open(log.clone()).expect("log");
        let app =
            App::new(service, &environment, Metrics::new().expect("metrics"), lines).expect("environment");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server::serve(listener, app.clone(), drain, async {
            // A test that ends drops the other side.
            let _ = stopped.await;
        }));
        Self { app, address, log, stop: Some(stop), served, writer: Some(writer) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn get(&self, path: &str) -> Answer {
        get(self.address, path, &[]).await
    }

    /// Asks the service to stop, as SIGTERM does.
    pub fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("it runs");
    }

    pub async fn ended(&mut self) -> Result<(), Error> {
        within("the service ends", &mut self.served).await.expect("no panic")
    }

    /// The log's lines, once all are written.
    pub fn log_lines(mut self) -> Vec<serde_json::Value> {
        drop(self.writer.take());
        self.log.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The value of a series on the metrics page; 0 where it is not.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = self.get("/metrics").await.body;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("number"))
    }
}

/// The chain a → b → c, each in a version of its own.
pub struct Chain {
    pub a: Running,
    pub b: Running,
    pub c: Running,
}

impl Chain {
    pub async fn start(a: &str, b: &str, c: &str) -> Self {
        let c = Running::start("microservice-c", c, &[]).await;
        let b = Running::start("microservice-b", b, &[("NEXT_URL", &c.url())]).await;
        let a = Running::start("microservice-a", a, &[("NEXT_URL", &b.url())]).await;
        Self { a, b, c }
    }
}

/// Any router on a free port, in the place of a service.
pub async fn stand_in(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// One GET on a connection of its own.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    exchange(stream, Method::GET, path, headers, "").await
}

/// One request to the chaos switch behind a Unix socket.
pub async fn switch(socket: &Path, method: Method, body: &str) -> Answer {
    exchange(UnixStream::connect(socket).await.expect("the switch listens"), method, "/chaos", &[], body)
        .await
}

pub async fn exchange<S>(
    stream: S,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::builder().method(method).uri(path).header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("request");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("connection");
    tokio::spawn(connection);
    let response = within("an answer", sender.send_request(request)).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("whole body").to_bytes();
    let body = String::from_utf8(body.into()).expect("text");
    Answer { status: parts.status, headers: parts.headers, body }
}

pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {LIMIT:?}"),
    }
}

/// Asks again until it is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await; // pacing
    }
}
