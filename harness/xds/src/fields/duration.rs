//! Durations as Istio and Kubernetes write them: Go's syntax.

use std::time::Duration;

/// Reads `1.5s`, `100ms`, `1h30m`, `0`; the error says what is allowed.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "a number and a unit of ns, us, ms, s, m or h, such as `100ms`, `1.5s` or `1h30m`";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos = 0.0_f64;
    let mut rest = text;
    if rest.is_empty() {
        return Err(ALLOWED);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(ALLOWED)?;
        let number: f64 = rest[..digits].parse().map_err(|_| ALLOWED)?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(ALLOWED),
            };
        rest = &rest[unit..];
    }
    if nanos > 3.0e18 {
        return Err("at most some 95 years");
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("100ms", 100), ("1.5s", 1500), ("2m", 120_000), ("1h30m", 5_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5 s", "s", "-1s", "1x", "1.2.3s", "ms5"] {
            assert!(parse_duration(text).is_err(), "{text:?} is no duration");
        }
    }
}
