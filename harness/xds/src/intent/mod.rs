//! What one proxy is meant to do, in our own types, each node with its place.
