//! The load: what was intended, what was kept, what the callers saw.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::Story;
use super::super::text::{cut, html, line};
use super::markup;
use crate::event::{ErrorSample, LoadSummary, RequestSummary};

/// Kinds of errors and requests that are shown; the rest is told in words.
const MOST: usize = 40;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "load", "Load")?;
    let Some(load) = &story.summary else {
        let why = match (story.load_at, story.seconds.len()) {
            (None, _) => "No load was driven.".into(),
            (Some(_), 0) => "The load began and was cut off before its first second was counted.".into(),
            (Some(_), seconds) => format!(
                "The load was cut off after {seconds} s: {} sent, {} failed; what only its end tells is missing.",
                numbers::grouped(story.sent() as f64),
                numbers::grouped(story.failed() as f64)
            ),
        };
        return writeln!(out, "<p>{why}</p></section>");
    };
    write_summary(out, story, load)?;
    write_requests(out, load)?;
    write_errors(out, story, load)?;
    writeln!(out, "</section>")
}

fn write_summary(out: &mut String, story: &Story, load: &LoadSummary) -> std::fmt::Result {
    match &load.bottleneck {
        Some(why) => writeln!(
            out,
            "<p class=\"open alert\"><span aria-hidden=\"true\">?</span> The load generator was the bottleneck: {}</p>",
            html(why)
        )?,
        None => writeln!(
            out,
            "<p>The load generator was not the bottleneck: 99 % of the requests left within {} of their time.</p>",
            numbers::millis(load.send_lag_p99_ms)
        )?,
    }
    let how = match (load.rate_intended, story.load.as_ref().and_then(|plan| plan.users)) {
        (Some(rate), _) => format!("{}/s", numbers::plain(rate)),
        (None, Some(users)) => format!("{users} users, as fast as answers came"),
        (None, None) => "as fast as answers came".into(),
    };
    let workers = story.load.as_ref().map(|plan| plan.workers.to_string()).unwrap_or_default();
    let facts = [
        ("intended", how),
        ("kept", format!("{}/s", numbers::plain(load.rate_kept))),
        ("lasted", numbers::seconds(load.seconds)),
        ("sent", numbers::grouped(load.sent as f64)),
        ("ok", numbers::grouped(load.ok as f64)),
        ("failed", numbers::grouped(load.failed as f64)),
        ("workers", workers),
        ("processor of the workers", numbers::percent(load.worker_cpu)),
    ];
    let told = facts.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
    markup::facts(out, &told)
}

fn write_requests(out: &mut String, load: &LoadSummary) -> std::fmt::Result {
    if load.requests.is_empty() {
        return writeln!(out, "<p>No request was counted by its name.</p>");
    }
    writeln!(out, "<h3>By journey and request, as the caller saw it</h3>")?;
    let columns = ["request", "#count", "#failed", "#p50", "#p95", "#p99", "#max", "latencies"];
    markup::table(out, "Requests with their latencies", &columns)?;
    for request in load.requests.iter().take(MOST) {
        write!(out, "<tr><th scope=\"row\">{} › {}</th>", html(&request.journey), html(&request.request))?;
        for count in [request.count, request.failed] {
            write!(out, "<td class=\"number\">{}</td>", numbers::grouped(count as f64))?;
        }
        for ms in [request.p50, request.p95, request.p99, request.max] {
            write!(out, "<td class=\"number\">{}</td>", numbers::millis(ms))?;
        }
        writeln!(out, "<td>{}</td></tr>", histogram(request))?;
    }
    markup::end_table(out)?;
    markup::more(out, load.requests.len(), MOST, " requests")
}

/// How the latencies are spread: a bar for each bucket, the same in words.
fn histogram(request: &RequestSummary) -> String {
    let most = request.buckets.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return "–".into();
    }
    let wide = 10.0 * request.buckets.len() as f64;
    let mut bars = String::new();
    let mut words = Vec::new();
    for (index, (edge, count)) in request.buckets.iter().enumerate() {
        words.push(format!("≤ {}: {}", numbers::millis(*edge), numbers::grouped(*count as f64)));
        if *count > 0 {
            // A single slow request must be seen beside ten thousand quick ones.
            let tall = (*count as f64 / most as f64 * 28.0).max(2.0);
            bars += &format!("M{} 30v-{tall:.1}h8v{tall:.1}z", index * 10 + 1);
        }
    }
    let (first, last) = (request.buckets.first(), request.buckets.last());
    let edge =
        |bucket: Option<&(f64, u64)>| bucket.map(|(edge, _)| numbers::millis(*edge)).unwrap_or_default();
    format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {wide} 32\" width=\"{wide}\" height=\"32\" role=\"img\" aria-label=\"{words}\">\
         <title>{words}</title><path class=\"base\" d=\"M0 30.5H{wide}\"/><path class=\"bars\" d=\"{bars}\"/></svg>\
         <span class=\"note\">≤ {} … ≤ {}</span>",
        edge(first),
        edge(last),
        words = words.join(", ")
    )
}

fn write_errors(out: &mut String, story: &Story, load: &LoadSummary) -> std::fmt::Result {
    if load.errors.is_empty() {
        let why =
            if load.failed == 0 { "No request failed." } else { "No example of a failed request was kept." };
        return writeln!(out, "<p>{why}</p>");
    }
    writeln!(out, "<h3>Errors, an example of each kind</h3>")?;
    let columns = ["#at", "request", "status", "#how many", "reason", "to find it again"];
    markup::table(out, "Errors, an example of each kind", &columns)?;
    for error in load.errors.iter().take(MOST) {
        writeln!(
            out,
            "<tr><td class=\"number\">{}</td><td>{} › {}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>",
            numbers::moment(story.seconds_at(error.at)),
            html(&error.journey),
            html(&error.request),
            html(&error.status),
            numbers::grouped(error.count as f64),
            html(&error.reason),
            identity(error)
        )?;
    }
    markup::end_table(out)?;
    markup::more(out, load.errors.len(), MOST, " kinds of errors")
}

fn identity(error: &ErrorSample) -> String {
    let mut text = String::new();
    for (name, value) in [("trace", &error.trace_id), ("request", &error.request_id)] {
        if !value.is_empty() {
            text += &format!("{name} <code>{}</code><br>", html(value));
        }
    }
    if !error.body.is_empty() {
        text += &format!(
            "<details><summary>its body</summary><pre>{}</pre></details>",
            html(&cut(&line(&error.body), 2_000))
        );
    }
    text
}
