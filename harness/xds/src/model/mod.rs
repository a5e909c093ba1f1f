//! The mesh as checked values: services, workloads, routes, policies.
