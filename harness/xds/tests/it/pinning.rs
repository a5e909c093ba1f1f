//! The world `pinning`, as it lies in the repository.

use meshquake_xds::object::Object;

use crate::support::objects;

/// The objects of its base.
pub fn pinning() -> Vec<Object> {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/deploy/pinning/base");
    let files =
        ["microservice-a", "microservice-b", "microservice-c", "mtls", "routing", "gateway"].map(|name| {
            let file = format!("{name}.yaml");
            let text = std::fs::read_to_string(format!("{base}/{file}")).expect("the world is there");
            objects(&file, &text, "pinning")
        });
    files.into_iter().flatten().collect()
}
