//! nss_wrapper: a library that lets a program which asks the C library for a name find the services of its world.
//!
//! It is used where it is installed. Nothing is fetched for it: without it such programs are told addresses in
//! `world.yaml`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names the library to use; empty for none at all.
pub const VARIABLE: &str = "MESHQUAKE_NSS_WRAPPER";
const LIBRARY: &str = "libnss_wrapper.so";

/// How it is got.
pub const WAY: &str = "install nss_wrapper (Debian and Ubuntu: libnss-wrapper, Fedora: nss_wrapper)";

/// Where it is, if it is there.
pub fn find() -> Option<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let folders = [&multiarch, "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    find_in(env::var_os(VARIABLE), folders.map(Path::new))
}

fn find_in<'f>(named: Option<OsString>, folders: impl IntoIterator<Item = &'f Path>) -> Option<PathBuf> {
    let mut places = folders.into_iter().map(|folder| folder.join(LIBRARY));
    match named {
        Some(named) => Some(PathBuf::from(named)).filter(|path| path.is_file()),
        None => places.find(|path| path.is_file()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_may_say_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, other) = (folder.path().join(LIBRARY), folder.path().join("other.so"));
        std::fs::write(&there, "").and_then(|()| std::fs::write(&other, "")).expect("written");
        let find = |named: Option<&str>| find_in(named.map(OsString::from), [folder.path()]);
        assert_eq!(find(None), Some(there));
        assert_eq!(find(other.to_str()), Some(other.clone()));
        assert_eq!(find(Some("")), None);
        assert_eq!(find_in(None, [Path::new("/no/such/folder")]), None);
    }
}
