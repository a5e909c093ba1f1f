//! The verdict of a run and of an objective, and the exit codes.
