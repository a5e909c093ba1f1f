//! k6: as many virtual users as ours has.

use std::path::Path;

use serde_json::Value;

use super::{Error, LASTS, USERS, command, said};

pub async fn drive(program: &Path, folder: &Path, url: &str) -> Result<f64, Error> {
    let (script, summary) = (folder.join("k6.js"), folder.join("k6.json"));
    std::fs::write(&script, script_for(url)).map_err(Error::of)?;
    let mut command = command(program);
    command.args(["run", "--quiet", "--no-usage-report", "--summary-export"]).arg(&summary).arg(&script);
    said(&mut command).await?;
    let text = std::fs::read_to_string(&summary).map_err(Error::of)?;
    rate(&text).map_err(|why| Error::Failed(format!("k6: {why}")))
}

fn script_for(url: &str) -> String {
    let seconds = LASTS.as_secs();
    format!(
        "import http from 'k6/http';\n\
         export const options = {{ vus: {USERS}, duration: '{seconds}s' }};\n\
         export default function () {{ http.get('{url}'); }}\n"
    )
}

/// Good answers a second, out of its summary.
fn rate(summary: &str) -> Result<f64, String> {
    let value: Value = serde_json::from_str(summary).map_err(|error| error.to_string())?;
    // Of the rate of failures, what passed is what failed.
    let failed = value["metrics"]["http_req_failed"]["passes"].as_u64();
    let rate = value["metrics"]["http_reqs"]["rate"].as_f64();
    match (failed, rate) {
        (Some(0), Some(rate)) => Ok(rate),
        (Some(failed), Some(_)) => Err(format!("{failed} answers were no good ones")),
        _ => Err("its summary has no rate".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As k6 1.1.0 writes it.
    const GOOD: &str = include_str!("fixtures/k6-good.json");
    const BAD: &str = include_str!("fixtures/k6-404.json");

    #[test]
    fn only_good_answers_make_a_rate() {
        assert_eq!(rate(GOOD), Ok(795.339_486_817_800_7));
        assert_eq!(rate(BAD), Err("1530 answers were no good ones".to_owned()));
        assert!(rate("{}").is_err() && rate("k6").is_err());
    }
}
