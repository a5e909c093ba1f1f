//! `junit.xml`, `report.md` and `report.html` of every run.

use quick_xml::Reader;
use quick_xml::events::Event as Xml;

use super::*;
use crate::event::{SecondOpinion, Unit};
use crate::report::story::Fate;

fn files(case: &Case) -> [String; 3] {
    render(&story(case)).map(|(_, text)| text)
}

#[test]
fn the_sentence_of_every_verdict() {
    let told = cases::all()
        .iter()
        .filter(|case| case.name != "hostile")
        .map(|case| format!("{:16} {}", case.name, sentence(&story(case))))
        .collect::<Vec<_>>();
    insta::assert_snapshot!("sentences", told.join("\n"));
}

#[test]
fn markdown() {
    for name in ["held", "failed", "not-injected", "interrupted", "hostile"] {
        let [_, markdown, _] = files(case(name));
        insta::assert_snapshot!(format!("markdown_{}", name.replace('-', "_")), markdown);
    }
}

#[test]
fn a_row_of_a_markdown_table_has_as_many_cells_as_its_head() {
    for case in cases::all() {
        let [_, markdown, _] = files(case);
        for line in markdown.lines().filter(|line| line.starts_with('|')) {
            let cells = line.replace("\\\\", "").replace("\\|", "").matches('|').count();
            assert_eq!(cells, 7, "{}: {line}", case.name);
        }
    }
}

#[test]
fn junit() {
    for name in ["failed", "interrupted"] {
        let [junit, ..] = files(case(name));
        insta::assert_snapshot!(format!("junit_{name}"), junit);
    }
}

#[test]
fn what_prometheus_says_stands_in_every_report() {
    let mut asked = story(case("held"));
    let opinion = |name: &str, theirs, note: &str| SecondOpinion {
        name: name.into(),
        ours: Some(0.9985),
        theirs,
        unit: Unit::Percent,
        note: note.into(),
    };
    asked.second = vec![
        opinion("answered as they should be", Some(0.991), ""),
        opinion("quick", None, "its scrape interval leaves 1 sample in the window"),
    ];
    let console = super::super::console::answer(&asked, "r", super::super::console::Look::PLAIN);
    for (report, text) in [&console].into_iter().chain(&render(&asked).map(|(_, text)| text)).zip(0..) {
        // Both answers, their difference, and why there is none.
        for part in ["99.85 %", "99.1 %", "-0.75 %", "n/a", "leaves 1 sample in the window"] {
            assert!(report.contains(part), "{part} is not in report {text}:\n{report}");
        }
    }
}

/// Parent, name, attributes.
type Element = (String, String, Vec<(String, String)>);

/// The elements of a document; fails where it is not well-formed.
fn elements(xml: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut found) = (Vec::<String>::new(), Vec::new());
    loop {
        let event = reader.read_event().unwrap();
        if let Xml::Start(tag) | Xml::Empty(tag) = &event {
            let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
            let attribute = |attribute: quick_xml::events::attributes::Attribute| {
                let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                (name, String::from_utf8(attribute.value.to_vec()).unwrap())
            };
            let attributes = tag.attributes().map(|found| attribute(found.unwrap())).collect();
            found.push((path.last().cloned().unwrap_or_default(), name.clone(), attributes));
            if matches!(event, Xml::Start(_)) {
                path.push(name);
            }
        } else if let Xml::End(_) = event {
            path.pop();
        } else if let Xml::Eof = event {
            assert!(path.is_empty(), "unclosed: {path:?}");
            return found;
        }
    }
}

#[test]
fn junit_is_well_formed_and_shaped_as_its_readers_want_it() {
    for case in cases::all() {
        let story = story(case);
        let [junit, ..] = files(case);
        assert!(junit.chars().all(|c| !c.is_control() || c == '\n'), "{}", case.name);
        let elements = elements(&junit);
        let allowed = [
            ("", "testsuites"),
            ("testsuites", "testsuite"),
            ("testsuite", "properties"),
            ("properties", "property"),
            ("testsuite", "testcase"),
            ("testcase", "failure"),
            ("testcase", "error"),
            ("testcase", "skipped"),
        ];
        for (parent, name, _) in &elements {
            assert!(allowed.contains(&(parent, name)), "{}: {name} in {parent}", case.name);
        }
        let count = |wanted: &str| elements.iter().filter(|(_, name, _)| name == wanted).count();
        let suite = &elements.iter().find(|(_, name, _)| name == "testsuite").unwrap().2;
        let told =
            |name: &str| suite.iter().find(|(key, _)| key == name).unwrap().1.parse::<usize>().unwrap();
        let found = ["testcase", "failure", "error", "skipped"].map(count);
        assert_eq!(["tests", "failures", "errors", "skipped"].map(told), found, "{}", case.name);
        // A case for each objective, judged or not, and one for the run.
        assert_eq!(found[0], story.started.objectives.len() + 1, "{}", case.name);
        // What did not hold is never all green.
        assert_eq!(story.verdict == Verdict::Held, found[1] + found[2] == 0, "{}", case.name);
    }
}

#[test]
fn a_page_is_small() {
    for case in cases::all() {
        let [.., page] = files(case);
        assert!(page.len() < 300_000, "{}: {}", case.name, page.len());
    }
}

#[test]
fn a_page_loads_nothing_and_runs_only_its_own_script() {
    for case in cases::all() {
        let [.., page] = files(case);
        assert_eq!(page.matches("<script").count(), 1, "{}", case.name);
        for bad in [
            "http-equiv=\"refresh\"",
            "<link",
            "<img",
            "<iframe",
            "@import",
            " onerror",
            " onload",
            "href=\"javascript:",
        ] {
            assert!(!page.contains(bad), "{}: {bad}", case.name);
        }
        assert!(!page.contains("src="), "{}", case.name);
    }
}

/// Every tag that is opened is closed, so that hostile text cannot have opened or closed one.
#[test]
fn a_page_nests_as_it_should() {
    const VOID: [&str; 3] = ["meta", "br", "!doctype"];
    let pattern = |pattern: &str| regex::Regex::new(pattern).unwrap();
    // Rows of the table of seconds leave out what HTML lets them leave out.
    let seconds = pattern("<tr><th scope=row>[^\n]*\n");
    let foreign = pattern("(?s)<(style|script)>.*?</(style|script)>");
    let tags = pattern("<(/?)([a-zA-Z0-9!]+)([^>]*?)(/?)>");
    for case in cases::all() {
        let [.., page] = files(case);
        let page = seconds.replace_all(&page, "");
        let page = foreign.replace_all(&page, "");
        let mut open = Vec::new();
        for tag in tags.captures_iter(&page) {
            let (closes, name, alone) = (&tag[1] == "/", tag[2].to_owned(), &tag[4] == "/");
            if closes {
                assert_eq!(open.pop(), Some(name), "{} at {}", case.name, tag.get(0).unwrap().start());
            } else if !alone && !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{}: {open:?}", case.name);
    }
}

#[test]
fn headings_go_down_one_by_one_and_tables_name_their_columns() {
    let headings = regex::Regex::new("<h([1-6])").unwrap();
    let names = regex::Regex::new(" id=\"([^\"]+)\"").unwrap();
    for case in cases::all() {
        let [.., page] = files(case);
        let levels =
            headings.captures_iter(&page).map(|found| found[1].parse::<u8>().unwrap()).collect::<Vec<_>>();
        assert_eq!(levels[0], 1, "{}", case.name);
        assert!(
            levels.windows(2).all(|pair| pair[1] > 1 && pair[1] <= pair[0] + 1),
            "{}: {levels:?}",
            case.name
        );
        assert_eq!(page.matches("<table").count(), page.matches("<caption").count(), "{}", case.name);
        assert!(!page.contains("<th>"), "{}", case.name);
        let pictures = page.matches("<svg").count();
        let said = page.matches("role=\"img\"").count() + page.matches("class=\"bar\" ").count();
        assert_eq!(pictures, said, "{}", case.name);
        let mut ids = names.captures_iter(&page).map(|found| found[1].to_owned()).collect::<Vec<_>>();
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{}: {ids:?}", case.name);
    }
}

#[test]
fn a_page_has_every_section_and_an_empty_one_says_why() {
    let sections = ["Objectives", "Timeline", "Actions", "Calls", "Load", "Pods", "Fine print"];
    for case in cases::all() {
        let [.., page] = files(case);
        for section in sections {
            let after = page
                .split(&format!(">{section}</h2>"))
                .nth(1)
                .unwrap_or_else(|| panic!("{}: {section}", case.name));
            assert!(!after.trim_start().starts_with("</section>"), "{}: {section} is empty", case.name);
        }
    }
    let [.., page] = files(case("world-not-up"));
    for why in [
        "no load was driven",
        "nobody called anybody",
        "None was judged: the run ended as “error”",
        "No load was driven",
    ] {
        assert!(page.contains(why), "{why}");
    }
}

#[test]
fn a_spike_of_one_second_in_ten_minutes_is_drawn() {
    let [.., page] = files(case("ten-minutes"));
    // The first is the key beside the panel's title.
    let bars = page.split("<path class=\"bars failed\" d=\"").nth(2).unwrap().split('"').next().unwrap();
    let heights = bars.split("v-").skip(1).map(|bar| bar.split('h').next().unwrap().parse::<f64>().unwrap());
    let tallest = heights.fold(0.0, f64::max);
    assert!(tallest > 10.0, "{tallest}");
}

#[test]
fn a_gap_is_a_gap() {
    let [.., page] = files(case("inconclusive"));
    assert_eq!(page.matches("<rect class=\"gap\"").count(), 1);
    assert!(page.contains("no data from 4.0 s to 7.0 s"));
    let lines = regex::Regex::new("class=\"line ok\" d=\"(M[^\"]*)\"").unwrap();
    let line = lines.captures_iter(&page).last().unwrap()[1].to_owned();
    assert_eq!(line.matches('M').count(), 2, "{line}");
}

#[test]
fn an_action_is_told_by_how_far_it_came() {
    let fates = |name: &str| story(case(name)).actions.iter().map(|action| action.fate()).collect::<Vec<_>>();
    assert_eq!(fates("held"), [Fate::Undone]);
    assert_eq!(fates("not-injected"), [Fate::NotProved]);
    assert_eq!(fates("interrupted"), [Fate::Undone, Fate::NotReached]);
    assert_eq!(fates("undo-failed"), [Fate::UndoFailed]);
    assert_eq!(fates("not-steady"), [Fate::NotReached]);
    let [.., page] = files(case("undo-failed"));
    assert!(page.contains("✖ not undone:"));
}

#[test]
fn a_load_that_ends_within_a_second_does_not_seem_to_fall() {
    let mut story = story(case("held"));
    let last = story.seconds.last().unwrap().second;
    let lines = |story: &Story| {
        let page = html::render(story);
        let ok =
            page.split("<path class=\"line ok\" d=\"").last().unwrap().split('"').next().unwrap().to_owned();
        ok.matches(['M', 'L']).count()
    };
    assert_eq!(lines(&story), 20);
    story.load_end_at = Some(last + 40);
    assert_eq!(lines(&story), 19);
    let (_, end) = story.load_span().unwrap();
    assert_eq!(end, 19.04);
    // The table has it all the same.
    assert_eq!(html::render(&story).matches("<tr><th scope=row>").count(), 20);
}

#[test]
fn what_an_action_cost_is_counted_beside_what_was_before_it() {
    let story = story(case("held"));
    let cost = story.cost(&story.actions[0]).unwrap();
    let amplified = cost.amplification.unwrap();
    // Three calls for each of two hundred requests, and four that were sent again.
    assert_eq!((cost.failed, amplified.before, amplified.retries), (3, 3.0, 4));
    assert!((amplified.meanwhile - 3.02).abs() < 1e-9, "{amplified:?}");
    let [.., page] = files(case("held"));
    for told in [
        "×1.01 <small>3.02 instead of 3.00 calls for a request, 4 retries",
        "503 UC (the connection broke off): 4",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

#[test]
fn what_the_scenario_expected_is_met_by_its_word_alone() {
    let mut story = story(case("failed"));
    story.started.expect = Some("failed: Half of the calls cross.".into());
    assert!(
        html::render(&story)
            .contains("Expected: <strong>failed</strong>, as it came. Half of the calls cross.")
    );
    story.started.expect = Some("held: All is well.".into());
    assert!(html::render(&story).contains("Expected: <strong>held</strong>, it came otherwise."));
}
