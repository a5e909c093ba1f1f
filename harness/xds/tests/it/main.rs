//! Everything before Envoy: what is refused, what an intent says, what resources look like.

#[path = "../support/mod.rs"]
mod support;

/// The world `pinning`.
mod pinning;

/// What a person wrote, and what is wrong with it.
mod refusals;

/// What each proxy is meant to do.
mod intents;

/// The rules of Istio, each by one small mesh.
mod semantics;

/// What Envoy is given.
mod resources;

/// The table of fields against Istio's own schema.
mod fields;
