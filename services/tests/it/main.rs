//! The shop as its callers see it: services in process on free ports, and the binary as a process.

/// A call that the service makes on demand.
mod call;
/// What a line of the chain says in v1, in v2, and where the two meet.
mod chain;
/// The switch that makes a service itself fail.
mod chaos;
/// The command line: what is refused, and how a process lives and ends.
mod command;
/// Ceasing to serve without losing a request.
mod drain;
/// The identity of a request, on each hop.
mod headers;
/// Names by a hosts file.
mod names;
/// Services in process and a client to call them.
mod support;
