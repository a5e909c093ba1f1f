//! The vocabulary between a run and its reports.
