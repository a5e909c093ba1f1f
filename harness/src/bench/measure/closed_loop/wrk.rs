//! wrk: one thread, as ours has.

use std::path::Path;

use super::{Error, LASTS, USERS, command, said};

pub async fn drive(program: &Path, url: &str) -> Result<f64, Error> {
    let (users, seconds) = (format!("-c{USERS}"), format!("-d{}s", LASTS.as_secs()));
    let text = said(command(program).args(["-t1", &users, &seconds, url])).await?;
    rate(&text).map_err(|why| Error::Failed(format!("wrk: {why}")))
}

/// Good answers a second, out of what it prints.
fn rate(text: &str) -> Result<f64, String> {
    let line = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    if let Some(bad) = line("Non-2xx or 3xx responses:") {
        return Err(format!("{bad} answers were no good ones"));
    }
    if let Some(errors) = line("Socket errors:") {
        return Err(format!("its connections failed: {errors}"));
    }
    let rate = line("Requests/sec:").and_then(|rate| rate.parse().ok());
    rate.ok_or_else(|| format!("no rate in what it says: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As wrk 4.1.0 prints it.
    const GOOD: &str = include_str!("fixtures/wrk-good.txt");
    const BAD: &str = include_str!("fixtures/wrk-404.txt");
    const GONE: &str = include_str!("fixtures/wrk-gone.txt");

    #[test]
    fn only_good_answers_make_a_rate() {
        assert_eq!(rate(GOOD), Ok(823.07));
        assert_eq!(rate(BAD), Err("1674 answers were no good ones".to_owned()));
        assert_eq!(
            rate(GONE),
            Err("its connections failed: connect 0, read 8, write 7007, timeout 0".to_owned())
        );
        assert!(rate("usage: wrk").is_err_and(|why| why.contains("no rate")));
    }
}
