//! The package from outside: hand-computed answers, properties, refusals.

mod answers;
mod properties;
mod refusals;
mod series;
