//! The delta ADS server: snapshots out, ACKs and NACKs in, convergence awaited.
