//! Which backends the suites run on here, and why one cannot be had.

use crate::support::{meshquake, no_envoy, said};

/// Where scenarios can be run.
pub const BACKENDS: [&str; 3] = ["local", "kind", "k3d"];

/// The backends that `MESHQUAKE_BACKENDS` or `MESHQUAKE_REQUIRE` asks for; `local` where nobody asks.
pub fn backends() -> Vec<&'static str> {
    let asked = std::env::var("MESHQUAKE_BACKENDS").unwrap_or_default();
    let asked = asked.split(',').map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    for word in &asked {
        assert!(
            BACKENDS.contains(word),
            "MESHQUAKE_BACKENDS names `{word}`; there are {}",
            BACKENDS.join(", ")
        );
    }
    let wanted = |backend: &&str| match asked.as_slice() {
        [] if *backend == "local" => true,
        asked => asked.contains(backend) || is_demanded(backend),
    };
    BACKENDS.into_iter().filter(wanted).collect()
}

/// Why worlds cannot run on this backend, if they cannot; the error of whoever demands it.
pub fn missing(backend: &str) -> Option<String> {
    if backend == "local" {
        return no_envoy();
    }
    let output = meshquake(&["doctor", "--backend", backend, "--json"]).output().expect("doctor runs");
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let missing = findings.iter().filter(|finding| finding["state"] == "MISSING");
    let missing = missing.filter_map(|finding| finding["text"].as_str()).collect::<Vec<_>>().join("; ");
    if output.status.success() {
        return None;
    }
    let why = if missing.is_empty() { said(&output) } else { missing };
    assert!(!is_demanded(backend), "MESHQUAKE_REQUIRE names {backend}, and it cannot run: {why}");
    Some(why)
}

/// Whether a skip is a failure.
pub fn is_demanded(backend: &str) -> bool {
    let required = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
    required.split(',').any(|tier| tier.trim() == backend)
}
