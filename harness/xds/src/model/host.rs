//! Names of objects and hosts, and how one stands for the other.

use std::fmt;

use crate::object::Object;

/// A name in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    pub namespace: String,
    pub name: String,
}

impl ObjectId {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn of(object: &Object) -> Self {
        Self::new(namespace_of(object), object.name())
    }

    /// Takes `NAME.NAMESPACE.svc.DOMAIN` apart.
    pub fn from_fqdn(host: &str, domain: &str) -> Option<Self> {
        let rest = host.trim_end_matches('.').strip_suffix(domain)?.strip_suffix(".svc.")?;
        let (name, namespace) = rest.split_once('.')?;
        (!namespace.contains('.')).then(|| Self::new(namespace, name))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The namespace of an object, `default` where it says none.
pub(super) fn namespace_of(object: &Object) -> &str {
    match object.namespace() {
        "" => "default",
        namespace => namespace,
    }
}

/// A host as written in an object of `namespace`, fully qualified. As with Istio, only a name without dots is short.
pub(super) fn qualify(host: &str, namespace: &str, domain: &str) -> String {
    if host.contains('.') || host.contains('*') {
        host.trim_end_matches('.').to_lowercase()
    } else {
        format!("{}.{namespace}.svc.{domain}", host.to_lowercase())
    }
}

/// Whether a host falls under a pattern, which may be `*` or begin with `*.`.
pub fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
        None => pattern == host,
    }
}

/// Whether an object of `owner` that is exported like this can be seen from `viewer`.
pub(super) fn exported(export_to: &[String], owner: &str, viewer: &str) -> bool {
    export_to.is_empty()
        || export_to.iter().any(|to| match to.as_str() {
            "*" => true,
            "." => owner == viewer,
            namespace => namespace == viewer,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_without_dots_are_short() {
        let qualify = |host| qualify(host, "shop", "cluster.local");
        assert_eq!(qualify("cart"), "cart.shop.svc.cluster.local");
        assert_eq!(qualify("cart.shop.svc.cluster.local."), "cart.shop.svc.cluster.local");
        assert_eq!(qualify("cart.shop"), "cart.shop");
        assert_eq!(qualify("*"), "*");
    }

    #[test]
    fn a_qualified_name_can_be_taken_apart() {
        let id = ObjectId::from_fqdn("cart.shop.svc.cluster.local", "cluster.local");
        assert_eq!(id, Some(ObjectId::new("shop", "cart")));
        for host in ["cart", "cart.shop", "a.b.c.svc.cluster.local", "example.com"] {
            assert_eq!(ObjectId::from_fqdn(host, "cluster.local"), None, "{host}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_at_least_one_letter() {
        assert!(host_matches("*", "a.b"));
        assert!(host_matches("*.b", "a.b"));
        assert!(!host_matches("*.b", ".b"));
        assert!(!host_matches("a.b", "aa.b"));
    }
}
