//! The table as documentation.

use std::fmt::Write as _;

use super::{Field, KindTable, Shape, Support};

/// One kind as a section with a row for each field.
pub fn markdown(table: &KindTable) -> String {
    let mut out = format!("## {}\n\n{}\n\n", table.kind, table.about);
    let versions: Vec<_> = table.api_versions.iter().map(|version| format!("`{version}`")).collect();
    let _ = writeln!(out, "Versions: {}.\n", versions.join(", "));
    out.push_str("| field | what is done with it |\n|---|---|\n");
    rows(&mut out, table.fields, "");
    out
}

fn rows(out: &mut String, fields: &[Field], parent: &str) {
    for field in fields {
        let path = if parent.is_empty() { field.name.to_owned() } else { format!("{parent}.{}", field.name) };
        let (suffix, inner) = unfold(field.shape);
        let path = format!("{path}{suffix}");
        let what = match field.support {
            Support::Honoured => "honoured".to_owned(),
            Support::Inert(why) => format!("inert: {why}"),
            Support::Refused(why) => format!("**refused**: {why}"),
        };
        let _ = writeln!(out, "| `{path}` | {what} |");
        match (field.support, inner) {
            (Support::Refused(_), _) => {}
            // `metadata` is the same everywhere.
            _ if field.name == "metadata" && parent.is_empty() => {}
            (_, Shape::Object(fields) | Shape::OneOf(fields)) => rows(out, fields, &path),
            (_, Shape::Choice(_, refused)) => {
                for (word, why) in refused {
                    let _ = writeln!(out, "| `{path}: {word}` | **refused**: {why} |");
                }
            }
            _ => {}
        }
    }
}

/// `[]` for a list and `.*` for a map, and what is in it.
fn unfold(shape: Shape) -> (String, Shape) {
    match shape {
        Shape::List(inner) => {
            let (suffix, inner) = unfold(*inner);
            (format!("[]{suffix}"), inner)
        }
        Shape::Map(inner) => {
            let (suffix, inner) = unfold(*inner);
            (format!(".*{suffix}"), inner)
        }
        plain => (String::new(), plain),
    }
}
