//! Problems as a person reads them: place, line, what was found, what is allowed, what to do.
//!
//! ```text
//! error: scenarios/kill.yaml has 1 problem; nothing was started
//!
//!   × unknown field `protocl` in the load
//!     scenarios/kill.yaml:14
//!  14 │ protocl: http
//!     · ^^^^^^^
//!     · allowed: `journey`, `protocol`, `rate`, `users`
//!     · did you mean `protocol`?
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use owo_colors::{OwoColorize as _, Style};

pub use meshquake_xds::source::{Place, Problem, Problems};

/// What became of the world after the problems were found; it ends the headline.
pub const NOTHING_STARTED: &str = "nothing was started";

/// Longer source lines are cut around what is underlined.
const WIDTH: usize = 100;

/// The problems for a terminal or a log; `consequence` ends the headline. Source lines are read from the files.
pub fn render(problems: &Problems, consequence: &str, colour: bool) -> String {
    Rendering { colour, sources: BTreeMap::new() }.render(problems, consequence)
}

/// [`render`] without colour, for problems found before anything was started.
pub fn plain(problems: &Problems) -> String {
    render(problems, NOTHING_STARTED, false)
}

/// The candidate that the writer probably meant, if one is near enough to be worth naming.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Of longer words there are no misspellings, only accidents, and comparing them takes long.
    const LONGEST: usize = 100;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    // A third of the word may be wrong: more is another word.
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

struct Rendering {
    colour: bool,
    /// The files named so far; `None` where one cannot be read.
    sources: BTreeMap<String, Option<Source>>,
}

/// The lines of a file, looked at once: a file may have as many problems as lines.
struct Source {
    /// Nothing for lines that belong to a Secret, whose values must not get into logs.
    lines: Vec<Option<String>>,
}

impl Source {
    fn read(file: &str) -> Option<Self> {
        let bytes = std::fs::read(file).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().collect::<Vec<_>>();
        let is_secret = |document: &[&str]| {
            document.iter().any(|line| line.replace(['"', '\'', ' '], "").contains("kind:Secret"))
        };
        let documents = lines.chunk_by(|_, next| !next.starts_with("---"));
        let shown = documents.flat_map(|document| {
            let hidden = is_secret(document);
            document.iter().map(move |line| (!hidden).then(|| (*line).to_owned()))
        });
        Some(Self { lines: shown.collect() })
    }
}

impl Rendering {
    fn render(&mut self, problems: &Problems, consequence: &str) -> String {
        let mut sorted: Vec<&Problem> = problems.0.iter().collect();
        sorted.sort();
        sorted.dedup();
        let mut out = format!(
            "{} {}; {consequence}\n",
            self.paint("error:", Style::new().red().bold()),
            headline(&sorted)
        );
        for problem in sorted {
            self.problem(problem, &mut out);
        }
        out
    }

    fn problem(&mut self, problem: &Problem, out: &mut String) {
        let cross = self.paint("×", Style::new().red().bold());
        let place = self.paint(&problem.place.to_string(), Style::new().cyan());
        // Writing to a string cannot fail.
        let _ = write!(out, "\n  {cross} {}\n    {place}\n", harmless(&problem.title));
        let number = problem.place.line.to_string();
        let margin = " ".repeat(number.len().max(2));
        if let Some(line) = self.source_line(&problem.place) {
            let (line, from, width) = excerpt(&line, problem);
            let caret = self.paint(&"^".repeat(width), Style::new().red());
            let _ = writeln!(out, " {number:>2} │ {line}\n {margin} · {}{caret}", " ".repeat(from));
        }
        let notes = [
            problem.found.as_ref().map(|text| format!("found: {text}")),
            problem.allowed.as_ref().map(|text| format!("allowed: {text}")),
            problem.help.as_ref().map(ToString::to_string),
        ];
        for note in notes.iter().flatten() {
            let _ = writeln!(out, " {margin} · {}", harmless(note));
        }
    }

    fn source_line(&mut self, place: &Place) -> Option<String> {
        let source = self.sources.entry(place.file.to_string()).or_insert_with(|| Source::read(&place.file));
        let index = (place.line as usize).checked_sub(1)?;
        let line = source.as_ref()?.lines.get(index)?.as_ref()?;
        (!line.trim().is_empty()).then(|| harmless(line))
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.colour { text.style(style).to_string() } else { text.to_owned() }
    }
}

/// `FILE has N problems`, or how many there are in which files.
fn headline(problems: &[&Problem]) -> String {
    let count = |n: usize| if n == 1 { "1 problem".to_owned() } else { format!("{n} problems") };
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in problems {
        *files.entry(&problem.place.file).or_default() += 1;
    }
    match files.iter().next() {
        Some((file, n)) if files.len() == 1 => format!("{file} has {}", count(*n)),
        _ => {
            let each: Vec<String> = files.iter().map(|(file, n)| format!("{file}: {n}")).collect();
            format!("{} in {} files ({})", count(problems.len()), files.len(), each.join(", "))
        }
    }
}

/// The part of the line worth showing, and which characters of it to underline: `(line, from, width)`.
fn excerpt(line: &str, problem: &Problem) -> (String, usize, usize) {
    let characters: Vec<char> = line.chars().collect();
    let (from, width) = marked(line, problem);
    let indent = characters.iter().take_while(|c| c.is_whitespace()).count();
    // Deep indentation says nothing in a quotation of one line.
    let mut start = indent.min(from);
    if from + width > start + WIDTH {
        start = from.saturating_sub(WIDTH / 4);
    }
    let end = characters.len().min(start + WIDTH);
    let before = if start > indent { "…" } else { "" };
    let after = if end < characters.len() { "…" } else { "" };
    let shown: String = characters[start..end].iter().collect();
    let width = width.min(end - from).max(1);
    (format!("{before}{}{after}", shown.trim_end()), from - start + before.chars().count(), width)
}

/// What in the line the problem is about: a word that its text quotes, or the line's whole content.
fn marked(line: &str, problem: &Problem) -> (usize, usize) {
    let texts = std::iter::once(problem.title.as_str()).chain(problem.found.as_deref());
    let quoted = texts.flat_map(|text| text.split('`').skip(1).step_by(2));
    for word in quoted.filter(|word| !word.is_empty()) {
        if let Some(at) = whole_word(line, word) {
            return (line[..at].chars().count(), word.chars().count());
        }
    }
    let content = line.split(" #").next().unwrap_or(line);
    let content = if content.trim().is_empty() { line } else { content };
    let from = content.chars().take_while(|c| c.is_whitespace()).count();
    (from, content.trim().chars().count())
}

/// Where the word stands by itself, so that `b` is not found in `bulk`.
fn whole_word(line: &str, word: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = line[from..].find(word).map(|at| at + from) {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !(before.is_some_and(part_of_word) && word.starts_with(part_of_word));
        let ends = !(after.is_some_and(part_of_word) && word.ends_with(part_of_word));
        if starts && ends {
            return Some(at);
        }
        from = at + word.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// A file's text must not drive the terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\n' => ' ',
            // Also what would turn the order of letters around.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn rendered(text: &str, problems: impl Fn(&dyn Fn(u32) -> Place) -> Vec<Problem>) -> String {
        let file = file(text);
        let name = file.path().display().to_string();
        let problems = problems(&|line| Place::new(name.as_str(), line));
        plain(&Problems(problems)).replace(&name, "FILE")
    }

    #[test]
    fn a_bad_file_reads_well() {
        let text = "name: x\nload:\n    protocl: http  # a slip\n    rate: 100\n\ntarget: chekout\n";
        let out = rendered(text, |at| {
            vec![
                Problem::new(&at(6), "there is no service `chekout`")
                    .allowed("`cart`, `checkout`")
                    .help("did you mean `checkout`?"),
                Problem::new(&at(3), "unknown field `protocl` in the load").help("did you mean `protocol`?"),
                Problem::new(&at(4), "expected a rate, found the number `100`")
                    .allowed("a rate such as `100/s`"),
                Problem::new(&at(2), "the load lacks the field `journey`"),
                Problem::new(&at(5), "a problem on an empty line").found("nothing"),
            ]
        });
        insta::assert_snapshot!(out);
    }

    #[test]
    fn several_files_are_counted_and_unreadable_ones_do_no_harm() {
        let problems = Problems(vec![
            Problem::new(&Place::new("no/b.yaml", 2), "second"),
            Problem::new(&Place::new("no/a.yaml", 1), "first"),
            Problem::new(&Place::new("no/b.yaml", 2), "second"),
        ]);
        insta::assert_snapshot!(plain(&problems));
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_disarmed() {
        let text = format!("{}: [{}, \u{1b}[31m needle, {}]\n", "key", "x, ".repeat(80), "y, ".repeat(80));
        let out = rendered(&text, |at| vec![Problem::new(&at(1), "what is `needle`\u{1b}[0m?")]);
        assert!(!out.contains('\u{1b}'));
        insta::assert_snapshot!(out);
    }

    #[test]
    fn lines_of_a_secret_are_not_quoted() {
        let text = "kind: Service\nnaem: shop\n---\n{\"kind\": \"Secret\",\nstringData: {pw: hunter2}}\n---\nkind: Job\nx: y\n";
        let out = rendered(text, |at| [2, 5, 8].map(|line| Problem::new(&at(line), "wrong")).to_vec());
        assert!(out.contains("naem: shop") && out.contains("x: y"), "{out}");
        assert!(!out.contains("hunter2"), "{out}");
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let problems = Problems(vec![Problem::new(&Place::new("no.yaml", 1), "bad")]);
        let coloured = render(&problems, NOTHING_STARTED, true);
        assert!(coloured.contains("\u{1b}["));
        let stripped = regex::Regex::new("\u{1b}\\[[0-9;]*m")
            .expect("a pattern")
            .replace_all(&coloured, "")
            .into_owned();
        assert_eq!(stripped, plain(&problems));
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("chekout", ["cart", "checkout", "catalog"]), Some("checkout"));
        assert_eq!(nearest("Rate", ["rate", "users"]), Some("rate"));
        assert_eq!(nearest("volume", ["rate", "users"]), None);
    }
}
