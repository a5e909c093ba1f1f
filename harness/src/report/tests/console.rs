//! What a person sees while a run goes on, and at its end.

use super::super::console::{Look, Progress, answer};
use super::*;
use crate::event::Record;

const LIVE: Look = Look { live: true, colour: true, width: 80 };

fn progress(name: &str, look: Look) -> String {
    let mut out = Vec::new();
    let mut progress = Progress::new(&mut out, look);
    for line in case(name).jsonl.lines().skip(1) {
        let Ok(record) = serde_json::from_str::<Record>(line) else { continue };
        progress.tell(&record).unwrap();
    }
    progress.finish().unwrap();
    // Escapes as text, so that a snapshot can be read.
    String::from_utf8(out).unwrap().replace('\u{1b}', "␛").replace('\r', "␍")
}

#[test]
fn progress_without_a_terminal() {
    insta::assert_snapshot!("progress_plain_held", progress("held", Look::PLAIN));
    insta::assert_snapshot!("progress_plain_aborted", progress("aborted", Look::PLAIN));
    insta::assert_snapshot!("progress_plain_not_steady", progress("not-steady", Look::PLAIN));
}

#[test]
fn progress_on_a_terminal_is_one_line_rewritten() {
    insta::assert_snapshot!("progress_live_interrupted", progress("interrupted", LIVE));
}

#[test]
fn ten_minutes_in_a_log_are_not_six_hundred_lines() {
    let lines = progress("ten-minutes", Look::PLAIN).lines().count();
    assert!((60..80).contains(&lines), "{lines}");
}

#[test]
fn answers() {
    for name in ["held", "failed", "inconclusive", "not-steady", "undo-failed", "cut-off"] {
        let text = answer(&story(case(name)), "reports/runs/x", Look::PLAIN);
        insta::assert_snapshot!(format!("answer_{}", name.replace('-', "_")), text);
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let escapes = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for case in cases::all() {
        let story = story(case);
        let plain = answer(&story, "r", Look::PLAIN);
        let coloured = answer(&story, "r", Look { colour: true, ..Look::PLAIN });
        assert_eq!(escapes.replace_all(&coloured, ""), plain, "{}", case.name);
        let words = story.judged.len() + story.steady.len().min(1) + 1;
        assert!(coloured.matches("\u{1b}[0m").count() >= words, "{}", case.name);
    }
}

#[test]
fn nothing_that_others_wrote_moves_the_cursor() {
    for look in [Look::PLAIN, Look { colour: false, ..LIVE }] {
        let progress = progress("hostile", look).replace("␍␛[2K", "");
        assert!(
            !progress.contains('␛') && !progress.contains('␍') && !progress.contains('\u{202e}'),
            "{progress}"
        );
    }
    let answer = answer(&story(case("hostile")), "r", Look::PLAIN);
    assert!(!answer.contains(['\u{1b}', '\r', '\u{202e}']), "{answer}");
    let widest = answer.lines().filter(|line| line.contains("held")).map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
}
