//! What careless hands, bad tools and ill will do to a text: a few changes, drawn from a seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A text is changed at this many places at most.
const CHANGES: usize = 4;
/// No mutant grows beyond it, so that the same change over and over costs nothing.
const LONGEST: usize = 200_000;

/// Words that mean something special to some reader on the way.
const WORDS: &[&str] = &[
    "~",
    "null",
    "true",
    "yes",
    "\"\"",
    "''",
    "[]",
    "{}",
    "- ",
    ": ",
    " #",
    "|",
    ">-",
    "? ",
    "!!str ",
    "!!binary ",
    "%YAML 9.9",
    "---",
    "...",
    "<<: ",
    "&a ",
    "*a",
    "*",
    "&",
    "\\",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    "\0",
    "\t",
    "\r\n",
    "\u{85}",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "e\u{301}",
    "\u{1f4a9}",
    "ß",
    "ı",
    "\u{1b}[31m",
    "../",
    "/",
    "//",
    ".",
    "..",
    "*",
    "{x}",
    "$(",
    "${",
    "$window",
    "%",
    "%00",
    "100%",
    "1/s",
    "1ms",
    "1y",
    "http://",
    "://",
    ":0",
    ":99999",
    "\\d+",
    "(?i)(a*)*",
    "a{1000}",
];

/// Numbers at the edges of what somebody holds them in.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "-0",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e400",
    "-1e400",
    "1e-320",
    "0.1e-7",
    ".5",
    "5.",
    "0x7fffffffffffffff",
    "0o777",
    "0777",
    "1_000",
    ".inf",
    "-.inf",
    ".nan",
    "NaN",
    "+1",
    "1e",
    "00",
    "99999999999999999999999999999999999999999999999999999999999999999999999999",
];

/// One way of changing texts, by its seed.
pub struct Mutator {
    random: ChaCha8Rng,
}

impl Mutator {
    /// Each target and each number is a sequence of its own, so that any case can be repeated alone.
    pub fn new(seed: u64, target: &str, number: u64) -> Self {
        let target = target.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut random = ChaCha8Rng::seed_from_u64(target);
        random.set_stream(number);
        Self { random }
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count.max(1))
    }

    fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    /// The text with a few changes, some of them taken from other texts. It may be UTF-8 no more.
    pub fn change(&mut self, text: &str, others: &[&str]) -> Vec<u8> {
        let mut text = text.to_owned();
        for _ in 0..=self.below(CHANGES) {
            text = self.change_once(text, others);
            if text.len() > LONGEST {
                text.truncate(text.floor_char_boundary(LONGEST));
            }
        }
        let mut bytes = text.into_bytes();
        if self.below(12) == 0 && !bytes.is_empty() {
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
        }
        bytes
    }

    fn change_once(&mut self, text: String, others: &[&str]) -> String {
        // What leaves most of the text sensible comes most often: it gets furthest.
        match self.below(20) {
            0..=4 => self.other_word(text, others),
            5..=8 => self.other_number(text),
            9 => self.inserted(text),
            10..=14 => self.moved_lines(text, others),
            15 => self.indented(text),
            16 => self.without_range(text),
            17 => self.with_anchors(text),
            18 => self.nested(text),
            _ => self.grown(text),
        }
    }

    /// Some word becomes another of this text or of others, or one with a meaning of its own.
    fn other_word(&mut self, text: String, others: &[&str]) -> String {
        let from = if others.is_empty() || self.below(3) > 0 { text.as_str() } else { self.one(others) };
        let words = pieces(from, is_of_word);
        let new = match self.below(4) {
            0 => self.one(WORDS).to_owned(),
            _ if words.is_empty() => String::new(),
            _ => {
                let (from_at, to) = words[self.below(words.len())];
                from[from_at..to].to_owned()
            }
        };
        self.replaced(&text, is_of_word, &new)
    }

    fn other_number(&mut self, text: String) -> String {
        let new = self.one(NUMBERS).to_owned();
        self.replaced(&text, |c| c.is_ascii_digit(), &new)
    }

    fn replaced(&mut self, text: &str, is_of_piece: fn(char) -> bool, new: &str) -> String {
        let pieces = pieces(text, is_of_piece);
        if pieces.is_empty() {
            return format!("{text}{new}");
        }
        let (from, to) = pieces[self.below(pieces.len())];
        format!("{}{new}{}", &text[..from], &text[to..])
    }

    fn inserted(&mut self, text: String) -> String {
        let at = self.place(&text);
        let word = self.one(WORDS);
        format!("{}{word}{}", &text[..at], &text[at..])
    }

    /// A line is lost, doubled, swapped with another, or comes from elsewhere.
    fn moved_lines(&mut self, text: String, others: &[&str]) -> String {
        let mut lines = text.split('\n').collect::<Vec<_>>();
        let (one, two) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(4) {
            0 => drop(lines.remove(one)),
            1 => lines.insert(two, lines[one]),
            2 => lines.swap(one, two),
            _ if others.is_empty() => lines.reverse(),
            _ => {
                let strange = self.one(others).split('\n').collect::<Vec<_>>();
                let from = self.below(strange.len());
                let count = 1 + self.below(6.min(strange.len() - from));
                lines.splice(one..one, strange[from..from + count].iter().copied());
            }
        }
        lines.join("\n")
    }

    fn indented(&mut self, text: String) -> String {
        let mut lines = text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let at = self.below(lines.len());
        lines[at] = match self.below(4) {
            0 => format!("  {}", lines[at]),
            1 => lines[at].trim_start().to_owned(),
            2 => format!("\t{}", lines[at]),
            _ => lines[at].strip_prefix("  ").unwrap_or(&lines[at]).to_owned(),
        };
        lines.join("\n")
    }

    /// Something in the middle, or all from there on, is gone.
    fn without_range(&mut self, text: String) -> String {
        let from = self.place(&text);
        let to = if self.below(3) == 0 { text.len() } else { text.len().min(from + 1 + self.below(40)) };
        format!("{}{}", &text[..from], &text[text.ceil_char_boundary(to)..])
    }

    /// Anchors and aliases: a few where values stand, or a bomb of them.
    fn with_anchors(&mut self, text: String) -> String {
        if self.below(3) == 0 {
            let mut bomb = String::from("b0: &b0 [x, x, x, x, x, x, x, x, x]\n");
            for level in 1..=1 + self.below(12) {
                let of = level - 1;
                bomb += &format!(
                    "b{level}: &b{level} [*b{of}, *b{of}, *b{of}, *b{of}, *b{of}, *b{of}, *b{of}, *b{of}]\n"
                );
            }
            return if self.below(2) == 0 { format!("{bomb}{text}") } else { format!("{text}\n{bomb}") };
        }
        let anchored = text.replacen(": ", ": &a ", 1 + self.below(3));
        let at = self.place(&anchored);
        let alias = self.one(&["*a", "\n<<: *a\n", ": *a", "[*a, *a]"]);
        format!("{}{alias}{}", &anchored[..at], &anchored[at..])
    }

    /// Lists or maps, or parentheses, inside each other.
    fn nested(&mut self, text: String) -> String {
        let depth = [3, 30, 63, 64, 65, 300, 5000][self.below(7)];
        let (open, close) =
            [("[", "]"), ("{a: ", "}"), ("(", ")"), ("- ", ""), ("-", ""), ("a: [", "]")][self.below(6)];
        let at = self.place(&text);
        let close = if self.below(4) == 0 { String::new() } else { close.repeat(depth) };
        format!("{}{}x{close}{}", &text[..at], open.repeat(depth), &text[at..])
    }

    /// The same piece many times.
    fn grown(&mut self, text: String) -> String {
        let from = self.place(&text);
        let to = text.ceil_char_boundary(text.len().min(from + 1 + self.below(60)));
        let times = [2, 20, 500][self.below(3)];
        format!("{}{}{}", &text[..from], text[from..to].repeat(times), &text[to..])
    }

    /// Somewhere between two characters.
    fn place(&mut self, text: &str) -> usize {
        text.floor_char_boundary(self.below(text.len() + 1))
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '%')
}

/// Where the longest pieces of such characters begin and end.
fn pieces(text: &str, is_of_piece: fn(char) -> bool) -> Vec<(usize, usize)> {
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for (at, c) in text.char_indices().filter(|(_, c)| is_of_piece(*c)) {
        match pieces.last_mut() {
            Some((_, to)) if *to == at => *to = at + c.len_utf8(),
            _ => pieces.push((at, at + c.len_utf8())),
        }
    }
    pieces
}
