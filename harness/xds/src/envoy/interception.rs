//! How an app's calls reach its sidecar. Nothing else may assume a form.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::ObjectId;

/// The form of interception of one proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interception {
    Loopback(Loopback),
}

/// Each service has an address of its own for each calling pod, and the caller's sidecar listens there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loopback {
    pub vips: BTreeMap<ObjectId, IpAddr>,
}

impl Interception {
    /// The address under which the pod's app calls a service.
    pub fn service_address(&self, service: &ObjectId) -> Option<IpAddr> {
        match self {
            Self::Loopback(loopback) => loopback.vips.get(service).copied(),
        }
    }
}
