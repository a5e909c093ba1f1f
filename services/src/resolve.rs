//! The one place where a name becomes an address: a hosts file when `MESHQUAKE_HOSTS` names one, DNS otherwise.
//!
//! The file is read for each connection that is opened, so a change of it counts from the next connection on. Connections
//! are kept and reused, so that is seldom, and nothing can be out of date.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;

use crate::Environment;

/// Where names are looked up.
#[derive(Clone, Debug)]
pub enum Names {
    Dns,
    File(Arc<PathBuf>),
}

impl Names {
    pub fn of(environment: &Environment) -> Self {
        match environment.text("MESHQUAKE_HOSTS") {
            Some(file) => Self::File(Arc::new(file.into())),
            None => Self::Dns,
        }
    }

    /// All addresses of a name; the port is the caller's matter and is 0 here.
    pub async fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Dns => dns(name).await,
            Self::File(file) => {
                let text = std::fs::read_to_string(file.as_path()).map_err(|error| {
                    io::Error::new(error.kind(), format!("hosts file {}: {error}", file.display()))
                })?;
                let found = addresses(&text, name);
                if found.is_empty() {
                    let message = format!("no address of `{name}` in hosts file {}", file.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, message));
                }
                Ok(found)
            }
        }
    }
}

/// By the C library.
#[cfg(not(feature = "static"))]
async fn dns(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// Without the C library, which in a static program cannot load what it needs for this. `/etc/resolv.conf` with its
/// search domains and `/etc/hosts` are read each time, as connections are opened seldom; nothing is remembered.
#[cfg(feature = "static")]
async fn dns(name: &str) -> io::Result<Vec<SocketAddr>> {
    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::ResolveHosts;

    let failed =
        |error: hickory_resolver::net::NetError| io::Error::other(format!("no address of `{name}`: {error}"));
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    builder.options_mut().cache_size = 0;
    builder.options_mut().use_hosts_file = ResolveHosts::Always;
    let found = builder.build().map_err(failed)?.lookup_ip(name).await.map_err(failed)?;
    Ok(found.iter().map(|address| SocketAddr::new(address, 0)).collect())
}

/// The lines of a hosts file: an address, then names; `#` starts a comment. A trailing dot on a name means nothing.
fn addresses(text: &str, name: &str) -> Vec<SocketAddr> {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let wanted = plain(name);
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words.any(|word| plain(word) == wanted).then(|| SocketAddr::new(address, 0))
        })
        .collect()
}

impl tower::Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.clone();
        Box::pin(async move { names.look_up(name.as_str()).await.map(Vec::into_iter) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_read_line_by_line() {
        let text = "# a comment\n127.64.1.2 microservice-b microservice-b.pinning # here too\n\
                    nonsense microservice-b\n127.64.1.3\tMicroservice-B.\n::1 six\n";
        let found = |name| addresses(text, name).iter().map(|a| a.ip().to_string()).collect::<Vec<_>>();
        assert_eq!(found("microservice-b"), ["127.64.1.2", "127.64.1.3"]);
        assert_eq!(found("microservice-b.pinning."), ["127.64.1.2"]);
        assert_eq!(found("six"), ["::1"]);
        assert!(found("here").is_empty() && found("microservice").is_empty());
    }

    #[tokio::test]
    async fn the_machines_own_hosts_file_is_heeded() {
        let found = Names::Dns.look_up("localhost").await.expect("every machine knows itself");
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let names = Names::File(Arc::new("/nowhere/hosts".into()));
        let error = names.look_up("microservice-b").await.expect_err("no such file").to_string();
        assert!(error.starts_with("hosts file /nowhere/hosts: No such file"), "{error}");
    }
}
