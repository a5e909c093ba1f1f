//! `junit.xml`: a case for each objective, and one for the run itself, for a CI to read.
//!
//! What failed is a failure. What could not be judged is an error: neither is ever shown as passed, and nothing
//! is left out. A run that ended before its objectives were judged lists them as skipped, with the reason.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::numbers;
use super::sentence;
use super::story::Story;
use super::text;
use crate::event::Judged;
use crate::verdict::Verdict;

pub fn render(story: &Story) -> String {
    let mut suite = TestSuite::new(text::line(&story.started.scenario));
    let started = &story.started;
    let seed = started.seed.to_string();
    let mut property = |name: &str, value: &str| {
        suite.add_property((name, text::line(value).as_str()));
    };
    property("seed", &seed);
    property("backend", &started.backend);
    property("world", &started.world);
    property("run", &started.run);
    property("verdict", story.verdict.word());
    if let Some(expect) = &started.expect {
        property("expected", expect);
    }
    suite.add_test_case(whole(story));
    suite.set_time(std::time::Duration::from_millis(story.lasted_ms()));
    for judged in &story.judged {
        let mut case = case(&judged.name, story, of(judged));
        for opinion in story.second.iter().filter(|opinion| opinion.name == judged.name) {
            let [ours, theirs, difference] = numbers::opinions(opinion);
            let text = match opinion.note.as_str() {
                "" => format!("{theirs}; {ours} here, difference {difference}"),
                note => format!("{theirs}: {note}"),
            };
            case.add_property(("prometheus", text::line(&text).as_str()));
        }
        suite.add_test_case(case);
    }
    for plan in story.unjudged() {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("not judged: the run is {}", story.verdict));
        suite.add_test_case(case(&plan.name, story, status));
    }
    let mut report = Report::new("meshquake");
    report.add_test_suite(suite);
    // Only text that is no XML at all could make this fail, and quick-junit leaves such characters out.
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

fn whole(story: &Story) -> TestCase {
    let status = match story.verdict {
        Verdict::Held => TestCaseStatus::success(),
        verdict => {
            let kind =
                if verdict == Verdict::Failed { NonSuccessKind::Failure } else { NonSuccessKind::Error };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(verdict.word());
            status.set_message(sentence::compose(story));
            status.set_description(text::block(&story.causes().join("\n")));
            status
        }
    };
    case("verdict", story, status)
}

fn case(name: &str, story: &Story, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(text::line(name), status);
    case.set_classname(text::line(&format!("{}.{}", story.started.backend, story.started.scenario)));
    case
}

fn of(judged: &Judged) -> TestCaseStatus {
    let kind = match judged.verdict {
        Verdict::Held => return TestCaseStatus::success(),
        Verdict::Failed => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(judged.verdict.word());
    status.set_message(format!(
        "{} in window {}: {} measured, {} wanted",
        judged.verdict,
        text::line(&judged.window),
        numbers::measured(judged),
        numbers::bound(judged)
    ));
    let description = format!("{}\n{}", judged.reason, judged.promql.join("\n"));
    status.set_description(text::block(&description));
    status
}
