//! A real Envoy beside a pod: how it is started, and how it is asked.
//!
//! [`Bootstrap`] is what it is told at its start, [`Admin`] the way to ask it. Everything else it gets by ADS.

mod admin;
mod bootstrap;
#[cfg(test)]
mod tests;

pub use admin::{Admin, Error as AdminError, Readiness};
pub use bootstrap::{Bootstrap, Error as BootstrapError, Role};
