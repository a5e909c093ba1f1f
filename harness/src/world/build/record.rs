//! What went into the last build, so that cargo need not be asked when none of it has changed.
//!
//! Cargo writes beside each program the files that it was made of (`shop.d`). These, the manifests above them, the
//! settings of the workspace and the variables that cargo heeds make the fingerprint. In doubt cargo is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Builder, cargo};
use crate::world::Build;

/// Settings of the workspace that change what cargo makes.
const SETTINGS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// Where the last build of a package is noted.
pub(super) struct Record {
    path: PathBuf,
    workspace: PathBuf,
    /// What was asked for, and the variables it was asked under.
    question: String,
}

#[derive(Serialize, Deserialize)]
struct Noted {
    question: String,
    programs: BTreeMap<String, PathBuf>,
    fingerprint: String,
}

impl Record {
    pub fn of(builder: &Builder, workspace: &Path, build: &Build) -> Self {
        let target = builder
            .target
            .clone()
            .or_else(|| std::env::var_os("CARGO_TARGET_DIR").map(|target| workspace.join(target)))
            .unwrap_or_else(|| workspace.join("target"));
        let mut question = format!(
            "{} {} {:?} {} {}\n",
            env!("CARGO_PKG_VERSION"),
            build.package,
            build.features,
            builder.release,
            builder.cargo.display()
        );
        question.extend(builder.static_for.iter().map(|target| format!("static for {target}\n")));
        for (name, value) in heeded() {
            question.push_str(&format!("{name}={value}\n"));
        }
        // Two workspaces may share a target folder; each notes its own builds.
        let name = digest(format!(
            "{}\n{} {:?} {} {:?}",
            workspace.display(),
            build.package,
            build.features,
            builder.release,
            builder.static_for
        ));
        let path = target.join("meshquake").join(format!("{}-{}.json", build.package, &name[..16]));
        Self { path, workspace: workspace.to_owned(), question }
    }

    /// The programs of the last build, if nothing that went into it has changed.
    pub fn fresh(&self) -> Option<BTreeMap<String, PathBuf>> {
        let noted: Noted = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let (now, _) = self.fingerprint(&noted.programs)?;
        (noted.question == self.question && noted.fingerprint == now).then_some(noted.programs)
    }

    /// Notes a build. That it cannot be noted costs time at the next one, and nothing else.
    pub fn write(&self, programs: &BTreeMap<String, PathBuf>, began: SystemTime) {
        let Some((fingerprint, newest)) = self.fingerprint(programs) else { return };
        // A file that changed while cargo read it may have been read before the change.
        if newest >= began {
            return;
        }
        let noted = Noted { question: self.question.clone(), programs: programs.clone(), fingerprint };
        let written = (|| {
            let folder = self.path.parent().ok_or(std::io::ErrorKind::NotFound)?;
            fs::create_dir_all(folder)?;
            let draft = tempfile::NamedTempFile::new_in(folder)?;
            fs::write(draft.path(), serde_json::to_vec(&noted)?)?;
            draft.persist(&self.path).map(drop).map_err(|error| error.error)
        })();
        if let Err(error) = written {
            tracing::debug!(%error, path = %self.path.display(), "the build was not noted");
        }
    }

    /// The state of all that went into the programs, and when the newest of the sources was written.
    /// `None` where a program or a source is gone.
    fn fingerprint(&self, programs: &BTreeMap<String, PathBuf>) -> Option<(String, SystemTime)> {
        let mut sources = BTreeSet::new();
        for program in programs.values() {
            let made_of = fs::read_to_string(program.with_extension("d")).ok()?;
            sources.extend(made_of.lines().flat_map(files_of));
        }
        if sources.is_empty() {
            return None;
        }
        let manifests: BTreeSet<PathBuf> = sources
            .iter()
            .filter(|source| source.starts_with(&self.workspace))
            .flat_map(|source| {
                source.ancestors().skip(1).take_while(|above| above.starts_with(&self.workspace))
            })
            .map(|above| above.join("Cargo.toml"))
            .collect();
        let mut hasher = Sha256::new();
        let mut newest = UNIX_EPOCH;
        for source in &sources {
            let (state, written) = state_of(source)?;
            newest = newest.max(written);
            hasher.update(state);
        }
        // A manifest or setting may be missing, and may appear.
        let settings = SETTINGS.iter().map(|name| self.workspace.join(name));
        for file in manifests.into_iter().chain(settings) {
            match state_of(&file) {
                Some((state, written)) => {
                    // Cargo itself may write the lock file during the build.
                    if !file.ends_with("Cargo.lock") {
                        newest = newest.max(written);
                    }
                    hasher.update(state);
                }
                None => hasher.update(format!("{} is not there\n", file.display())),
            }
        }
        for program in programs.values() {
            hasher.update(state_of(program)?.0);
        }
        Some((hex(&hasher.finalize()), newest))
    }
}

/// Variables that change what cargo makes, or how.
fn heeded() -> BTreeMap<String, String> {
    let heeded = |name: &str| {
        (name.starts_with("CARGO") || name.starts_with("RUST")) && !cargo::is_of_cargo(name)
            || matches!(name, "CC" | "CFLAGS" | "AR" | "LD")
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| heeded(name))
        .collect()
}

fn state_of(file: &Path) -> Option<(String, SystemTime)> {
    let metadata = fs::metadata(file).ok()?;
    let written = metadata.modified().ok()?;
    let nanos = written.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some((format!("{} {nanos} {}\n", file.display(), metadata.len()), written))
}

/// The files behind the colon of a line of a dep-info file, in which a space inside a path is escaped.
fn files_of(line: &str) -> Vec<PathBuf> {
    let Some((_, files)) = line.split_once(": ") else { return Vec::new() };
    let files = files.replace("\\ ", "\0");
    files
        .split(' ')
        .filter(|file| !file.is_empty())
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
}

fn digest(text: String) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dep_info_lists_files_with_spaces() {
        let files = files_of("/t/debug/shop: /s/main.rs /s/a\\ b/c.rs");
        assert_eq!(files, [PathBuf::from("/s/main.rs"), PathBuf::from("/s/a b/c.rs")]);
        assert!(files_of("").is_empty());
    }
}
