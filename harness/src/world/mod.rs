//! A world: a kustomize folder of Kubernetes and Istio YAML with a `world.yaml`, rendered to checked objects.

pub mod kustomize;

use std::path::{Component, Path, PathBuf};

/// A path as messages show it: from the current folder where it lies beneath it, whole otherwise.
pub fn shown(path: &Path) -> String {
    let mut whole = PathBuf::new();
    let here = std::env::current_dir().unwrap_or_default();
    for part in here.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    let short = whole.strip_prefix(&here).ok().filter(|short| !short.as_os_str().is_empty());
    short.unwrap_or(&whole).display().to_string()
}
