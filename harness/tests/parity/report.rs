//! The page for people: what was compared, how many calls, what differs and why. It is made of the files in
//! `reports/parity/` alone, so that anybody can see whether it is of today.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use meshquake::world::Layout;

use crate::labels::{KNOWN, Series};
use crate::ran::Ran;
use crate::situation::Situation;
use crate::table::{self, Table};
use crate::verdicts;

fn file() -> PathBuf {
    crate::support::root().join("reports/parity.md")
}

pub fn keep_or_compare(writes: bool) -> Result<(), String> {
    let page = page()?;
    if writes {
        return table::write(&file(), &page);
    }
    let known = std::fs::read_to_string(file()).unwrap_or_default();
    if known == page {
        return Ok(());
    }
    let differs = page.lines().zip(known.lines()).find(|(one, other)| one != other);
    Err(format!("reports/parity.md is not of today, MESHQUAKE_PARITY=write makes it anew: {differs:?}"))
}

fn page() -> Result<String, String> {
    let mut page = String::from(HEAD);
    let told = |error: std::fmt::Error| error.to_string();
    for (backend, facts) in Ran::read().0 {
        let facts = facts.iter().map(|(what, value)| format!("{what} {value}")).collect::<Vec<_>>();
        writeln!(page, "- `{backend}`: {}", facts.join(", ")).map_err(told)?;
    }
    page += CALLS;
    let (mut calls, mut outcomes) = (0, 0);
    for situation in Situation::ALL {
        let mut row = format!("| `{}` | {} |", situation.name(), situation.about());
        for (word, _) in Layout::WORDS {
            let file = table::file(word, situation.name());
            let table = Table::read(&file).ok_or_else(|| format!("{} is not there", file.display()))?;
            calls += table.calls();
            outcomes += table.kinds();
            let path = format!("parity/{word}/{}.txt", situation.name());
            write!(row, " [{}, {}]({path}) |", table.calls(), table.kinds()).map_err(told)?;
        }
        page += &row;
        page.push('\n');
    }
    writeln!(page, "\n{calls} calls, {outcomes} outcomes, the same on every backend above.").map_err(told)?;
    page += LABELS;
    let mut edges = BTreeSet::new();
    for (word, _) in Layout::WORDS {
        let Some(series) = Series::read(word) else { continue };
        writeln!(page, "- layout `{word}`: {} kinds of series", series.count()).map_err(told)?;
        edges.extend(series.edges().filter_map(|edge| edge.parse::<f64>().ok()).map(|edge| edge.to_string()));
    }
    writeln!(page, "\nThe histogram's buckets end at the same {} edges.\n", edges.len()).map_err(told)?;
    writeln!(page, "| label | how it differs | why |\n| --- | --- | --- |").map_err(told)?;
    for (label, how, why) in KNOWN {
        writeln!(page, "| `{label}` | {how} | {why} |").map_err(told)?;
    }
    page += VERDICTS;
    let agreed = verdicts::read();
    for scenario in crate::scenario::all() {
        let name = verdicts::name(&scenario);
        let Some((verdict, objectives)) = agreed.get(&name).and_then(|one| one.verdicts.split_first()) else {
            writeln!(page, "| {name} | not compared yet | |").map_err(told)?;
            continue;
        };
        let on = agreed[&name].on.iter().map(|backend| format!("`{backend}`")).collect::<Vec<_>>().join(", ");
        writeln!(page, "| {name} | {on} | {verdict}: {} |", objectives.join("; ")).map_err(told)?;
    }
    page += TAIL;
    Ok(page)
}

const HEAD: &str = "\
# `local` and Istio agree

Made by `MESHQUAKE_PARITY=write MESHQUAKE_BACKENDS=local,kind cargo test -p meshquake --test parity`; without the first
variable the same command compares every backend with this page and the files behind it.

Seen last with:

";

const CALLS: &str = "
## Calls

Every workload calls every Service of the world `pinning`, and a client the gateway, one call at a time, in each of these
situations and in both layouts of namespaces; callers outside the mesh, without a certificate, call each pod. A call is made
by the workload's own program in its own pod. An outcome is the status, the words of the answer (which name the versions),
and every series of `istio_requests_total` that the call left at any proxy, with its count: reporter, both workloads, code,
response flags. Where chance picks the version, the call is repeated until both were seen.

| situation | | `single`: calls, outcomes | `per-service` |
| --- | --- | --- | --- |
";

const LABELS: &str = "
## Labels

Of each series that the calls left, every label that both sides have is compared by value; `istio_requests_total` and
`istio_request_duration_milliseconds` are held to have the same series with the same counts on each side. A label
that one series lacks and others of the same side have counts as `unknown`, which is what Istio writes there. Nothing else is
normalised: what depends on a pod's name is in none of these labels.

";

const VERDICTS: &str = "
## Scenarios

| scenario | the same on | verdict: objectives |
| --- | --- | --- |
";

const TAIL: &str = "
## What is not compared

- `RequestAuthentication` and policies that speak of tokens or addresses: `local` does not have them yet.
- gRPC, TCP, HTTPS, and ports that a Service does not have: the world has none of the first, and the last is not a call.
- Istio's own statistics filter: the cluster's Envoy is a stock build, whose access logger writes the metrics.
- The world's overlays, other than by the scenarios that use them.
";
