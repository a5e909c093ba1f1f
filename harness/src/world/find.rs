//! Where a world lies: by path, or by bare name in `services/deploy/` of the workspace.

use std::path::{Path, PathBuf};

use super::{listed, shown, with_nearest};
use crate::problem::{Place, Problem};

/// Where worlds with bare names are.
const DEPLOY: &str = "services/deploy";

pub(super) struct Found {
    /// The folder, canonical.
    pub folder: PathBuf,
    pub name: String,
}

pub(super) fn find(name: &str, overlay: Option<&str>, near: &Path, place: &Place) -> Result<Found, Problem> {
    let deploy = deploy_folder(near);
    let mut folder = base(name, near, deploy.as_deref(), place)?;
    if let Some(overlay) = overlay {
        folder = overlay_of(&folder, overlay, place)?;
    }
    let name = name_of(&folder, deploy.as_deref());
    Ok(Found { folder, name })
}

fn base(name: &str, near: &Path, deploy: Option<&Path>, place: &Place) -> Result<PathBuf, Problem> {
    let mut tried = Vec::new();
    if let Some(deploy) = deploy {
        tried.push(deploy.join(name));
        // `pinning/unpinned` is short for the overlay.
        if let Some((world, overlay)) = name.split_once('/') {
            tried.push(deploy.join(world).join("overlays").join(overlay));
        }
    }
    let paths = [near.join(name), PathBuf::from(name)];
    let is_path = name.starts_with('.') || name.starts_with('/');
    if is_path {
        tried.splice(0..0, paths)
    } else {
        tried.splice(tried.len().., paths)
    };
    if let Some(folder) =
        tried.iter().filter(|folder| folder.is_dir()).find_map(|folder| folder.canonicalize().ok())
    {
        return Ok(folder);
    }
    let problem = Problem::new(place, format!("there is no world `{name}`"));
    let Some(deploy) = deploy.filter(|_| !is_path) else {
        return Err(problem.help(format!("neither here nor in {} is a folder of that name", shown(near))));
    };
    let worlds = folders_in(deploy);
    let problem = problem.allowed(format!("a path, or {}", listed(worlds.iter().map(String::as_str))));
    Err(with_nearest(problem, name, worlds.iter().map(String::as_str)))
}

fn overlay_of(folder: &Path, overlay: &str, place: &Place) -> Result<PathBuf, Problem> {
    let overlays = folder.join("overlays");
    let wanted = overlays.join(overlay);
    // An overlay is named, not found by a path that leads elsewhere.
    if !overlay.contains("..") && wanted.join("kustomization.yaml").is_file() {
        return wanted
            .canonicalize()
            .map_err(|error| Problem::new(place, format!("{}: {error}", shown(&wanted))));
    }
    let known = folders_in(&overlays);
    let title = format!("{} has no overlay `{overlay}`", shown(folder));
    let problem = Problem::new(place, title).allowed(listed(known.iter().map(String::as_str)));
    Err(with_nearest(problem, overlay, known.iter().map(String::as_str)))
}

/// The nearest `services/deploy` around the scenario, or around the current folder.
fn deploy_folder(near: &Path) -> Option<PathBuf> {
    let here = std::env::current_dir().ok();
    let starts = [near.canonicalize().ok(), here];
    let ancestors = starts.iter().flatten().flat_map(|start| start.ancestors());
    let mut deploys = ancestors.map(|folder| folder.join(DEPLOY));
    deploys.find(|deploy| deploy.is_dir())?.canonicalize().ok()
}

fn folders_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The path in `services/deploy` without `overlays`, or the folder's own name.
fn name_of(folder: &Path, deploy: Option<&Path>) -> String {
    let own = || folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match deploy.and_then(|deploy| folder.strip_prefix(deploy).ok()) {
        Some(inside) => {
            let parts = inside.iter().map(|part| part.to_string_lossy().into_owned());
            parts.filter(|part| part != "overlays").collect::<Vec<_>>().join("/")
        }
        None => own(),
    }
}
