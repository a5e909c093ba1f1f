//! The table as documentation.

use std::fmt::Write as _;

use super::{Field, KindTable, Shape, Support};

/// A field by its whole path, `spec.http[].match[].uri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub path: String,
    pub support: Support,
    /// Whether what is inside has no rows of its own, since it is refused or not looked into.
    pub whole: bool,
}

/// All fields of a kind, each before those inside it; values that are refused stand as `path: VALUE`.
pub fn rows(table: &KindTable) -> Vec<Row> {
    let mut rows = Vec::new();
    collect(&mut rows, table.fields, "");
    rows
}

/// One kind as a section with a row for each field.
pub fn markdown(table: &KindTable) -> String {
    let mut out = format!("## {}\n\n{}\n\n", table.kind, table.about);
    let versions: Vec<_> = table.api_versions.iter().map(|version| format!("`{version}`")).collect();
    let _ = writeln!(out, "Versions: {}.\n", versions.join(", "));
    out.push_str("| field | what is done with it |\n| --- | --- |\n");
    // `metadata` is the same everywhere.
    for row in rows(table).iter().filter(|row| !row.path.starts_with("metadata.")) {
        let what = match row.support {
            Support::Honoured => "honoured".to_owned(),
            Support::Inert(why) => format!("inert: {why}"),
            Support::Refused(why) => format!("**refused**: {why}"),
        };
        let _ = writeln!(out, "| `{}` | {what} |", row.path);
    }
    out
}

fn collect(rows: &mut Vec<Row>, fields: &[Field], parent: &str) {
    for field in fields {
        let path = if parent.is_empty() { field.name.to_owned() } else { format!("{parent}.{}", field.name) };
        let (suffix, inner) = unfold(field.shape);
        let path = format!("{path}{suffix}");
        let refused = matches!(field.support, Support::Refused(_));
        let whole = refused || matches!(inner, Shape::Any);
        rows.push(Row { path: path.clone(), support: field.support, whole });
        match inner {
            _ if refused => {}
            Shape::Object(fields) | Shape::OneOf(fields) => collect(rows, fields, &path),
            Shape::Choice(_, words) => rows.extend(words.iter().map(|(word, why)| Row {
                path: format!("{path}: {word}"),
                support: Support::Refused(why),
                whole: true,
            })),
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
