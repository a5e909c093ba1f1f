//! The shop: the system under test. It knows nothing of the harness that shakes it, nor where it runs.
//!
//! One binary holds every service of the worlds it was built for; `shop microservice-a` runs one of them, and so does a
//! link to the binary under that name. Each service exists in two versions, which run side by side ([`Stack`]).
//!
//! ```text
//! pinning:  gateway ─► microservice-a ─► microservice-b ─► microservice-c
//! ```
//!
//! A service is its routes (`src/<service>/`) inside what all share: [`server`] observes each request, drains, and tells
//! of its health; [`client`] calls the next service; [`chaos`] makes the service itself fail; [`call`] has it call whomever
//! one asks about; [`resolve`] is the one place where a name becomes an address.
//!
//! # Environment
//!
//! | variable | meaning | when unset |
//! | --- | --- | --- |
//! | `STACK` | `v1` or `v2` | refused |
//! | `PORT` | port to listen on; 0 takes a free one | 8080 |
//! | `BIND_IP` | address to listen on | 0.0.0.0 |
//! | `NEXT_URL` | the service that this one calls, `http://host:port` | refused where one is called |
//! | `NEXT_TIMEOUT_MS` | deadline of such a call, connecting included | 2000 |
//! | `MESHQUAKE_HOSTS` | a hosts file that names are looked up in | DNS |
//! | `CHAOS_ADDR` | `unix:/path` or `127.0.0.1:9900`: where the chaos switch and the call on demand listen | neither |
//! | `DRAIN_LINGER_MS` | after SIGTERM: how long new calls are still taken, not ready | 250 |
//! | `DRAIN_TIMEOUT_MS` | after that: how long calls in hand may take | 4000 |
//!
//! # Answers that all services share
//!
//! `/health`, `/ready` (503 while draining) and `/metrics`. A call that failed further on is answered with 502, or 504
//! when the deadline passed, and JSON that names the hop ([`client::Failure`]).

#[cfg(not(feature = "pinning"))]
compile_error!("a shop without a world has no services: choose one or more of the features `pinning`");

pub mod app;
pub mod call;
pub mod chaos;
pub mod cli;
pub mod client;
pub mod environment;
pub mod log;
pub mod metrics;
mod process;
mod random;
pub mod resolve;
pub mod server;
pub mod service;
pub mod stack;
pub mod trace;

#[cfg(feature = "pinning")]
mod microservice_a;
#[cfg(feature = "pinning")]
mod microservice_b;
#[cfg(feature = "pinning")]
mod microservice_c;

pub use app::App;
pub use environment::Environment;
pub use service::Service;
pub use stack::Stack;
