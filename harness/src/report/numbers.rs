//! Numbers with their units and no false digits.

use crate::event::{Judged, Unit};

/// A measured value or a bound, as text.
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value),
        Unit::Seconds => seconds(value),
        Unit::PerSecond => format!("{}/s", plain(value)),
        Unit::Count if value.fract().abs() < 1e-6 => grouped(value),
        Unit::Count | Unit::Number => plain(value),
    }
}

pub fn measured(judged: &Judged) -> String {
    judged.value.map_or_else(|| "no data".into(), |measured| value(measured, judged.unit))
}

pub fn bound(judged: &Judged) -> String {
    format!("{} {}", judged.relation.sign(), value(judged.bound, judged.unit))
}

/// A share as a percentage. Near the ends it keeps the digits that tell it from 0 or 100.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let from_end = percent.min(100.0 - percent).abs();
    let digits = match from_end {
        0.0 => 0,
        end if end < 1e-9 => 0,
        end if end < 0.01 => 4,
        end if end < 0.1 => 3,
        end if end < 1.0 => 2,
        _ => 1,
    };
    format!("{} %", trimmed(percent, digits))
}

pub fn seconds(seconds: f64) -> String {
    match seconds.abs() {
        small if small < 1e-3 => format!("{} µs", trimmed(seconds * 1e6, 0)),
        small if small < 0.01 => format!("{} ms", trimmed(seconds * 1e3, 1)),
        small if small < 1.0 => format!("{} ms", trimmed(seconds * 1e3, 0)),
        small if small < 10.0 => format!("{} s", trimmed(seconds, 2)),
        _ => format!("{} s", trimmed(seconds, 1)),
    }
}

pub fn millis(milliseconds: f64) -> String {
    seconds(milliseconds / 1e3)
}

/// Three digits that count.
pub fn plain(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        large if large >= 100.0 => grouped(value),
        middle if middle >= 10.0 => trimmed(value, 1),
        middle if middle >= 1.0 => trimmed(value, 2),
        small if small >= 1e-3 => trimmed(value, 4),
        _ if value.is_finite() => format!("{value:.2e}"),
        _ => value.to_string(),
    }
}

/// A whole number with its thousands apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("-{text}") } else { text }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_units_and_no_false_digits() {
        let table = [
            (percent(1.0), "100 %"),
            (percent(0.0), "0 %"),
            (percent(0.9993), "99.93 %"),
            (percent(0.999999), "99.9999 %"),
            (percent(0.4981), "49.8 %"),
            (seconds(0.000_45), "450 µs"),
            (seconds(0.004_23), "4.2 ms"),
            (seconds(0.42311), "423 ms"),
            (seconds(1.0), "1 s"),
            (seconds(12.345), "12.3 s"),
            (plain(0.0), "0"),
            (plain(12_345.6), "12\u{202f}346"),
            (plain(1.234567), "1.23"),
            (plain(0.012345), "0.0123"),
            (grouped(999.0), "999"),
            (grouped(-1234567.0), "-1\u{202f}234\u{202f}567"),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }
}
