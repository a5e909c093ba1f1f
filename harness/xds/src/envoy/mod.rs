//! Intent to Envoy resources, given the form of interception.
