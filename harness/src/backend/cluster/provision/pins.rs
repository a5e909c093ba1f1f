//! Which versions of the tools, of Istio and of the node images were tried: the clusters' part of `meshquake.lock`.

use std::sync::LazyLock;

use serde::Deserialize;

const TEXT: &str = include_str!("../../../../meshquake.lock");

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pins {
    pub kind: String,
    pub k3d: String,
    pub istio: String,
    pub kind_node: String,
    pub k3d_node: String,
}

#[derive(Deserialize)]
struct Lock {
    clusters: Pins,
}

pub static PINS: LazyLock<Pins> = LazyLock::new(|| {
    let lock: Lock =
        serde_json::from_str(TEXT).expect("meshquake.lock is part of the program and has a test");
    lock.clusters
});

/// `v0.33.0`, `0.33.0-alpha+x` → 0, 33, 0; a text that is no version compares as the oldest.
pub fn numbers(version: &str) -> (u32, u32, u32) {
    let mut parts = version
        .trim_start_matches('v')
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_pinned() {
        assert!(numbers(&PINS.kind) >= (0, 30, 0), "{:?}", *PINS);
        assert!(numbers(&PINS.k3d) >= (5, 8, 0), "{:?}", *PINS);
        assert!(numbers(&PINS.istio) >= (1, 30, 0), "{:?}", *PINS);
        assert!(PINS.kind_node.contains("@sha256:"), "{:?}", *PINS);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("v0.9.1") < numbers("0.33.0"));
        assert_eq!(numbers("v5.8.3-k3s1"), (5, 8, 3));
        assert_eq!(numbers("unknown"), (0, 0, 0));
    }
}
