//! Label values in letters that the parser of metrics passes on whole, and back.

/// The line with every quoted value in letters that the parser passes on; `None` where a quote is not closed.
pub(super) fn encode_line(line: &str) -> Option<String> {
    if line.trim_start().starts_with('#') {
        return Some(line.to_owned());
    }
    let mut encoded = String::with_capacity(line.len());
    let mut rest = line.chars();
    let mut in_braces = false;
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                encoded.push('"');
                encode(&quoted(&mut rest)?, &mut encoded);
                encoded.push('"');
            }
            '{' => {
                in_braces = true;
                encoded.push(c);
            }
            '}' => {
                in_braces = false;
                encoded.push(c);
            }
            c if in_braces && c.is_whitespace() => {}
            c => encoded.push(c),
        }
    }
    // The parser wants something between the braces.
    Some(encoded.replace("{}", ""))
}

/// What stands up to the closing quote, unescaped.
fn quoted(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                // The format knows no other escapes: both characters are meant.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
}

/// Letters, digits and a few signs stay; each other byte becomes `%` and two hexadecimal digits.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/') {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02x}"));
        }
    }
}

pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        rest = after;
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(*high)? * 16 + digit(*low)?);
    }
    String::from_utf8(bytes).ok()
}
