//! From the parser's events to nodes, within bounds: depth, size, and what aliases may multiply.

use std::collections::BTreeMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput};
use meshquake_xds::source::{Place, Problem, Problems};

use super::{Entry, Node, Value};

/// No file of a world comes near it: Kubernetes takes objects up to about 1.5 MB.
pub(super) const MAX_BYTES: u64 = 8 << 20;
const MAX_DEPTH: usize = 64;
/// Counted after aliases are written out, so that nine lines cannot become a billion values.
const MAX_NODES: usize = 200_000;

const TAB: &str = "a tab where only spaces may be";
const TAB_HELP: &str = "indent with spaces";

/// Why reading of a document had to end.
enum Stop {
    /// Reported already; the next document may still be read.
    Reported,
    /// The parser itself cannot go on.
    Syntax(ScanError),
}

pub(super) fn documents(text: &str, shown_as: &str) -> Result<Vec<Node>, Problems> {
    let file: Arc<str> = shown_as.into();
    if text.len() as u64 > MAX_BYTES {
        let title = format!("the text has {} bytes, more than {MAX_BYTES}", text.len());
        return Err(Problems(vec![Problem::new(&Place::new(file, 1), title)]));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        lines: text.lines().collect(),
        file,
        anchors: BTreeMap::new(),
        nodes: 0,
        problems: Problems::default(),
    };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(node)) if node.is_null() => {}
            Ok(Some(node)) => documents.push(node),
            Ok(None) => break,
            Err(stop) => {
                if let Stop::Syntax(error) = stop {
                    reader.syntax(&error);
                }
                // One broken document hides nothing about the others.
                if !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    reader.problems.into_result(documents)
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    lines: Vec<&'t str>,
    file: Arc<str>,
    /// Finished anchored nodes, with the number of values in each.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Problems,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        loop {
            let Some(next) = self.parser.next_event() else { return Ok(None) };
            match next.map_err(Stop::Syntax)? {
                (Event::StreamStart, _) => {}
                (Event::DocumentStart(..), _) => {
                    self.anchors.clear();
                    self.nodes = 0;
                }
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                (event, span) => return self.node(event, span.start, None).map(Some),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Marker), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(Stop::Syntax(error)),
            None => Err(Stop::Reported),
        }
    }

    /// Reads the value that begins with `event`; `key` is the place of its key, if it has one.
    fn node(&mut self, event: Event<'t>, mark: Marker, key: Option<&Place>) -> Result<Node, Stop> {
        let place = self.place(mark);
        let before = self.nodes;
        self.count(1, &place)?;
        self.refuse_tabs(&place);
        let of_collection = || key.cloned().unwrap_or_else(|| place.clone());
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&place);
                }
                let value = match style {
                    ScalarStyle::Plain => self.plain(&text, &place),
                    _ => Value::Text(text.into_owned()),
                };
                (Node { place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&place);
                }
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, mark) => items.push(self.node(event, mark, None)?),
                    }
                }
                (Node { place: of_collection(), value: Value::List(items) }, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&place);
                }
                (Node { place: of_collection(), value: Value::Map(self.entries()?) }, anchor)
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id) else {
                    self.problems.push(Problem::new(&place, "an alias stands inside of what it stands for"));
                    return Ok(Node { place, value: Value::Null });
                };
                let (node, size) = (node.clone(), *size);
                self.count(size, &place)?;
                return Ok(node);
            }
            _ => {
                self.problems.push(Problem::new(&place, "no value where one must be"));
                return Err(Stop::Reported);
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut written: BTreeMap<String, Place> = BTreeMap::new();
        let mut merged: Vec<Entry> = Vec::new();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), mark) => (text.into_owned(), self.place(mark)),
                (event, mark) => {
                    let place = self.place(mark);
                    let found = self.node(event, mark, None)?;
                    match found.value {
                        Value::Text(text) => (text, place),
                        _ => {
                            let title = format!("a key must be a plain word, found {found}");
                            self.problems.push(Problem::new(&place, title));
                            return Err(Stop::Reported);
                        }
                    }
                }
            };
            let (event, mark) = self.next()?;
            let node = self.node(event, mark, Some(&place))?;
            if key == "<<" {
                self.merge(node, &mut merged);
            } else if let Some(first) = written.get(&key) {
                let problem = Problem::new(&place, format!("`{key}` is written twice"))
                    .help(format!("it was first written at {}", first));
                self.problems.push(problem);
            } else {
                written.insert(key.clone(), place.clone());
                entries.push(Entry { key, place, node });
            }
        }
        for entry in merged {
            if !written.contains_key(&entry.key) {
                written.insert(entry.key.clone(), entry.place.clone());
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// `<<: *base` and `<<: [*first, *second]`: what is written in the map itself wins, then the first.
    fn merge(&mut self, node: Node, merged: &mut Vec<Entry>) {
        match node.value {
            Value::Map(entries) => merged.extend(entries),
            Value::List(items) => {
                for item in items {
                    self.merge(item, merged);
                }
            }
            _ => {
                let problem = Problem::new(&node.place, "`<<` takes a map or a list of maps")
                    .found(node.describe())
                    .help("write `<<: *name` with the anchor of a map");
                self.problems.push(problem);
            }
        }
    }

    /// The value of an unquoted word, by YAML's core schema.
    fn plain(&mut self, text: &str, place: &Place) -> Value {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        if let Some(reading) = ambiguous(text) {
            let problem = Problem::new(
                place,
                format!("`{text}` means {reading} to some readers of YAML and not to others"),
            )
            .help(format!("write \"{text}\" in quotes if it is text, otherwise the value itself"));
            self.problems.push(problem);
            return Value::Text(text.to_owned());
        }
        match number(text) {
            None => Value::Text(text.to_owned()),
            Some(Ok(value)) => value,
            Some(Err(why)) => {
                self.problems.push(Problem::new(place, format!("`{text}` {why}")).help("put text in quotes"));
                Value::Text(text.to_owned())
            }
        }
    }

    fn count(&mut self, more: usize, place: &Place) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        self.problems.push(Problem::new(place, format!("the document has more than {MAX_NODES} values")));
        Err(Stop::Reported)
    }

    fn refuse_tag(&mut self, place: &Place) {
        let problem = Problem::new(place, "a tag (`!…`) before a value; tags are not supported")
            .help("put text in quotes; write a value of any other type without a tag");
        self.problems.push(problem);
    }

    /// The parser takes tabs at the start of a line for spaces where that is harmless; `kubectl` does not.
    fn refuse_tabs(&mut self, place: &Place) {
        let line = self.lines.get(place.line as usize - 1).copied().unwrap_or_default();
        if line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') {
            self.problems.push(Problem::new(place, TAB).help(TAB_HELP));
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let place = self.place(*error.marker());
        let (title, help) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => {
                (format!("more than {MAX_DEPTH} lists or maps inside each other"), None)
            }
            ErrorKind::UnknownAnchor => {
                ("an alias (`*…`) without an anchor (`&…`) before it".to_owned(), None)
            }
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart => (TAB.to_owned(), Some(TAB_HELP)),
            _ => (format!("this is not YAML: {}", error.info()), None),
        };
        let mut problem = Problem::new(&place, title);
        problem.help = help.map(Box::from);
        self.problems.push(problem);
    }

    fn place(&self, mark: Marker) -> Place {
        Place::new(self.file.clone(), u32::try_from(mark.line()).unwrap_or(u32::MAX).max(1))
    }
}

/// What YAML 1.1, and so a part of the tools around Kubernetes, makes of a word that is text in YAML 1.2.
fn ambiguous(text: &str) -> Option<&'static str> {
    let digits = text.trim_start_matches(['+', '-']);
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => return Some("true"),
        "n" | "no" | "off" => return Some("false"),
        _ => {}
    }
    let number_like = digits.starts_with(|c: char| c.is_ascii_digit());
    if number_like
        && digits.contains('_')
        && digits.chars().all(|c| c.is_ascii_digit() || c == '_' || c == '.')
    {
        return Some("a number");
    }
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit());
    let binary = digits
        .strip_prefix("0b")
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c == '0' || c == '1'));
    (octal || binary).then_some("an octal or binary number")
}

/// A number of the core schema, or why it cannot be one.
fn number(text: &str) -> Option<Result<Value, &'static str>> {
    const TOO_LARGE: &str = "is too large for a whole number";
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err("is not a number that Kubernetes could hold"));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = digits.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
            if !rest.chars().all(|c| c.is_digit(radix)) {
                return None;
            }
            return Some(
                i64::from_str_radix(rest, radix).map(|n| Value::Int(sign * n)).map_err(|_| TOO_LARGE),
            );
        }
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map(Value::Int).map_err(|_| TOO_LARGE));
    }
    let float = {
        let (mantissa, exponent) = match digits.find(['e', 'E']) {
            Some(cut) => (&digits[..cut], Some(&digits[cut + 1..])),
            None => (digits, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let exponent_fits = exponent.is_none_or(|part| {
            let part = part.strip_prefix(['+', '-']).unwrap_or(part);
            !part.is_empty() && all_digits(part)
        });
        all_digits(whole)
            && all_digits(fraction)
            && !(whole.is_empty() && fraction.is_empty())
            && exponent_fits
    };
    if !float {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    Some(if value.is_finite() { Ok(Value::Float(value)) } else { Err("is too large for a number") })
}
