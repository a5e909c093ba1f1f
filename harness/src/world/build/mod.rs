//! The programs of a world: built by cargo where its images say so, found on PATH where they do not.
//!
//! What runs is what lies in the workspace, never an older installed binary. Cargo decides what is fresh, and is not
//! even asked when nothing that went into the last build has changed since ([`record`]).

mod cargo;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Build, Image, World, here, shown};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start `{}`, which builds package `{package}`: {source}", program.display())]
    NoCargo { program: PathBuf, package: String, source: std::io::Error },
    #[error("package `{package}` does not build\n{words}")]
    Failed { package: String, words: String },
    #[error("package `{package}` builds no program `{wanted}`; it builds {built}")]
    NoProgram { package: String, wanted: String, built: String },
    #[error("image `{image}` is to run `{program}`, which is not on PATH")]
    NotOnPath { image: String, program: String },
    #[error(
        "image `{image}` is to be built from package `{package}`, but {folder} lies in no cargo workspace, and no `{program}` is on PATH"
    )]
    NoWorkspace { image: String, package: String, folder: String, program: String },
}

/// What is going on, for whoever waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Cargo was asked to build a package.
    Building {
        package: String,
    },
    /// Another build holds the lock.
    Waiting,
    /// A crate is being compiled.
    Compiling {
        what: String,
    },
    /// Nothing had changed since the last build.
    Fresh {
        package: String,
    },
    Built {
        package: String,
    },
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Progress::Building { package } => write!(f, "building package `{package}`"),
            Progress::Waiting => f.write_str("waiting for another build"),
            Progress::Compiling { what } => write!(f, "compiling {what}"),
            Progress::Fresh { package } => write!(f, "package `{package}` is built"),
            Progress::Built { package } => write!(f, "built package `{package}`"),
        }
    }
}

/// Builds what the world names, and hands back its images with the absolute path of each program.
///
/// It blocks until cargo is done; within an async runtime it belongs on a thread of its own.
pub fn build(world: &World, progress: &mut dyn FnMut(Progress)) -> Result<BTreeMap<String, Image>, Error> {
    Builder::from_environment().images(&world.home, &world.images, progress)
}

/// As [`build`], but without shared libraries, so that the programs run in an image that holds nothing else.
///
/// A package may have a feature `static` for what it then needs, such as a resolver of its own. Images that nothing
/// is built for are left out.
pub fn build_static(
    folder: &Path,
    images: &BTreeMap<String, Image>,
    progress: &mut dyn FnMut(Progress),
) -> Result<BTreeMap<String, Image>, Error> {
    let built = images.iter().filter(|(_, image)| image.build.is_some());
    let images = built.map(|(name, image)| (name.clone(), image.clone()));
    let images = images
        .map(|(name, mut image)| {
            image.environment.retain(|_, value| !here::is_of_here(value));
            (name, image)
        })
        .collect();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    Builder { static_for: Some(target), ..Builder::from_environment() }.images(folder, &images, progress)
}

/// How cargo is called.
struct Builder {
    cargo: PathBuf,
    /// In place of the target folder that cargo would choose.
    target: Option<PathBuf>,
    /// Shop and harness are built by the same profile, so that they share what they depend on.
    release: bool,
    /// The target for which all libraries are linked in; explicit, so that build scripts keep theirs.
    static_for: Option<String>,
}

impl Builder {
    fn from_environment() -> Self {
        let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        Self { cargo, target: None, release: !cfg!(debug_assertions), static_for: None }
    }

    fn images(
        &self,
        folder: &Path,
        images: &BTreeMap<String, Image>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BTreeMap<String, Image>, Error> {
        let workspace = workspace_of(folder);
        // Images that are built alike are built once.
        let mut built: BTreeMap<&Build, BTreeMap<String, PathBuf>> = BTreeMap::new();
        let mut ready = BTreeMap::new();
        for (name, image) in images {
            let wanted = image.command.first().cloned().unwrap_or_default();
            let program = match (&image.build, &workspace) {
                (None, _) => found(folder, &wanted)
                    .ok_or_else(|| Error::NotOnPath { image: name.clone(), program: wanted.clone() })?,
                (Some(build), None) => found(folder, &wanted).ok_or_else(|| Error::NoWorkspace {
                    image: name.clone(),
                    package: build.package.clone(),
                    folder: shown(folder),
                    program: wanted.clone(),
                })?,
                (Some(build), Some(workspace)) => {
                    if !built.contains_key(build) {
                        let alike = images.values().filter(|image| image.build.as_ref() == Some(build));
                        let wanted = alike.filter_map(|image| image.command.first().cloned()).collect();
                        built.insert(build, self.programs(workspace, build, &wanted, progress)?);
                    }
                    let programs = &built[build];
                    programs.get(&wanted).cloned().ok_or_else(|| Error::NoProgram {
                        package: build.package.clone(),
                        built: super::listed(programs.keys().map(String::as_str)),
                        wanted,
                    })?
                }
            };
            let mut image = image.clone();
            if let Some((first, others)) = image.command.split_first_mut() {
                *first = program.display().to_string();
                // The process runs in a folder of its own.
                for word in others.iter_mut().filter(|word| word.starts_with("./") || word.starts_with("../"))
                {
                    *word = folder.join(&*word).display().to_string();
                }
            }
            ready.insert(name.clone(), image);
        }
        Ok(ready)
    }

    /// The programs of a package by name.
    fn programs(
        &self,
        workspace: &Path,
        build: &Build,
        wanted: &BTreeSet<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BTreeMap<String, PathBuf>, Error> {
        let package = build.package.clone();
        let record = record::Record::of(self, workspace, build);
        if let Some(programs) = record.fresh() {
            progress(Progress::Fresh { package });
            return Ok(programs);
        }
        progress(Progress::Building { package: package.clone() });
        let began = std::time::SystemTime::now();
        let programs = cargo::build(self, workspace, build, wanted, progress)?;
        record.write(&programs, began);
        progress(Progress::Built { package });
        Ok(programs)
    }
}

/// The folder of the cargo workspace around a world, if it lies in one.
pub fn workspace_of(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let is_root = |above: &&Path| {
        let manifest = std::fs::read_to_string(above.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == "[workspace]")
    };
    folder.ancestors().find(is_root).map(Path::to_owned)
}

/// Whether a package lies in a workspace.
pub fn has_package(workspace: &Path, package: &str) -> bool {
    package_folder(workspace, package).join("Cargo.toml").is_file()
}

/// Where a package of a workspace lies: by its name, or by what its manifest says.
pub fn package_folder(workspace: &Path, package: &str) -> PathBuf {
    let is_package = |folder: &PathBuf| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == format!("name = \"{package}\""))
    };
    let folders = std::fs::read_dir(workspace).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = folders.filter(is_package).collect();
    found.sort();
    found.into_iter().next().unwrap_or_else(|| workspace.join(package))
}

/// A program by path, from the folder of world.yaml, or by name on PATH.
fn found(folder: &Path, program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(folder.join(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| !program.is_empty() && path.is_file())
}

#[cfg(test)]
mod tests;
