//! Text that came from elsewhere, made harmless: names, messages and bodies are never ours.
//!
//! Control characters could move a terminal's cursor, and those that turn the direction of writing could make a
//! sentence read as its opposite. Both become visible; everything else, in any script, stays as it is.

/// On one line, without characters that act instead of being read.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => clean.push(' '),
            acting if acts(acting) => clean.push('\u{fffd}'),
            letter => clean.push(letter),
        }
    }
    clean
}

/// As [`line`], but lines and tabs stay: for logs and files.
pub fn block(text: &str) -> String {
    let keep = |letter| matches!(letter, '\n' | '\t') || !acts(letter);
    text.replace("\r\n", "\n").chars().map(|letter| if keep(letter) { letter } else { '\u{fffd}' }).collect()
}

/// At most `most` letters, the last of them an ellipsis where something was cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `1 pod`, `2 pods`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", super::numbers::grouped(number as f64), if number == 1 { one } else { many })
}

fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For the text and the attributes of HTML and SVG.
pub fn html(text: &str) -> String {
    escaped(&line(text))
}

/// For `<pre>`.
pub fn html_block(text: &str) -> String {
    escaped(&block(text))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// For Markdown: no table, link, image, mention, emphasis or tag comes out of it.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in line(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            // A word of no width keeps a code host from calling somebody.
            '@' => escaped.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => escaped.extend(['\\', letter]),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A code span of Markdown, whatever backticks it holds.
pub fn markdown_code(text: &str) -> String {
    let text = line(text);
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A link to a file of the run's folder; `None` for what leads out of it.
pub fn link(path: &str) -> Option<String> {
    let inside = !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..");
    let mut link = String::from("./");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => link.push(byte as char),
            byte => link.push_str(&format!("%{byte:02X}")),
        }
    }
    inside.then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_made_visible() {
        assert_eq!(line("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
        assert_eq!(block("a\r\nb\u{7}\tc"), "a\nb\u{fffd}\tc");
        assert_eq!(line("שלום – здравствуйте"), "שלום – здравствуйте");
    }

    #[test]
    fn html_holds_no_tag_and_ends_no_attribute() {
        assert_eq!(html("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
    }

    #[test]
    fn markdown_is_read_as_text() {
        assert_eq!(markdown("a|b\n<i>[x](y) @all"), "a\\|b &lt;i>\\[x\\](y) @\u{200b}all");
        assert_eq!(markdown_code("a``b`"), "``` a``b` ```");
        assert_eq!(markdown_code("a b"), "`a b`");
    }

    #[test]
    fn links_stay_inside_the_folder() {
        let table = [
            ("logs/a.log", Some("./logs/a.log")),
            ("javascript:alert(1)", Some("./javascript%3Aalert%281%29")),
            ("logs/ü#1", Some("./logs/%C3%BC%231")),
            ("/etc/passwd", None),
            ("../../secret", None),
            ("", None),
        ];
        for (path, expected) in table {
            assert_eq!(link(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn long_text_is_cut_by_letters() {
        assert_eq!((cut("äöü", 3).as_str(), cut("äöüß", 3).as_str()), ("äöü", "äö…"));
    }
}
