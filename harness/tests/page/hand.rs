//! By hand: pointer, keys, folds, links, scripts off.

use serde_json::{Value, json};

use crate::Desk;
use crate::browser::Page;

const DESKTOP: (u32, u32) = (1280, 900);

/// Nothing leaves the page, and the console stays empty.
pub fn asks_for_nothing(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        for report in desk.reports() {
            page.open_file(&report.file);
            let asked = page.asked();
            assert_eq!(asked.len(), 1, "{}: {asked:?}", report.name);
            assert!(asked[0].starts_with("file://"), "{}: {asked:?}", report.name);
            assert_eq!(page.complaints(), [""; 0], "{}", report.name);
            let verdict = page.text("h1");
            let title = page.text("title");
            let word = verdict.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
            assert!(title.ends_with(&format!(": {word}")), "{}: {title} and {verdict}", report.name);
        }
    });
}

/// The middle of the second that the row of the table tells of, in the middle of the chart.
fn hover_over(page: &mut Page, row: usize) {
    let place = page.eval(&format!(
        "(() => {{ const svg = document.getElementById('chart'), data = svg.dataset;
           svg.scrollIntoView({{block: 'center'}});
           const at = parseFloat(document.querySelectorAll('.seconds tbody tr')[{row}].cells[0].textContent) + 0.5;
           const share = (at - data.from) / (data.until - data.from);
           const x = Number(data.left) + share * (data.right - data.left), box = svg.getBoundingClientRect();
           return [box.left + x / data.width * box.width, box.top + box.height / 2]; }})()"
    ));
    page.hover(place[0].as_f64().expect("x"), place[1].as_f64().expect("y"));
}

/// What the box beside the cursor says: its heading, and each value under its name.
fn values(page: &mut Page) -> Value {
    page.eval(
        "(() => { const box = document.getElementById('values');
           if (box.hidden) return null;
           const names = [...box.querySelectorAll('dt')].map((it) => it.textContent);
           const told = [...box.querySelectorAll('dd')].map((it) => it.textContent);
           return [box.querySelector('strong').textContent, Object.fromEntries(names.map((name, i) => [name, told[i]]))]; })()",
    )
}

fn row_of_table(page: &mut Page, row: usize) -> Vec<String> {
    let cells = page.eval(&format!(
        "[...document.querySelectorAll('.seconds tbody tr')[{row}].cells].map((it) => it.textContent.trim())"
    ));
    serde_json::from_value(cells).expect("cells")
}

pub fn hover(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        page.open_file(desk.report("held"));
        assert_eq!(values(page), Value::Null, "nothing is told before anybody points");
        for row in [0, 5, 12, 19] {
            hover_over(page, row);
            let cells = row_of_table(page, row);
            let told = values(page);
            assert_eq!(told[0], format!("from {}", cells[0]));
            for (name, cell) in ["sent", "ok", "failed", "p50", "p95", "p99"].iter().zip(&cells[1..]) {
                assert_eq!(told[1][name], *cell, "{name} of second {row}: {told}");
            }
        }
        // The second in which the pod was killed: its answers and its pods are charts as well.
        hover_over(page, 5);
        let told = values(page);
        assert_eq!(told[1]["other answers"], "503: 3", "{told}");
        let inside = page.eval("document.getElementById('values').getBoundingClientRect().right <= innerWidth");
        assert_eq!(inside, true);
        page.hover(2.0, 2.0);
        assert_eq!(values(page), Value::Null, "it goes with the pointer");

        // A second of which nothing is known says so.
        page.open_file(desk.report("inconclusive"));
        hover_over(page, 3);
        let place = page.eval("document.getElementById('cursor').getBoundingClientRect().x");
        let second = page.eval(
            "(() => { const svg = document.getElementById('chart');
               return svg.getBoundingClientRect().width / svg.dataset.width * (svg.dataset.right - svg.dataset.left)
                 / (svg.dataset.until - svg.dataset.from); })()",
        );
        let middle = page.eval(
            "(() => { const box = document.getElementById('chart').getBoundingClientRect(); return box.y + box.height / 2; })()",
        );
        let number = |value: &Value| value.as_f64().expect("a number");
        page.hover(number(&place) + 2.0 * number(&second), number(&middle));
        let told = values(page);
        assert!(told[0].as_str().is_some_and(|text| text.ends_with("no data")), "{told}");
    });
}

pub fn keys(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        page.open_file(desk.report("held"));
        page.eval("document.getElementById('charts').focus()");
        for (key, row) in [("ArrowRight", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)] {
            page.press(key);
            let cells = row_of_table(page, row);
            assert_eq!(values(page)[0], format!("from {}", cells[0]), "after {key}");
        }
        page.press("Escape");
        assert_eq!(values(page), Value::Null);
    });
}

pub fn folds(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        page.open_file(desk.report("failed"));
        let folds = page.eval("document.querySelectorAll('details').length").as_u64().expect("a count");
        assert!(folds >= 5, "{folds}");
        page.eval("document.querySelectorAll('details').forEach((fold, i) => { fold.id = `fold-${i}`; })");
        for fold in 0..folds {
            let open = format!("document.getElementById('fold-{fold}').open");
            let tall = format!("document.getElementById('fold-{fold}').getBoundingClientRect().height");
            assert_eq!(page.eval(&open), false, "fold {fold} begins folded");
            let folded = page.eval(&tall).as_f64();
            page.click(&format!("#fold-{fold} > summary"));
            assert_eq!(page.eval(&open), true, "fold {fold}");
            assert!(page.eval(&tall).as_f64() > folded, "fold {fold} shows something");
            page.click(&format!("#fold-{fold} > summary"));
            assert_eq!(page.eval(&open), false, "fold {fold}");
        }
        // The first of them is how an objective was measured.
        page.click("#objectives details > summary");
        let promql = "document.querySelector('#objectives details[open] pre').textContent";
        assert!(page.eval(promql).as_str().is_some_and(|text| text.contains("increase(")));
    });
}

pub fn links(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        page.open_file(desk.report("held"));
        let sections = page.eval("[...document.querySelectorAll('nav a')].map((it) => it.getAttribute('href'))");
        let sections: Vec<String> = serde_json::from_value(sections).expect("addresses");
        assert_eq!(sections.len(), 7);
        for section in sections {
            page.eval("scrollTo(0, 0)");
            page.click(&format!("nav a[href=\"{section}\"]"));
            let seen = format!(
                "(() => {{ const box = document.querySelector({}).getBoundingClientRect();
                   return box.top < innerHeight && box.bottom > 0; }})()",
                json!(section)
            );
            assert_eq!(page.eval(&seen), true, "{section}");
            assert_eq!(page.eval("location.hash"), json!(section));
        }
        // Whoever comes by keyboard sees where they are.
        page.open_file(desk.report("held"));
        for stop in 0..12 {
            page.press("Tab");
            let seen = page.eval(
                "(() => { const style = getComputedStyle(document.activeElement);
                   return [document.activeElement.tagName, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]; })()",
            );
            assert_eq!(seen[1], true, "stop {stop}: {seen}");
        }
    });
}

pub fn without_scripts(desk: &Desk) {
    desk.with_page(DESKTOP.0, DESKTOP.1, |page| {
        let whole = |page: &mut Page| page.eval("document.body.innerText.length").as_u64().expect("a length");
        page.open_file(desk.report("several-actions"));
        let with = whole(page);
        page.scripts(false);
        page.open_file(desk.report("several-actions"));
        assert_eq!(page.eval("typeof document.getElementById('chart').onpointermove"), "object");
        assert_eq!(whole(page), with, "no word of the page comes from its script");
        hover_over(page, 3);
        assert_eq!(values(page), Value::Null, "the script does not run");
        // The same values are there all the same, and folds need no script.
        page.click(".seconds > summary");
        let rows = page.eval("document.querySelectorAll('.seconds[open] tbody tr').length");
        assert_eq!(rows, 20);
        let drawn = page.eval("document.querySelectorAll('#chart .line').length").as_u64();
        assert!(drawn.is_some_and(|lines| lines >= 6), "{drawn:?}");
        assert_eq!(page.complaints(), [""; 0]);
    });
}
