//! What the parser would not say: where in the text something stands that is not supported.
//!
//! `promql-parser` gives no positions, and some texts make it panic. So the words and signs of a query are looked
//! at once before it: whatever this package does not evaluate is refused here, by name and with its place.

use crate::names;
use crate::query::Refused;

/// A query longer than this is a mistake; the parser's tree is walked by recursion.
const LONGEST: usize = 16 * 1024;
/// More parentheses inside each other than anybody writes.
const DEEPEST: usize = 64;
/// A chain of operators nests as deep as it is long, without any bracket that would show it.
const MOST_OPERATORS: usize = 128;
/// About 31 years: longer durations overflow the parser's arithmetic.
const LONGEST_DURATION_S: f64 = 1e9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Text,
    Sign,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    at: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// Splits off strings, words (names, keywords), numbers (durations too) and single signs; comments are dropped.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, Refused> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or("");
        let (kind, length) = match first {
            '"' | '\'' | '`' => (Kind::Text, string_length(rest, first).ok_or_else(|| open_string(at))?),
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            c if c.is_ascii_digit() || c == '.' => {
                (Kind::Number, rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(rest.len()))
            }
            // Inside brackets a colon divides a subquery's range from its step: it belongs to no word there.
            c if is_word(c) && c != ':' => (Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            c => (Kind::Sign, c.len_utf8()),
        };
        tokens.push(Token { kind, text: rest.get(..length).unwrap_or(rest), at });
        at += length;
    }
    Ok(tokens)
}

fn open_string(at: usize) -> Refused {
    Refused::at("a string is not closed", at)
}

fn string_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (position, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Some(position + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// Refuses, by name and place, what this package does not evaluate or the parser cannot survive.
pub(crate) fn refuse_unsupported(text: &str) -> Result<(), Refused> {
    if text.len() > LONGEST {
        return Err(Refused::whole(format!("{} bytes are more than the {LONGEST} allowed", text.len())));
    }
    let tokens = tokens(text)?;
    let mut open: Vec<Token> = Vec::new();
    let mut operators = 0;
    for (position, token) in tokens.iter().enumerate() {
        let next = tokens.get(position + 1);
        let inside = open.last().map(|bracket| bracket.text);
        if inside != Some("{") && is_operator(token) {
            operators += 1;
            if operators > MOST_OPERATORS {
                return Err(Refused::at(format!("more than {MOST_OPERATORS} operators"), token.at));
            }
        }
        match (token.kind, token.text) {
            (Kind::Sign, "(" | "[" | "{") => {
                if token.text == "{" && inside == Some("{") {
                    return Err(Refused::at("native histograms `{{…}}` are not supported", token.at));
                }
                open.push(*token);
                if open.len() > DEEPEST {
                    return Err(Refused::at(
                        format!("more than {DEEPEST} brackets inside each other"),
                        token.at,
                    ));
                }
            }
            (Kind::Sign, ")" | "]" | "}") => close(&mut open, token)?,
            (Kind::Sign, "@") => return Err(Refused::at("the modifier `@` is not supported", token.at)),
            (Kind::Sign, ":") if inside == Some("[") => return Err(subquery(token.at)),
            (Kind::Number, number) => {
                let in_time = inside == Some("[") || follows_offset(&tokens, position);
                if let (Some("["), Some(colon)) = (inside, number.find(':')) {
                    return Err(subquery(token.at + colon));
                }
                if in_time || number.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    check_duration(number, token.at)?;
                }
            }
            (Kind::Word, word) => refuse_word(&tokens, position, word, inside, next)?,
            (Kind::Sign | Kind::Text, _) => {}
        }
    }
    match open.pop() {
        Some(bracket) => Err(Refused::at(format!("`{}` is not closed", bracket.text), bracket.at)),
        None => Ok(()),
    }
}

fn is_operator(token: &Token) -> bool {
    match token.kind {
        Kind::Sign => matches!(token.text, "+" | "-" | "*" | "/" | "%" | "^" | "=" | "!" | "<" | ">"),
        Kind::Word => matches!(token.text.to_ascii_lowercase().as_str(), "and" | "or" | "unless"),
        Kind::Number | Kind::Text => false,
    }
}

fn subquery(at: usize) -> Refused {
    Refused::at("subqueries are not supported", at)
}

fn close(open: &mut Vec<Token>, token: &Token) -> Result<(), Refused> {
    let wanted = match token.text {
        ")" => "(",
        "]" => "[",
        _ => "{",
    };
    match open.pop() {
        Some(bracket) if bracket.text == wanted => Ok(()),
        _ => Err(Refused::at(format!("`{}` closes nothing", token.text), token.at)),
    }
}

fn follows_offset(tokens: &[Token], position: usize) -> bool {
    let before: Vec<_> = tokens.iter().take(position).rev().take(2).map(|token| token.text).collect();
    before.iter().any(|text| text.eq_ignore_ascii_case("offset"))
}

/// The parser reads durations whose digits do not fit as zero, and dies on numbers that no duration can hold.
fn check_duration(text: &str, at: usize) -> Result<(), Refused> {
    let too_long = || Refused::at(format!("`{text}` is too long for a duration"), at);
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("0x") {
        return if lower.len() <= 9 { Ok(()) } else { Err(too_long()) };
    }
    if let Ok(seconds) = lower.parse::<f64>() {
        return if seconds.is_finite() && seconds <= LONGEST_DURATION_S { Ok(()) } else { Err(too_long()) };
    }
    let mut seconds = 0.0;
    let mut digits = String::new();
    for c in lower.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'y' => 31_536_000.0,
            'w' => 604_800.0,
            'd' => 86_400.0,
            'h' => 3600.0,
            'm' => 60.0,
            _ => 1.0,
        };
        seconds += digits.parse().unwrap_or(0.0) * unit;
        digits.clear();
    }
    if seconds <= LONGEST_DURATION_S { Ok(()) } else { Err(too_long()) }
}

fn refuse_word(
    tokens: &[Token],
    position: usize,
    word: &str,
    inside: Option<&str>,
    next: Option<&Token>,
) -> Result<(), Refused> {
    let at = tokens.get(position).map_or(0, |token| token.at);
    let lower = word.to_ascii_lowercase();
    let next_is = |sign: &str| next.is_some_and(|next| next.kind == Kind::Sign && next.text == sign);
    if inside == Some("{") {
        let is_label = next_is("=") || next_is("!");
        return match lower.as_str() {
            "or" if !is_label => Err(Refused::at("`or` between matchers is not supported", at)),
            _ => Ok(()),
        };
    }
    if matches!(lower.as_str(), "inf" | "nan") && (inside == Some("[") || follows_offset(tokens, position)) {
        return Err(Refused::at(format!("`{word}` is not a duration"), at));
    }
    if is_in_label_list(tokens, position) {
        return Ok(());
    }
    match lower.as_str() {
        "atan2" => return Err(Refused::at("the operator `atan2` is not supported", at)),
        "smoothed" | "anchored" | "fill" | "fill_left" | "fill_right" => {
            return Err(Refused::at(format!("the modifier `{lower}` is not supported"), at));
        }
        "limitk" | "limit_ratio" | "count_values" => {
            return Err(Refused::at(format!("the aggregation `{lower}` is not supported"), at));
        }
        _ => {}
    }
    let is_keyword = matches!(
        lower.as_str(),
        "and"
            | "or"
            | "unless"
            | "by"
            | "without"
            | "on"
            | "ignoring"
            | "group_left"
            | "group_right"
            | "bool"
    );
    if next_is("(") && !is_keyword && !names::is_callable(&lower) {
        return Err(Refused::at(format!("the function `{word}` is not supported"), at));
    }
    Ok(())
}

/// Whether a word is a label in the list after `by`, `on` and the like.
fn is_in_label_list(tokens: &[Token], position: usize) -> bool {
    let before = tokens.get(..position).unwrap_or(&[]);
    let Some(opening) = before.iter().rposition(|token| token.kind == Kind::Sign && token.text != ",") else {
        return false;
    };
    let keyword = opening.checked_sub(1).and_then(|position| before.get(position));
    before.get(opening).is_some_and(|token| token.text == "(")
        && keyword.is_some_and(|keyword| {
            let lower = keyword.text.to_ascii_lowercase();
            keyword.kind == Kind::Word
                && matches!(
                    lower.as_str(),
                    "by" | "without" | "on" | "ignoring" | "group_left" | "group_right"
                )
        })
}
