//! HTTP clients for what is on this machine: sockets of our own, and loopback.

/// No proxy of the environment may stand between the harness and its own machine. And without TLS, for which each client
/// would read and keep all certificate authorities of the system.
pub fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}
