//! Numbers with their units and no false digits.

use crate::event::{Judged, Relation, SecondOpinion, Unit};

/// A measured value or a bound, as text.
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value),
        Unit::Seconds => seconds(value),
        Unit::PerSecond => format!("{}/s", plain(value)),
        Unit::Bytes => bytes(value),
        Unit::Count if value.fract().abs() < 1e-6 => grouped(value),
        Unit::Count | Unit::Number => plain(value),
    }
}

/// What was measured. It never reads like the bound when it is not the bound.
pub fn measured(judged: &Judged) -> String {
    match judged.value.filter(|value| value.is_finite()) {
        Some(measured) => against(measured, judged.bound, judged.unit),
        None => "no data".into(),
    }
}

/// A value beside its bound: with as many digits as tell the one from the other.
pub fn against(measured: f64, bound: f64, unit: Unit) -> String {
    let text = value(measured, unit);
    if measured == bound || text != value(bound, unit) {
        return text;
    }
    let (scale, sign) = match unit {
        Unit::Percent => (100.0, " %"),
        Unit::Seconds => (1e3, " ms"),
        Unit::PerSecond => (1.0, "/s"),
        Unit::Bytes => (1.0 / MIB, " MiB"),
        Unit::Count | Unit::Number => (1.0, ""),
    };
    let write = |value: f64, digits: usize| format!("{:.digits$}", value * scale);
    let digits = (0..9).find(|digits| write(measured, *digits) != write(bound, *digits)).unwrap_or(9);
    format!("{}{sign}", write(measured, digits))
}

/// How far a value is from its bound, in words; nothing where it is on it, or is to be just that.
pub fn margin(judged: &Judged) -> Option<String> {
    let value = judged.value.filter(|value| value.is_finite())?;
    let upward = match judged.relation {
        Relation::Below | Relation::AtMost => false,
        Relation::Above | Relation::AtLeast => true,
        Relation::Equal => return None,
    };
    let spare = if upward { value - judged.bound } else { judged.bound - value };
    let far = match judged.unit {
        // A percentage of a percentage is something else.
        Unit::Percent => points(spare.abs()),
        unit => self::value(spare.abs(), unit),
    };
    match (judged.relation.holds(value, judged.bound), upward) {
        _ if spare == 0.0 => None,
        (true, _) => Some(format!("{far} to spare")),
        (false, true) => Some(format!("{far} too little")),
        (false, false) => Some(format!("{far} too much")),
    }
}

/// The distance of two shares.
fn points(share: f64) -> String {
    let points = plain(share * 100.0);
    format!("{points} {}", if points == "1" { "point" } else { "points" })
}

/// What was measured here, what Prometheus says, and how far they are apart.
pub fn opinions(opinion: &SecondOpinion) -> [String; 3] {
    let told = |number: Option<f64>, none: &str| {
        number.map_or_else(|| none.to_owned(), |it| value(it, opinion.unit))
    };
    let apart = opinion.ours.zip(opinion.theirs).map(|(ours, theirs)| theirs - ours);
    [told(opinion.ours, "–"), told(opinion.theirs, "n/a"), told(apart, "–")]
}

pub fn bound(judged: &Judged) -> String {
    format!("{} {}", judged.relation.sign(), value(judged.bound, judged.unit))
}

/// A share as a percentage. Near the ends it keeps the digits that tell it from 0 or 100.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let from_end = percent.min(100.0 - percent).abs();
    let digits = match from_end {
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
        none if none < 5e-7 => "0 s".into(),
        small if small < 1e-3 => format!("{} µs", trimmed(seconds * 1e6, 0)),
        small if small < 0.01 => format!("{} ms", trimmed(seconds * 1e3, 1)),
        small if small < 0.9995 => format!("{} ms", trimmed(seconds * 1e3, 0)),
        small if small < 10.0 => format!("{} s", trimmed(seconds, 2)),
        small if small < 100.0 => format!("{} s", trimmed(seconds, 1)),
        _ => format!("{} s", grouped(seconds)),
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// An amount of memory.
pub fn bytes(bytes: f64) -> String {
    match bytes.abs() {
        few if few < 1024.0 => format!("{} B", trimmed(bytes, 0)),
        small if small < MIB => format!("{} KiB", trimmed(bytes / 1024.0, 0)),
        middle if middle < 1024.0 * MIB => format!("{} MiB", plain(bytes / MIB)),
        _ => format!("{} GiB", plain(bytes / MIB / 1024.0)),
    }
}

pub fn millis(milliseconds: f64) -> String {
    seconds(milliseconds / 1e3)
}

/// A moment relative to the start of the load: to the tenth of a second.
pub fn moment(seconds: f64) -> String {
    let text = format!("{seconds:.1} s");
    if text == "-0.0 s" { "0.0 s".into() } else { text }
}

/// How long something took, for people: above two minutes in minutes.
pub fn span(milliseconds: u64) -> String {
    match milliseconds {
        short if short < 120_000 => millis(short as f64),
        long => {
            let (minutes, rest) = (long / 60_000, long % 60_000 / 1000);
            if rest == 0 { format!("{minutes} min") } else { format!("{minutes} min {rest} s") }
        }
    }
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
    if !value.is_finite() {
        return value.to_string();
    }
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
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" { "0".into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn values_carry_units_and_no_false_digits() {
        let table = [
            (percent(1.0), "100 %"),
            (percent(0.0), "0 %"),
            (percent(0.9993), "99.93 %"),
            (percent(0.999999), "99.9999 %"),
            (percent(0.4981), "49.8 %"),
            (seconds(0.0), "0 s"),
            (seconds(0.000_45), "450 µs"),
            (seconds(0.004_23), "4.2 ms"),
            (seconds(0.42311), "423 ms"),
            (seconds(0.99999), "1 s"),
            (seconds(1.0), "1 s"),
            (seconds(12.345), "12.3 s"),
            (seconds(604.2), "604 s"),
            (moment(-0.01), "0.0 s"),
            (moment(10.26), "10.3 s"),
            (span(4_200), "4.2 s"),
            (span(604_200), "10 min 4 s"),
            (span(120_000), "2 min"),
            (plain(0.0), "0"),
            (plain(12_345.6), "12\u{202f}346"),
            (plain(1.234567), "1.23"),
            (plain(0.012345), "0.0123"),
            (plain(-0.00001), "-1.00e-5"),
            (bytes(3_400.0), "3 KiB"),
            (bytes(9_437_184.0), "9 MiB"),
            (bytes(1_610_612_736.0), "1.5 GiB"),
            (grouped(999.0), "999"),
            (grouped(-1234567.0), "-1\u{202f}234\u{202f}567"),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_margin_says_how_far_and_to_which_side() {
        let judged = |value: f64, relation: Relation, bound: f64, unit: Unit| Judged {
            name: "n".into(),
            window: "run".into(),
            verdict: Verdict::Held,
            value: Some(value),
            unit,
            relation,
            bound,
            samples: 1,
            reason: String::new(),
            promql: vec![],
        };
        let table = [
            (judged(0.75, Relation::Below, 1.0, Unit::Seconds), Some("250 ms to spare")),
            (judged(20.0, Relation::AtMost, 0.0, Unit::Count), Some("20 too much")),
            (judged(0.9985, Relation::AtLeast, 0.99, Unit::Percent), Some("0.85 points to spare")),
            (judged(0.98, Relation::AtLeast, 0.99, Unit::Percent), Some("1 point too little")),
            (judged(0.0, Relation::AtMost, 0.0, Unit::Count), None),
            (judged(3.0, Relation::Equal, 0.0, Unit::Count), None),
        ];
        for (judged, expected) in table {
            assert_eq!(margin(&judged).as_deref(), expected, "{judged:?}");
        }
    }

    #[test]
    fn a_measured_value_never_reads_like_the_bound_that_it_misses() {
        let judged = |value: f64, bound: f64, unit: Unit| Judged {
            name: "n".into(),
            window: "run".into(),
            verdict: Verdict::Failed,
            value: Some(value),
            unit,
            relation: Relation::AtLeast,
            bound,
            samples: 1,
            reason: String::new(),
            promql: vec![],
        };
        let table = [
            (judged(0.99, 0.99, Unit::Percent), "99 %"),
            (judged(0.99001, 0.99, Unit::Percent), "99.001 %"),
            (judged(2.0004, 2.0, Unit::Seconds), "2000.4 ms"),
            (judged(100.3, 100.0, Unit::PerSecond), "100.3/s"),
            (judged(1.5 * 1024.0 * MIB, 1.0, Unit::Bytes), "1.5 GiB"),
            (judged(120.004 * MIB, 120.0 * MIB, Unit::Bytes), "120.004 MiB"),
            (judged(2048.0, 120.0 * MIB, Unit::Bytes), "2 KiB"),
            (judged(0.5, 0.99, Unit::Percent), "50 %"),
        ];
        for (judged, expected) in table {
            assert_eq!(measured(&judged), expected);
        }
    }
}
