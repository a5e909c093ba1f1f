//! `junit.xml`: a case for each objective, and one for the run itself, for a CI to read.
//!
//! What failed is a failure. What could not be judged is an error: neither is ever shown as passed, and nothing
//! is left out. A run that ended before its objectives were judged lists them as skipped, with the reason.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::numbers;
use super::sentence;
use super::story::Story;
use crate::event::Judged;
use crate::verdict::Verdict;

pub fn render(story: &Story) -> String {
    let mut suite = TestSuite::new(story.started.scenario.clone());
    suite.add_property(("seed", story.started.seed.to_string().as_str()));
    suite.add_property(("backend", story.started.backend.as_str()));
    suite.add_property(("world", story.started.world.as_str()));
    suite.add_property(("run", story.started.run.as_str()));
    suite.add_test_case(whole(story));
    for judged in &story.judged {
        suite.add_test_case(case(&judged.name, story, of(judged)));
    }
    let unjudged = story
        .started
        .objectives
        .iter()
        .filter(|plan| !story.judged.iter().any(|judged| judged.name == plan.name));
    for plan in unjudged {
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
            status.set_description(story.causes().join("\n"));
            status
        }
    };
    case("verdict", story, status)
}

fn case(name: &str, story: &Story, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("{}.{}", story.started.backend, story.started.scenario));
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
        judged.window,
        numbers::measured(judged),
        numbers::bound(judged)
    ));
    status.set_description(format!("{}\n{}", judged.reason, judged.promql.join("\n")));
    status
}
