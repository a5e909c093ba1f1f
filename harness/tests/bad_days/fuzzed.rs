//! Whatever stands in a file, it is read or refused: without a panic, soon, and with the place of every problem.
//!
//! The repository's own files are changed by seed and number, so each case can be repeated: `MESHQUAKE_FUZZ_SEED`,
//! `MESHQUAKE_FUZZ_FROM` and `MESHQUAKE_FUZZ_CASES`, of which there are few unless somebody asks for many.

// What people write: scenarios, worlds, journeys.
mod written;

// What is asked and answered: queries, and pages of metrics.
mod asked;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use meshquake::problem::{self, Place, Problems};
use meshquake_promql::{Labels, Sample, Store};

use crate::mutation::Mutator;
use crate::support;

/// One case takes milliseconds. This is for a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(60);

/// Something to change, and where it lies.
#[derive(Clone)]
struct Seed {
    file: PathBuf,
    text: String,
}

impl Seed {
    fn read(file: &Path) -> Self {
        Self { file: file.to_owned(), text: fs::read_to_string(file).expect("a file of the repository") }
    }
}

/// A text on its way to its reader, for the message of whoever ends badly there.
struct Case {
    number: u64,
    file: PathBuf,
    text: String,
}

/// Gives changed seeds to `read`, which says in how many cases nothing was wrong.
fn fuzz(
    target: &'static str,
    seeds: Vec<Seed>,
    few: u64,
    mut read: impl FnMut(&Seed, &[u8]) -> bool + Send + 'static,
) {
    let seed = setting("SEED").unwrap_or(1);
    let from = setting("FROM").unwrap_or(0);
    let cases = setting("CASES").unwrap_or(few);
    let (sender, begun) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut good = 0;
        for number in from..from + cases {
            let mut mutator = Mutator::new(seed, target, number);
            let chosen = &seeds[mutator.below(seeds.len())];
            let others = seeds.iter().map(|other| other.text.as_str()).collect::<Vec<_>>();
            let bytes = mutator.change(&chosen.text, &others);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Whoever listens is gone only when a case before took too long.
            let _unheard = sender.send(Case { number, file: chosen.file.clone(), text });
            good += u64::from(read(chosen, &bytes));
        }
        good
    });
    let mut last: Option<Case> = None;
    let mut slowest = (Duration::ZERO, from);
    let told = |case: &Option<Case>| match case {
        None => "no case".to_owned(),
        Some(Case { number, file, text }) => {
            format!("{target}, seed {seed}, case {number}, made of {}:\n{text}", file.display())
        }
    };
    loop {
        let began = Instant::now();
        let next = begun.recv_timeout(SOON);
        if let Some(case) = &last {
            slowest = slowest.max((began.elapsed(), case.number));
        }
        match next {
            Ok(case) => last = Some(case),
            Err(RecvTimeoutError::Timeout) => panic!("not read within {SOON:?}: {}", told(&last)),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let good = reader.join().unwrap_or_else(|_| panic!("the reader panicked: {}", told(&last)));
    // Mutants that are all refused at their first character would show nothing.
    assert!(good > 0 || cases < few, "{target}: none of {cases} cases was good");
    if setting("CASES").is_some() {
        tell(&format!(
            "{target}: {cases} cases, {good} good, the slowest took {:?} (case {})",
            slowest.0, slowest.1
        ));
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("MESHQUAKE_FUZZ_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("MESHQUAKE_FUZZ_{name} is {text:?}, which is no number")))
}

/// Says so past the capture of the test harness.
fn tell(text: &str) {
    use std::io::Write as _;
    let _unread = writeln!(std::io::stderr(), "{text}");
}

/// Whether nothing was wrong. What was names a line that is there, and can be shown on a terminal.
fn is_good<T>(result: Result<T, Problems>) -> bool {
    let Err(problems) = result else { return true };
    assert!(!problems.is_empty(), "refused without a problem");
    for found in &problems.0 {
        assert!(!found.title.trim().is_empty(), "{found:?} says nothing");
        assert_is_there(&found.place);
    }
    let shown = problem::plain(&problems);
    let drives = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}'..='\u{202e}');
    assert!(!shown.chars().any(drives), "control characters in {shown:?}");
    false
}

fn assert_is_there(place: &Place) {
    let path = Path::new(place.file.split(" as rendered by ").next().unwrap_or_default());
    let lines = match fs::read(path) {
        Ok(_) if &*place.file != path.as_os_str() => u32::MAX,
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().count() as u32 + 1,
        Err(_) => u32::from(path.is_dir()),
    };
    assert!((1..=lines.max(1)).contains(&place.line), "{place}, and there are {lines} lines");
    assert!(path.exists(), "there is no {place}");
}

/// All `*.yaml` below a folder of the repository.
fn seeds(folder: &str) -> Vec<Seed> {
    fn collect(folder: &Path, seeds: &mut Vec<Seed>) {
        let mut paths = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect::<Vec<_>>();
        paths.sort();
        for path in paths {
            match path.extension() {
                _ if path.is_dir() => collect(&path, seeds),
                Some(end) if end == "yaml" => seeds.push(Seed::read(&path)),
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    collect(&support::root().join(folder), &mut all);
    all
}

/// A few counters of a few seconds.
fn counters() -> Store {
    let mut store = Store::new();
    for (code, step) in [("200", 7), ("503", 1)] {
        for name in ["istio_requests_total", "meshquake_load_requests_total", "x"] {
            let labels = Labels::named(name).with("code", code).with("reporter", "source").with("le", "0.5");
            for second in 1..20 {
                let sample = Sample { at: second * 1000, value: (second * step) as f64 };
                store.append(&labels, sample).expect("in order");
            }
        }
    }
    store
}
