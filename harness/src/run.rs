//! The story of a run, from file to verdict.
