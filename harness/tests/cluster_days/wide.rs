//! Worlds of more than `local` knows: a cluster runs what it has, and what it does not have is told before anything is
//! changed.

use meshquake::backend::objects::ObjectRef;

use crate::site::{PATIENCE, Site};
use crate::support;
use crate::until::until;

const WIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/worlds/wide");

pub fn what_only_a_cluster_can_run(site: &Site) {
    site.no_world();
    let refused = support::meshquake(&["up", WIDE]).output().expect("the program starts");
    assert_eq!(refused.status.code(), Some(20), "on local: {}", support::said(&refused));
    site.ends(&["up", WIDE], 0);
    let of = |version, kind, name| ObjectRef::new(version, kind, "wide", name);
    let store = site.get(&of("apps/v1", "StatefulSet", "store")).expect("it is there");
    assert_eq!(store["status"]["readyReplicas"], 2, "{store}");
    for (version, kind, name) in [
        ("policy/v1", "PodDisruptionBudget", "store"),
        ("networking.k8s.io/v1", "NetworkPolicy", "anybody"),
        ("security.istio.io/v1", "AuthorizationPolicy", "readers"),
    ] {
        assert!(site.get(&of(version, kind, name)).is_some(), "{kind}");
    }
    let wide = ObjectRef::new("scheduling.k8s.io/v1", "PriorityClass", "", "meshquake-test-wide");
    assert!(site.get(&wide).is_some());
    site.ends(&["down"], 0);
    until("nothing left of it", PATIENCE, || match (site.get(&wide), site.namespace("wide")) {
        (None, None) => Ok(()),
        (wide, namespace) => Err(format!("{wide:?} {namespace:?}")),
    });
}

pub fn a_kind_that_the_cluster_does_not_have(site: &Site) {
    site.no_world();
    let output = site.ends(&["up", WIDE, "--overlay", "no-such-kind"], 21);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["PriorityKlass", "klass.yaml:2", "so nothing was changed", "scheduling.k8s.io/v1"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(site.namespace("wide").is_none(), "it was told before anything was made");
}
