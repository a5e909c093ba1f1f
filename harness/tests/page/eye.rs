//! By eye and by ear: widths, schemes, contrast, names, paper.

use serde_json::{Value, json};

use crate::Desk;
use crate::browser::Page;

/// Phone, tablet, desktop.
const WIDTHS: [u32; 3] = [390, 820, 1280];

pub fn widths(desk: &Desk) {
    for width in WIDTHS {
        desk.with_page(width, 900, |page| {
            for report in desk.reports() {
                page.open_file(&report.file);
                page.eval("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
                let over = page.eval(
                    "[...document.querySelectorAll('body *')]
                       .filter((it) => !it.closest('.wide, caption, svg') && it.getBoundingClientRect().right > innerWidth + 1)
                       .map((it) => `${it.tagName} ${it.textContent.slice(0, 40)}`).slice(0, 3)",
                );
                assert_eq!(over, json!([]), "{} at {width}", report.name);
                let sideways = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
                assert_eq!(sideways, 0, "{} at {width}", report.name);
            }
        });
    }
}

/// The tree that a screen reader reads: role and name of each node that has a role.
fn heard(page: &mut Page) -> Vec<(String, String)> {
    let tree = page.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let word = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
    let told = nodes.iter().filter(|node| node["ignored"] != true);
    told.map(|node| (word(node, "role"), word(node, "name"))).collect()
}

fn names<'a>(heard: &'a [(String, String)], role: &'a str) -> impl Iterator<Item = &'a str> {
    heard.iter().filter(move |(found, _)| found == role).map(|(_, name)| name.as_str())
}

/// Rows become cards, and stay rows of a table with named columns for whoever hears the page.
pub fn phone(desk: &Desk) {
    desk.with_page(390, 900, |page| {
        page.open_file(desk.report("failed"));
        let shape = "getComputedStyle(document.querySelector('.cards tbody tr')).display";
        assert_eq!(page.eval(shape), "block");
        let heard = heard(page);
        let of = |role| names(&heard, role);
        let tables = of("table").collect::<Vec<_>>();
        assert!(tables.contains(&"Objectives, measured against their bounds"), "{tables:?}");
        let columns = of("columnheader").collect::<Vec<_>>();
        for column in ["objective", "verdict", "measured", "against its bound", "window"] {
            assert!(columns.contains(&column), "{column}: {columns:?}");
        }
        assert!(of("rowheader").any(|name| name.starts_with("v1 never met v2")));
    });
}

/// The least contrast of any text to what is behind it, by the rule of WCAG 2.
const CONTRAST: &str = "(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (it) => {
    for (; it; it = it.parentElement) {
      const colour = rgba(getComputedStyle(it).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [1, 1, 1, 1];
  };
  const worst = [];
  for (const it of document.querySelectorAll('body *')) {
    const own = [...it.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || it.closest('script, title, desc') || !it.getClientRects().length) continue;
    const style = getComputedStyle(it), drawn = it.namespaceURI.endsWith('svg');
    const [a, b] = [light(rgba(drawn ? style.fill : style.color)), light(behind(it))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) worst.push(`${ratio.toFixed(2)} ${it.tagName}.${it.className.baseVal ?? it.className}: ${it.textContent.slice(0, 30)}`);
  }
  return worst.slice(0, 5);
})()";

pub fn schemes(desk: &Desk) {
    desk.with_page(1280, 900, |page| {
        let paper = "getComputedStyle(document.body).backgroundColor";
        let mut papers = vec![];
        for scheme in ["light", "dark"] {
            page.prefers(scheme);
            for name in ["held", "failed", "aborted", "undo-failed", "several-actions", "world-not-up"] {
                page.open_file(desk.report(name));
                page.eval("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
                assert_eq!(page.eval(CONTRAST), json!([]), "{name} in {scheme}");
            }
            papers.push(page.eval(paper));
        }
        assert_ne!(papers[0], papers[1], "the dark scheme applies");
        // Nothing moves, so nobody has to ask for it to stand still.
        let moving = page.eval("document.getAnimations().length");
        assert_eq!(moving, 0);
    });
}

pub fn tree(desk: &Desk) {
    desk.with_page(1280, 900, |page| {
        for report in desk.reports() {
            page.open_file(&report.file);
            page.eval("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
            let heard = heard(page);
            let count = |role: &str| heard.iter().filter(|(found, _)| found == role).count();
            assert_eq!(["banner", "navigation", "main"].map(count), [1; 3], "{}", report.name);
            for named in ["region", "table", "image", "img", "article", "link", "navigation"] {
                let nameless =
                    heard.iter().filter(|(role, name)| role == named && name.trim().is_empty()).count();
                assert_eq!(nameless, 0, "{}: {named}", report.name);
            }
            for (role, name) in heard.iter().filter(|(role, _)| role == "heading") {
                assert!(!name.trim().is_empty(), "{}: {role}", report.name);
            }
        }
        page.open_file(desk.report("held"));
        let heard = heard(page);
        let drawn = heard.iter().filter(|(role, _)| ["image", "img"].contains(&role.as_str()));
        let names = drawn.map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        for name in ["Timeline of 20 s", "Call graph"] {
            assert!(names.contains(&name), "{names:?}");
        }
    });
}

/// Printing unfolds what is folded, and gives a few pages of ink on white.
pub fn paper(desk: &Desk) {
    desk.with_page(1280, 900, |page| {
        page.prefers("dark");
        page.open_file(desk.report("failed"));
        let printed = page.call("Page.printToPDF", json!({"preferCSSPageSize": true, "printBackground": true}));
        assert!(printed["data"].as_str().is_some_and(|pdf| pdf.len() > 20_000));
        let folded = page.eval("[...new Set([...document.querySelectorAll('details:not([open])')].map((it) => it.className))]");
        assert_eq!(folded, json!(["seconds", "long"]), "only what is long stays folded");
        page.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
        assert_eq!(page.eval("getComputedStyle(document.body).color"), "rgb(0, 0, 0)");
        assert_eq!(page.eval("getComputedStyle(document.querySelector('nav')).display"), "none");
        // What could be scrolled on a screen is not cut off on paper.
        page.size(718, 1000);
        let cut = page.eval(
            "[...document.querySelectorAll('.wide')].filter((it) => it.scrollWidth > innerWidth + 1).map((it) => it.getAttribute('aria-label'))",
        );
        assert_eq!(cut, json!([]));
    });
}
