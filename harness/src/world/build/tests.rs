//! Builds a workspace of one tiny package by the cargo that runs these tests.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

const MANIFEST: &str = "[workspace]\nmembers = [\"tiny\"]\nresolver = \"3\"\n";
const PACKAGE: &str =
    "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nloud = []\n";
const MAIN: &str =
    "fn main() { print!(\"{}\", if cfg!(feature = \"loud\") { \"LOUD\" } else { \"quiet\" }); }\n";

/// Written well before the build, so that it may be noted.
fn write(path: &Path, text: &str, age: u64) {
    fs::create_dir_all(path.parent().expect("inside")).expect("made");
    fs::write(path, text).expect("written");
    let written = SystemTime::now() - Duration::from_secs(age);
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(written)).expect("dated");
}

fn workspace() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("world build").tempdir().expect("a folder");
    write(&folder.path().join("Cargo.toml"), MANIFEST, 100);
    write(&folder.path().join("tiny/Cargo.toml"), PACKAGE, 100);
    write(&folder.path().join("tiny/src/main.rs"), MAIN, 100);
    fs::create_dir_all(folder.path().join("tiny/deploy/world")).expect("made");
    folder
}

fn image(program: &str, features: &[&str]) -> BTreeMap<String, Image> {
    let features = features.iter().map(|&feature| feature.to_owned()).collect();
    let build = Some(Build { package: "tiny".to_owned(), features });
    let command = vec![program.to_owned(), "argument".to_owned()];
    BTreeMap::from([("tiny:dev".to_owned(), Image { command, environment: BTreeMap::new(), build })])
}

fn run(
    root: &Path,
    images: &BTreeMap<String, Image>,
) -> (Result<BTreeMap<String, Image>, Error>, Vec<Progress>) {
    let builder = Builder { target: Some(root.join("target")), ..Builder::from_environment() };
    let mut steps = Vec::new();
    let built = builder.images(&root.join("tiny/deploy/world"), images, &mut |step| steps.push(step));
    (built, steps)
}

fn output(images: &BTreeMap<String, Image>) -> String {
    let program = &images["tiny:dev"].command[0];
    let output = std::process::Command::new(program).output().expect("the program runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_package_is_built_once_until_it_changes() {
    let folder = workspace();
    let root = folder.path();
    let fresh = Progress::Fresh { package: "tiny".to_owned() };

    let (built, steps) = run(root, &image("tiny", &["loud"]));
    let built = built.expect("it builds");
    assert_eq!(output(&built), "LOUD");
    assert_eq!(built["tiny:dev"].command[1], "argument");
    assert!(steps.contains(&Progress::Compiling { what: "tiny v0.1.0".to_owned() }), "{steps:?}");

    let (again, steps) = run(root, &image("tiny", &["loud"]));
    assert_eq!(
        (again.expect("it is there"), steps),
        (built.clone(), vec![fresh.clone()]),
        "cargo was not asked"
    );

    // Other features are another build in the same place, so the first is then no longer what lies there.
    let (quiet, steps) = run(root, &image("tiny", &[]));
    assert_eq!(output(&quiet.expect("it builds")), "quiet");
    assert!(!steps.contains(&fresh), "{steps:?}");
    let (loud, steps) = run(root, &image("tiny", &["loud"]));
    assert_eq!(output(&loud.expect("it builds")), "LOUD");
    assert!(!steps.contains(&fresh), "{steps:?}");

    write(&root.join("tiny/src/main.rs"), "fn main() { print!(\"new\"); }\n", 50);
    // Cargo compares times as well; this one must be newer than its own last build.
    fs::File::options()
        .write(true)
        .open(root.join("tiny/src/main.rs"))
        .and_then(|file| file.set_modified(SystemTime::now()))
        .expect("dated");
    let (changed, steps) = run(root, &image("tiny", &["loud"]));
    assert_eq!(output(&changed.expect("it builds")), "new");
    assert!(!steps.contains(&fresh), "{steps:?}");
}

#[test]
fn what_does_not_build_says_why() {
    let folder = workspace();
    write(&folder.path().join("tiny/src/main.rs"), "fn main() { let x: u8 = \"text\"; }\n", 100);
    let (built, _) = run(folder.path(), &image("tiny", &[]));
    let error = built.expect_err("it does not build").to_string();
    assert!(error.starts_with("package `tiny` does not build\nerror[E0308]: mismatched types"), "{error}");
    assert!(error.contains("tiny/src/main.rs:1:"), "{error}");
}

#[test]
fn a_program_that_no_package_makes_is_told() {
    let folder = workspace();
    let (built, _) = run(folder.path(), &image("tinny", &[]));
    let error = built.expect_err("there is none").to_string();
    assert!(
        error.starts_with("package `tiny` does not build\nerror: no bin target named `tinny`"),
        "{error}"
    );
}

#[test]
fn without_a_workspace_or_build_programs_come_from_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = Builder::from_environment();
    let plain = |program: &str, build| {
        let image = Image { command: vec![program.to_owned()], environment: BTreeMap::new(), build };
        let images = BTreeMap::from([("image".to_owned(), image)]);
        builder.images(folder.path(), &images, &mut |_| {})
    };
    let ready = plain("sh", None).expect("every machine has it");
    assert!(Path::new(&ready["image"].command[0]).is_absolute());
    let error = plain("no-such-program", None).expect_err("nobody has it").to_string();
    assert_eq!(error, "image `image` is to run `no-such-program`, which is not on PATH");
    let build = Build { package: "shop".to_owned(), features: Vec::new() };
    let error = plain("no-such-program", Some(build)).expect_err("nobody has it").to_string();
    assert!(error.contains("lies in no cargo workspace"), "{error}");
}

#[test]
fn words_that_begin_with_a_dot_are_paths_from_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = ["sh", "./programs/a.sh", "-x", "../b", "c/d", "."].map(str::to_owned).to_vec();
    let image = Image { command, environment: BTreeMap::new(), build: None };
    let images = BTreeMap::from([("image".to_owned(), image)]);
    let ready = Builder::from_environment().images(folder.path(), &images, &mut |_| {}).expect("sh is there");
    let path = |word: &str| folder.path().join(word).display().to_string();
    assert_eq!(
        ready["image"].command[1..],
        [path("./programs/a.sh"), "-x".into(), path("../b"), "c/d".into(), ".".into()]
    );
}

#[test]
fn a_cargo_that_is_not_there_is_told() {
    let folder = workspace();
    let builder = Builder { cargo: "/no/such/cargo".into(), ..Builder::from_environment() };
    let world = folder.path().join("tiny/deploy/world");
    let error = builder.images(&world, &image("tiny", &[]), &mut |_| {}).expect_err("no cargo").to_string();
    assert!(error.starts_with("cannot start `/no/such/cargo`, which builds package `tiny`: "), "{error}");
}

#[test]
fn a_static_program_needs_nothing_else() {
    let folder = workspace();
    let root = folder.path();
    let package = format!("{PACKAGE}static = []\n");
    write(&root.join("tiny/Cargo.toml"), &package, 100);
    let main = "fn main() { assert!(cfg!(feature = \"static\")); print!(\"quiet\"); }\n";
    write(&root.join("tiny/src/main.rs"), main, 100);
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let builder = Builder {
        target: Some(root.join("target")),
        static_for: Some(target),
        ..Builder::from_environment()
    };
    let built = builder.images(&root.join("tiny/deploy/world"), &image("tiny", &[]), &mut |_| {});
    let built = built.expect("it builds");
    assert_eq!(output(&built), "quiet", "its own feature `static` is on");
    let program = fs::read(&built["tiny:dev"].command[0]).expect("read");
    assert!(!asks_for_a_loader(&program), "it needs no loader, and so no library");
}

/// Whether a program header of this ELF file names an interpreter.
fn asks_for_a_loader(program: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let short = |at: usize| usize::from(u16::from_le_bytes([program[at], program[at + 1]]));
    let headers: [u8; 8] = program[0x20..0x28].try_into().expect("eight bytes");
    let first = usize::try_from(u64::from_le_bytes(headers)).expect("it is within the file");
    let (size, count) = (short(0x36), short(0x38));
    assert!(program.starts_with(b"\x7fELF") && count > 0, "a program");
    (0..count).any(|header| {
        let kind: [u8; 4] = program[first + header * size..][..4].try_into().expect("four bytes");
        u32::from_le_bytes(kind) == PT_INTERP
    })
}
