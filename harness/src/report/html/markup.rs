//! Pieces that several sections use: tables that can be read by ear, figures, and the digest that names the script.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::super::text::html;

/// Opens a section, which is a landmark by its heading.
pub fn section(out: &mut String, id: &str, heading: &str) -> std::fmt::Result {
    writeln!(out, "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{heading}</h2>")
}

/// Opens a table: a caption for whoever hears it, and its columns; those that begin with `#` hold numbers.
pub fn table(out: &mut String, caption: &str, columns: &[&str]) -> std::fmt::Result {
    let caption = html(caption);
    // What can be scrolled must be reachable by keyboard.
    write!(
        out,
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table><caption>{caption}</caption><thead><tr>"
    )?;
    for column in columns {
        match column.strip_prefix('#') {
            Some(column) => write!(out, "<th scope=\"col\" class=\"number\">{column}</th>")?,
            None => write!(out, "<th scope=\"col\">{column}</th>")?,
        }
    }
    writeln!(out, "</tr></thead><tbody>")
}

pub fn end_table(out: &mut String) -> std::fmt::Result {
    writeln!(out, "</tbody></table></div>")
}

/// Facts in small print, each under its name; the values are HTML already.
pub fn facts(out: &mut String, facts: &[(&str, String)]) -> std::fmt::Result {
    write_list(out, "", facts)
}

/// Numbers that are read from afar, each under its name; the values are HTML already.
pub fn figures(out: &mut String, figures: &[(&str, String)]) -> std::fmt::Result {
    write_list(out, " class=\"figures\"", figures)
}

fn write_list(out: &mut String, class: &str, pairs: &[(&str, String)]) -> std::fmt::Result {
    write!(out, "<dl{class}>")?;
    for (name, value) in pairs {
        write!(out, "<div><dt>{}</dt><dd>{value}</dd></div>", html(name))?;
    }
    writeln!(out, "</dl>")
}

/// The end of a list that was cut, and where the rest is.
pub fn more(out: &mut String, count: usize, shown: usize, what: &str) -> std::fmt::Result {
    match count.checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(rest) => {
            writeln!(out, "<p class=\"note\">… and {rest} more{what}, in <code>events.jsonl</code>.</p>")
        }
    }
}

/// The digest as a content security policy wants it.
pub fn sha256_base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = Sha256::digest(text.as_bytes());
    let mut base64 = String::new();
    for three in digest.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index) & 63) as usize];
            base64.push(if index <= three.len() { letter as char } else { '=' });
        }
    }
    base64
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_as_browsers_compute_it() {
        assert_eq!(super::sha256_base64(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(super::sha256_base64("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
