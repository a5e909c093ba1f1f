//! Where meshquake keeps what: sockets in the runtime folder, journals and logs in the state folder, Envoy in the cache.
//!
//! Each is the user's own (mode 0700, no symbolic link), or nothing is put there: in `/tmp` a stranger could have
//! made it first. Socket paths are limited to 107 bytes by the kernel, so they are checked before anything binds.
//!
//! ```ignore
//! let dirs = Dirs::from_env()?;
//! let run = dirs.create_run("k3x9")?;              // …/meshquake/k3x9, 0700
//! let socket = dirs::socket(&run, "api.sock")?;    // an error that says what to do, if it is too long
//! let journal = Journal::create(&dirs.runs()?, header)?;
//! ```

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// `sun_path` has 108 bytes, the last of which is the zero at its end.
const LONGEST_SOCKET: usize = 107;
const NAME: &str = "meshquake";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("neither {variable} nor HOME says where the {what} folder is; set one of them to a full path")]
    Unknown { what: &'static str, variable: &'static str },
    #[error("cannot create the folder {}: {source}", .path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("{} is not a folder of uid {uid}: {why}; remove it or set {variable}", .path.display())]
    NotOurs { path: PathBuf, uid: u32, why: String, variable: &'static str },
    #[error(
        "the socket path {} has {} bytes, the limit is {LONGEST_SOCKET}; set XDG_RUNTIME_DIR to a shorter path",
        .path.display(), .path.as_os_str().len()
    )]
    SocketTooLong { path: PathBuf },
    #[error("run id {id:?} is not 1 to 32 of a-z, 0-9 and -")]
    RunId { id: String },
}

/// The four folders; none is created before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    runtime: PathBuf,
    state: PathBuf,
    cache: PathBuf,
    uid: u32,
}

impl Dirs {
    /// By the XDG variables of this process, else in HOME and `/tmp`.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name), rustix::process::geteuid().as_raw())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> Result<Self, Error> {
        // The XDG specification: a path that is not absolute counts as none.
        let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home = |what, name: &'static str, below: &str| {
            folder(name)
                .or_else(|| Some(folder("HOME")?.join(below)))
                .map(|path| path.join(NAME))
                .ok_or(Error::Unknown { what, variable: name })
        };
        // After `su` the variable still points to the folder of somebody else.
        let runtime = folder("XDG_RUNTIME_DIR")
            .filter(|path| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid));
        Ok(Self {
            runtime: runtime
                .map_or_else(|| PathBuf::from(format!("/tmp/{NAME}-{uid}")), |path| path.join(NAME)),
            state: in_home("state", "XDG_STATE_HOME", ".local/state")?,
            cache: in_home("cache", "XDG_CACHE_HOME", ".cache")?,
            uid,
        })
    }

    /// Where runs have their sockets; not created.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The runtime folder that a run will have.
    pub fn run(&self, id: &str) -> Result<PathBuf, Error> {
        check_run_id(id)?;
        Ok(self.runtime.join(id))
    }

    /// The runtime folder of a run, created.
    pub fn create_run(&self, id: &str) -> Result<PathBuf, Error> {
        let run = self.run(id)?;
        self.private(&self.runtime, "XDG_RUNTIME_DIR")?;
        self.private(&run, "XDG_RUNTIME_DIR")
    }

    /// Where the journals are, created.
    pub fn runs(&self) -> Result<PathBuf, Error> {
        self.private(&self.state, "XDG_STATE_HOME")?;
        self.private(&self.state.join("runs"), "XDG_STATE_HOME")
    }

    /// Where the journals of what is done to a cluster are, created.
    pub fn undo(&self, name: &str) -> Result<PathBuf, Error> {
        self.private(&self.state, "XDG_STATE_HOME")?;
        self.private(&self.state.join("undo"), "XDG_STATE_HOME")?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let folder = name.chars().map(plain).collect::<String>();
        self.private(&self.state.join("undo").join(folder), "XDG_STATE_HOME")
    }

    /// Where the logs of a run's pods are, created. Not in the runtime folder: that is often memory, and is
    /// removed with the run.
    pub fn logs(&self, id: &str) -> Result<PathBuf, Error> {
        check_run_id(id)?;
        self.private(&self.state, "XDG_STATE_HOME")?;
        self.private(&self.state.join("logs"), "XDG_STATE_HOME")?;
        self.private(&self.state.join("logs").join(id), "XDG_STATE_HOME")
    }

    /// Removes the oldest logs of worlds that are over, beyond so many. What cannot be removed stays.
    pub fn prune_logs(&self, keep: usize) {
        let is_over = |path: &PathBuf| {
            let journal =
                path.file_name().map(|run| self.state.join("runs").join(run).with_extension("journal"));
            journal.is_some_and(|journal| !journal.exists())
        };
        let written = |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified()).ok();
        let entries = fs::read_dir(self.state.join("logs")).into_iter().flatten().flatten();
        let mut over: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_over).collect();
        over.sort_by_key(|path| std::cmp::Reverse(written(path)));
        for path in over.iter().skip(keep) {
            if let Err(error) = fs::remove_dir_all(path) {
                tracing::warn!(path = %path.display(), %error, "old logs could not be removed");
            }
        }
    }

    /// Where clusters that we made are noted, created.
    pub fn clusters(&self) -> Result<PathBuf, Error> {
        self.private(&self.state, "XDG_STATE_HOME")?;
        self.private(&self.state.join("clusters"), "XDG_STATE_HOME")
    }

    /// Where downloads are kept, created.
    pub fn cache(&self) -> Result<PathBuf, Error> {
        self.private(&self.cache, "XDG_CACHE_HOME")
    }

    /// A folder that is ours alone; its parents are created as needed.
    fn private(&self, path: &Path, variable: &'static str) -> Result<PathBuf, Error> {
        let failed = |source| Error::Create { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(failed(source)),
        }
        let not_ours = |why| Error::NotOurs { path: path.to_owned(), uid: self.uid, why, variable };
        // Without following a link: whoever may write the parent could have laid one.
        let found = fs::symlink_metadata(path).map_err(failed)?;
        if found.is_symlink() {
            return Err(not_ours("it is a symbolic link".into()));
        }
        if !found.is_dir() {
            return Err(not_ours("it is a file".into()));
        }
        if found.uid() != self.uid {
            return Err(not_ours(format!("it belongs to uid {}", found.uid())));
        }
        if found.mode() & 0o077 != 0 {
            // Ours, only too open, perhaps by another tool or an old umask.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(path.to_owned())
    }
}

/// Run ids become file names, parts of socket paths and values of variables.
fn check_run_id(id: &str) -> Result<(), Error> {
    let fits = (1..=32).contains(&id.len())
        && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if fits { Ok(()) } else { Err(Error::RunId { id: id.to_owned() }) }
}

/// The path of a socket in a folder, if the kernel can take it.
pub fn socket(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    if path.as_os_str().as_bytes().len() > LONGEST_SOCKET {
        Err(Error::SocketTooLong { path })
    } else {
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use super::*;

    fn dirs(variables: &[(&str, &Path)]) -> Result<Dirs, Error> {
        let variables: BTreeMap<&str, &Path> = variables.iter().copied().collect();
        let uid = rustix::process::geteuid().as_raw();
        Dirs::from_variables(|name| variables.get(name).map(|path| path.as_os_str().to_owned()), uid)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o777
    }

    #[test]
    fn old_logs_go_and_those_of_worlds_that_are_there_stay() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let dirs = dirs(&[("HOME", home.path())]).expect("known");
        let names = ["a", "b", "c", "d"];
        for (name, age) in names.into_iter().zip([400, 300, 200, 100]) {
            let logs = dirs.logs(name).expect("made");
            let written = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::open(logs).and_then(|logs| logs.set_modified(written)).expect("aged");
        }
        fs::write(dirs.runs().expect("made").join("a.journal"), "").expect("written");
        dirs.prune_logs(2);
        let left = names.map(|name| dirs.state.join("logs").join(name).is_dir());
        assert_eq!(left, [true, false, true, true]);
    }

    #[test]
    fn variables_win_over_home_and_relative_ones_do_not_count() {
        let home = Path::new("/home/ann");
        let found = dirs(&[("HOME", home), ("XDG_STATE_HOME", Path::new("state"))]).expect("known");
        assert_eq!(found.state, Path::new("/home/ann/.local/state/meshquake"));
        assert_eq!(found.cache, Path::new("/home/ann/.cache/meshquake"));
        assert_eq!(found.runtime, Path::new(&format!("/tmp/meshquake-{}", found.uid)));
        let error = dirs(&[("XDG_STATE_HOME", home)]).expect_err("no cache folder").to_string();
        assert_eq!(
            error,
            "neither XDG_CACHE_HOME nor HOME says where the cache folder is; set one of them to a full path"
        );
    }

    #[test]
    fn a_runtime_folder_of_somebody_else_is_not_used() {
        let own = tempfile::tempdir().expect("temporary folder");
        let home = ("HOME", Path::new("/home/ann"));
        let found = dirs(&[home, ("XDG_RUNTIME_DIR", own.path())]).expect("known");
        assert_eq!(found.runtime, own.path().join("meshquake"));
        let gone = own.path().join("gone");
        let found = dirs(&[home, ("XDG_RUNTIME_DIR", &gone)]).expect("known");
        assert!(found.runtime.starts_with("/tmp"), "{found:?}");
    }

    #[test]
    fn folders_are_private_and_strangers_are_refused() {
        let home = tempfile::tempdir().expect("temporary folder");
        let found = dirs(&[("HOME", home.path()), ("XDG_RUNTIME_DIR", home.path())]).expect("known");
        assert_eq!(mode(&found.runs().expect("created")), 0o700);
        assert_eq!(mode(&found.create_run("k3x9").expect("created")), 0o700);
        assert_eq!(found.create_run("k3x9").expect("again"), home.path().join("meshquake/k3x9"));

        fs::set_permissions(&found.runtime, fs::Permissions::from_mode(0o777)).expect("opened");
        found.create_run("k3x9").expect("closed again");
        assert_eq!(mode(&found.runtime), 0o700);

        symlink("/tmp", found.runtime.join("linked")).expect("a link");
        let error = found.create_run("linked").expect_err("a link is refused").to_string();
        assert!(error.contains("it is a symbolic link"), "{error}");
        fs::write(found.runtime.join("file"), "").expect("a file");
        let error = found.create_run("file").expect_err("a file is refused").to_string();
        assert!(error.contains("it is a file"), "{error}");

        let stranger = Dirs { uid: found.uid + 1, ..found };
        let error = stranger.runs().expect_err("another user's folder").to_string();
        assert!(error.contains(&format!("it belongs to uid {}", stranger.uid - 1)), "{error}");
    }

    #[test]
    fn a_run_id_stays_inside_its_folder() {
        let home = tempfile::tempdir().expect("temporary folder");
        let found = dirs(&[("HOME", home.path())]).expect("known");
        for id in ["", "..", "a/b", "A", "ü", &"x".repeat(33)] {
            assert!(matches!(found.logs(id), Err(Error::RunId { .. })), "{id:?}");
        }
    }

    #[test]
    fn a_socket_path_that_is_too_long_says_what_to_do() {
        let folder = PathBuf::from(format!("/{}", "d".repeat(97)));
        assert_eq!(socket(&folder, "api.sock").expect("exactly 107").as_os_str().len(), LONGEST_SOCKET);
        let error = socket(&folder, "admin.sock").expect_err("109").to_string();
        assert!(
            error.ends_with("has 109 bytes, the limit is 107; set XDG_RUNTIME_DIR to a shorter path"),
            "{error}"
        );
    }
}
