//! The report as a person meets it: opened from a file in a real browser, hovered, folded, on a phone, in the dark, without
//! scripts.
//!
//! The runs are those of `tests/fixtures/runs`. Where no Chromium is found every test is reported
//! as ignored, with the reason in its name; `MESHQUAKE_REQUIRE=chromium` makes that a failure.

#[path = "../support/browser.rs"]
mod browser;
// By eye and by ear: widths, schemes, contrast, names, paper.
mod eye;
// By hand: pointer, keys, folds, links, scripts off.
mod hand;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use browser::{Browser, Page};
use libtest_mimic::{Arguments, Trial};

/// A report in a folder of its own, as a run leaves it.
pub struct Report {
    pub name: String,
    pub file: PathBuf,
}

/// What a test looks at, and with what.
pub struct Desk {
    program: PathBuf,
    reports: OnceLock<(tempfile::TempDir, Vec<Report>)>,
    browser: Mutex<Option<Browser>>,
}

type Test = fn(&Desk);

fn main() {
    let mut arguments = Arguments::from_args();
    // One browser, one page after the other.
    arguments.test_threads = Some(1);
    let tests: [(&str, Test); 11] = [
        ("it_opens_from_a_file_and_asks_for_nothing_else", hand::asks_for_nothing),
        ("the_second_under_the_pointer_is_told_of_all_charts", hand::hover),
        ("arrow_keys_walk_through_the_seconds", hand::keys),
        ("details_fold_and_unfold", hand::folds),
        ("links_lead_to_their_sections", hand::links),
        ("without_scripts_nothing_is_lost", hand::without_scripts),
        ("it_never_scrolls_sideways", eye::widths),
        ("on_a_phone_a_table_is_still_a_table_to_the_ear", eye::phone),
        ("every_text_can_be_read_in_both_schemes", eye::schemes),
        ("everything_has_a_name_and_its_place", eye::tree),
        ("on_paper_it_is_whole", eye::paper),
    ];
    let found = browser::find();
    let required = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
    if let (Err(why), true) = (&found, required.split(',').any(|tier| tier.trim() == "chromium")) {
        panic!("MESHQUAKE_REQUIRE names chromium, and there is none: {why}");
    }
    let trials = match found {
        Err(why) => {
            let skipped = |(name, _): (&str, Test)| {
                Trial::test(format!("{name} (skipped: {why})"), || Ok(())).with_ignored_flag(true)
            };
            tests.map(skipped).into()
        }
        Ok(program) => {
            let desk = Desk { program, reports: OnceLock::new(), browser: Mutex::new(None) };
            let desk = Arc::new(desk);
            let trial = |(name, test): (&str, Test)| {
                let desk = Arc::clone(&desk);
                Trial::test(name, move || {
                    test(&desk);
                    Ok(())
                })
            };
            tests.map(trial).into_iter().collect::<Vec<_>>()
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    conclusion.exit();
}

impl Desk {
    /// Looks at a new page of so many pixels.
    pub fn with_page(&self, width: u32, height: u32, look: impl FnOnce(&mut Page)) {
        // After a failed test the browser is as good as before: each page is its own.
        let mut browser = self.browser.lock().unwrap_or_else(PoisonError::into_inner);
        let started = || Browser::start(&self.program).expect("the browser starts");
        look(&mut browser.get_or_insert_with(started).page(width, height));
    }

    pub fn reports(&self) -> &[Report] {
        &self.reports.get_or_init(|| told().expect("the recorded runs are told")).1
    }

    pub fn report(&self, name: &str) -> &Path {
        let found = self.reports().iter().find(|report| report.name == name);
        &found.unwrap_or_else(|| panic!("there is no recorded run {name}")).file
    }
}

/// Every recorded run, told as `meshquake report` tells it.
fn told() -> std::io::Result<(tempfile::TempDir, Vec<Report>)> {
    let folder = tempfile::tempdir()?;
    let mut reports = Vec::new();
    let mut runs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    runs.sort();
    for run in runs {
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = folder.path().join(&name);
        std::fs::create_dir(&own)?;
        std::fs::copy(run.join("events.jsonl"), own.join("events.jsonl"))?;
        meshquake::report::write(&own).unwrap_or_else(|error| panic!("{name}: {error}"));
        reports.push(Report { name, file: own.join("report.html") });
    }
    Ok((folder, reports))
}
