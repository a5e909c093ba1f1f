//! The table of fields against Istio's own schema, and as documentation.
//!
//! `istio-fields/` holds every path of Istio's custom resource definitions (version 1.30 of its API), one a line: a list
//! goes on with `[]`, a map with `.*`.

use meshquake_xds::fields::{ISTIO, REFUSED_KINDS, markdown, rows};

const KNOWN: [(&str, &str); 6] = [
    ("AuthorizationPolicy", include_str!("istio-fields/AuthorizationPolicy.txt")),
    ("DestinationRule", include_str!("istio-fields/DestinationRule.txt")),
    ("Gateway", include_str!("istio-fields/Gateway.txt")),
    ("PeerAuthentication", include_str!("istio-fields/PeerAuthentication.txt")),
    ("Telemetry", include_str!("istio-fields/Telemetry.txt")),
    ("VirtualService", include_str!("istio-fields/VirtualService.txt")),
];

#[test]
fn every_field_that_istio_knows_has_a_row_and_no_other() {
    for (kind, known) in KNOWN {
        let table = ISTIO.iter().find(|table| table.kind == kind).expect("a table");
        let rows = rows(table);
        let covered = |path: &str| {
            rows.iter().any(|row| {
                row.path == path
                    || row.whole
                        && path.strip_prefix(&row.path).is_some_and(|rest| rest.starts_with(['.', '[']))
            })
        };
        let missing: Vec<_> = known.lines().filter(|path| !covered(path)).collect();
        assert_eq!(missing, [""; 0], "{kind} lacks fields of Istio's");
        let own = rows.iter().filter(|row| row.path.starts_with("spec.") && !row.path.contains(": "));
        // A field that is not looked into has no `[]` in its row.
        let invented = own.filter(|row| {
            !known.lines().any(|path| path == row.path || row.whole && path.starts_with(&row.path))
        });
        let invented: Vec<_> = invented.map(|row| row.path.as_str()).collect();
        assert_eq!(invented, [""; 0], "{kind} has fields that Istio does not know");
    }
}

/// `MESHQUAKE_WRITE_DOCS=1` writes the page anew.
#[test]
fn the_page_of_fields_is_up_to_date() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/istio-fields.md");
    let mut text = String::from(
        "# What is done with each field of Istio's objects\n\n\
         Written from the table in `harness/xds/src/fields/`. *Honoured* fields take effect. *Inert* ones cannot change any\n\
         verdict, and each use is listed in the report. *Refused* ones are an error with file and line, before anything starts.\n\n\
         Kinds refused as a whole: ",
    );
    text.push_str(&REFUSED_KINDS.join(", "));
    text.push_str(".\n");
    for table in ISTIO {
        text.push('\n');
        text.push_str(&markdown(table));
    }
    if std::env::var_os("MESHQUAKE_WRITE_DOCS").is_some() {
        std::fs::write(page, &text).expect("a written page");
    }
    let found = std::fs::read_to_string(page).unwrap_or_default();
    assert!(found == text, "{page} is out of date: run this test with MESHQUAKE_WRITE_DOCS=1");
}
