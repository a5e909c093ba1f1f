//! The kinds that the store serves: one table, read by the paths of the API and by the controllers.

/// Who may write objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Written by people and by the harness.
    Written,
    /// Written by the controllers; a client reads it and, for pods, deletes it.
    Shown,
}

/// A kind of object as the API names it.
#[derive(Debug)]
pub struct Kind {
    pub group: &'static str,
    /// Every version under which it is served; the fields are the same in all of them.
    pub versions: &'static [&'static str],
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    pub access: Access,
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

const fn core(kind: &'static str, plural: &'static str, access: Access) -> Kind {
    Kind { group: "", versions: &["v1"], plural, kind, namespaced: true, access }
}

const fn networking(kind: &'static str, plural: &'static str) -> Kind {
    let group = "networking.istio.io";
    Kind { group, versions: ISTIO, plural, kind, namespaced: true, access: Access::Written }
}

const fn security(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: "security.istio.io", versions: &["v1", "v1beta1"], ..networking(kind, plural) }
}

pub static NAMESPACE: Kind = Kind { namespaced: false, ..core("Namespace", "namespaces", Access::Written) };
pub static SERVICE_ACCOUNT: Kind = core("ServiceAccount", "serviceaccounts", Access::Written);
pub static CONFIG_MAP: Kind = core("ConfigMap", "configmaps", Access::Written);
pub static SECRET: Kind = core("Secret", "secrets", Access::Written);
pub static SERVICE: Kind = core("Service", "services", Access::Written);
pub static POD: Kind = core("Pod", "pods", Access::Shown);
pub static EVENT: Kind = core("Event", "events", Access::Shown);
pub static DEPLOYMENT: Kind = Kind { group: "apps", ..core("Deployment", "deployments", Access::Written) };
pub static VIRTUAL_SERVICE: Kind = networking("VirtualService", "virtualservices");
pub static DESTINATION_RULE: Kind = networking("DestinationRule", "destinationrules");
pub static GATEWAY: Kind = networking("Gateway", "gateways");
pub static PEER_AUTHENTICATION: Kind = security("PeerAuthentication", "peerauthentications");
pub static AUTHORIZATION_POLICY: Kind = security("AuthorizationPolicy", "authorizationpolicies");
pub static TELEMETRY: Kind = Kind {
    group: "telemetry.istio.io",
    versions: &["v1", "v1alpha1"],
    ..networking("Telemetry", "telemetries")
};

/// All of them, in the order in which a world is applied.
pub static KINDS: [&Kind; 14] = [
    &NAMESPACE,
    &SERVICE_ACCOUNT,
    &CONFIG_MAP,
    &SECRET,
    &SERVICE,
    &DEPLOYMENT,
    &POD,
    &EVENT,
    &GATEWAY,
    &DESTINATION_RULE,
    &VIRTUAL_SERVICE,
    &PEER_AUTHENTICATION,
    &AUTHORIZATION_POLICY,
    &TELEMETRY,
];

impl Kind {
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The kind behind an object's own `apiVersion` and `kind`.
    pub fn of(api_version: &str, kind: &str) -> Option<&'static Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        KINDS.into_iter().find(|k| k.kind == kind && k.group == group && k.versions.contains(&version))
    }

    /// The kind behind the pieces of a path.
    pub fn served(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|k| k.plural == plural && k.group == group && k.versions.contains(&version))
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        (self.group, self.kind) == (other.group, other.kind)
    }
}

impl Eq for Kind {}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.kind, self.group).cmp(&(other.kind, other.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_object_and_by_its_path() {
        assert_eq!(Kind::of("apps/v1", "Deployment"), Some(&DEPLOYMENT));
        assert_eq!(Kind::of("networking.istio.io/v1beta1", "VirtualService"), Some(&VIRTUAL_SERVICE));
        assert_eq!(
            Kind::served("security.istio.io", "v1", "peerauthentications"),
            Some(&PEER_AUTHENTICATION)
        );
        assert_eq!(Kind::served("telemetry.istio.io", "v1alpha1", "telemetries"), Some(&TELEMETRY));
        assert_eq!(Kind::of("v1", "Deployment"), None, "the group is part of the name");
        assert_eq!(Kind::served("", "v2", "pods"), None);
    }
}
