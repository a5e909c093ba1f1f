//! The closed set of backends and the few operations that differ between them.

pub mod local;
pub mod objects;
