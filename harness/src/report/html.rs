//! `report.html`: one file that opens by double click, without network, in light and dark, on paper and by ear.

use std::fmt::Write;

use super::chart::{self, escape};
use super::numbers;
use super::sentence;
use super::story::{ActionStory, Story};
use crate::event::{Judged, Relation};
use crate::verdict::Verdict;

const STYLE: &str = include_str!("report.css");

pub fn render(story: &Story) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, story);
    page
}

fn write_page(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    let verdict = story.verdict;
    let title = format!("{}: {verdict}", started.scenario);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}</style></head><body><main>",
        escape(&title)
    )?;
    write_verdict(out, story)?;
    write_objectives(out, story)?;
    writeln!(out, "<section><h2>Timeline</h2>")?;
    match chart::timeline(story) {
        Some(svg) => writeln!(
            out,
            "<figure>{svg}<figcaption>Bands are actions: a solid line where each was proved, a dashed one where its undo was verified.</figcaption></figure>"
        )?,
        None => writeln!(out, "<p>There is no timeline: no load was driven.</p>")?,
    }
    writeln!(out, "</section>")?;
    write_actions(out, story)?;
    write_load(out, story)?;
    write_fine_print(out, story)?;
    writeln!(out, "</main></body></html>")
}

fn write_verdict(out: &mut String, story: &Story) -> std::fmt::Result {
    let started = &story.started;
    let verdict = story.verdict;
    writeln!(
        out,
        "<header class=\"{}\"><h1><span class=\"shape\" aria-hidden=\"true\">{}</span>{verdict}</h1>\
         <p class=\"sentence\">{}</p>",
        tone(verdict),
        shape(verdict),
        escape(&sentence::compose(story))
    )?;
    let causes = story.causes();
    if causes.len() > 1 {
        writeln!(out, "<ul>")?;
        for cause in causes {
            writeln!(out, "<li>{}</li>", escape(&cause))?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "<dl>")?;
    let when = jiff::Timestamp::from_millisecond(story.started_at)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let facts = [
        ("scenario", started.scenario.clone()),
        ("about", started.about.clone()),
        ("world", started.world.clone()),
        ("backend", started.backend.clone()),
        ("seed", started.seed.to_string()),
        ("when", when.unwrap_or_default()),
        ("took", numbers::millis(story.lasted_ms() as f64)),
        ("run", started.run.clone()),
    ];
    for (name, value) in facts {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value))?;
    }
    writeln!(out, "<div><dt>again</dt><dd><code>{}</code></dd></div></dl></header>", escape(&started.again))
}

fn write_objectives(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Objectives</h2>")?;
    if story.judged.is_empty() {
        writeln!(out, "<p>None was judged: the run is {}.</p>", story.verdict)?;
        if !story.started.objectives.is_empty() {
            writeln!(out, "<ul>")?;
            for plan in &story.started.objectives {
                writeln!(
                    out,
                    "<li>{} ({}, {})</li>",
                    escape(&plan.name),
                    escape(&plan.window),
                    escape(&plan.bound)
                )?;
            }
            writeln!(out, "</ul>")?;
        }
        return writeln!(out, "</section>");
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><thead><tr><th>objective</th><th>window</th><th class=\"number\">measured</th>\
         <th>against its bound</th><th class=\"number\">samples</th><th>verdict</th></tr></thead><tbody>"
    )?;
    for judged in &story.judged {
        writeln!(
            out,
            "<tr class=\"{}\"><td><details><summary>{}</summary><p>{}</p><pre>{}</pre></details></td><td>{}</td>\
             <td class=\"number\">{}</td><td>{} {}</td><td class=\"number\">{}</td>\
             <td><span aria-hidden=\"true\">{}</span> {}</td></tr>",
            tone(judged.verdict),
            escape(&judged.name),
            escape(&judged.reason),
            escape(&judged.promql.join("\n")),
            escape(&judged.window),
            numbers::measured(judged),
            bar(judged),
            numbers::bound(judged),
            numbers::grouped(judged.samples as f64),
            shape(judged.verdict),
            judged.verdict,
        )?;
    }
    writeln!(out, "</tbody></table></div></section>")
}

/// The measured value as a bar with the bound marked.
fn bar(judged: &Judged) -> String {
    let Some(value) = judged.value.filter(|value| value.is_finite()) else {
        return "<span class=\"nodata\">no data</span>".into();
    };
    // A share near 100 % is told apart from its bound only on a scale of what is missing.
    let upward = matches!(judged.relation, Relation::AtLeast | Relation::Above);
    let share = judged.unit == crate::event::Unit::Percent && upward && judged.bound > 0.5;
    let (value, bound) = if share { (1.0 - value, 1.0 - judged.bound) } else { (value, judged.bound) };
    let most = (value.max(bound) * 1.25).max(f64::MIN_POSITIVE);
    let x = |value: f64| (value / most * 100.0).clamp(0.0, 100.0);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"12\"/><rect class=\"value\" width=\"{:.1}\" height=\"12\"/>\
         <path d=\"M{:.1} 0V12\"/></svg>",
        x(value),
        x(bound)
    )
}

fn write_actions(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Actions</h2>")?;
    if story.actions.is_empty() {
        return writeln!(out, "<p>The scenario has no timeline: nothing was shaken.</p></section>");
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><thead><tr><th>action</th><th>on whom</th><th class=\"number\">asked</th>\
         <th>proved</th><th>undone</th><th class=\"number\">recovered</th></tr></thead><tbody>"
    )?;
    for action in &story.actions {
        let at = |at: Option<i64>| at.map_or("–".into(), |at| numbers::seconds(story.seconds_at(at)));
        let told = |told: Option<Result<&str, &str>>, when: Option<i64>| match told {
            Some(Ok(text)) => format!("{}: {}", at(when), escape(text)),
            Some(Err(text)) => format!("<strong>✕ {}</strong>", escape(text)),
            None => "–".into(),
        };
        let recovered = action.recovered_ms().map_or("–".into(), |ms| numbers::millis(ms as f64));
        writeln!(
            out,
            "<tr class=\"{}\"><td>{}: {}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td>\
             <td class=\"number\">{recovered}</td></tr>",
            action_tone(action),
            escape(&action.plan.name),
            escape(&action.plan.what),
            escape(action.target().unwrap_or("–")),
            at(action.asked()),
            told(action.proof(), action.proved()),
            told(action.undo(), action.undone()),
        )?;
    }
    writeln!(out, "</tbody></table></div></section>")
}

fn action_tone(action: &ActionStory) -> &'static str {
    match (action.proof(), action.undo()) {
        (Some(Ok(_)), Some(Ok(_))) => "good",
        (_, Some(Err(_))) | (Some(Err(_)), _) => "bad",
        _ => "open",
    }
}

fn write_load(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Load</h2>")?;
    let Some(load) = &story.summary else {
        return writeln!(out, "<p>No load was driven to its end.</p></section>");
    };
    let intended = load
        .rate_intended
        .map_or("as fast as answers came".into(), |rate| format!("{}/s intended", numbers::plain(rate)));
    writeln!(
        out,
        "<p>{} requests in {}, {intended}, {}/s kept; {} failed. {}</p>",
        numbers::grouped(load.sent as f64),
        numbers::seconds(load.seconds),
        numbers::plain(load.rate_kept),
        numbers::grouped(load.failed as f64),
        match &load.bottleneck {
            Some(why) => format!("<strong>The load generator was the bottleneck: {}</strong>", escape(why)),
            None => format!(
                "The load generator was not the bottleneck: 99 % of the requests left within {} of their time.",
                numbers::millis(load.send_lag_p99_ms)
            ),
        }
    )?;
    if !load.requests.is_empty() {
        writeln!(
            out,
            "<div class=\"wide\"><table><thead><tr><th>request</th><th class=\"number\">count</th><th class=\"number\">failed</th>\
             <th class=\"number\">p50</th><th class=\"number\">p95</th><th class=\"number\">p99</th><th class=\"number\">max</th></tr></thead><tbody>"
        )?;
        for request in &load.requests {
            write!(out, "<tr><td>{} › {}</td>", escape(&request.journey), escape(&request.request))?;
            for count in [request.count, request.failed] {
                write!(out, "<td class=\"number\">{}</td>", numbers::grouped(count as f64))?;
            }
            for ms in [request.p50, request.p95, request.p99, request.max] {
                write!(out, "<td class=\"number\">{}</td>", numbers::millis(ms))?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    if !load.errors.is_empty() {
        writeln!(
            out,
            "<h3>Errors, an example each</h3><div class=\"wide\"><table><thead><tr><th class=\"number\">at</th><th>request</th>\
             <th>status</th><th>reason</th><th>trace</th></tr></thead><tbody>"
        )?;
        for error in &load.errors {
            writeln!(
                out,
                "<tr><td class=\"number\">{}</td><td>{} › {}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
                numbers::seconds(story.seconds_at(error.at)),
                escape(&error.journey),
                escape(&error.request),
                escape(&error.status),
                escape(&error.reason),
                escape(&error.trace_id)
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    writeln!(out, "</section>")
}

fn write_fine_print(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section class=\"fine\"><h2>Fine print</h2>")?;
    for warning in &story.warnings {
        writeln!(out, "<p>⚠ {}</p>", escape(warning))?;
    }
    if !story.collected.is_empty() {
        writeln!(out, "<h3>Collected</h3><ul>")?;
        for file in &story.collected {
            let path = escape(&file.path);
            writeln!(out, "<li><a href=\"{path}\">{path}</a>: {}", escape(&file.what))?;
            if !file.tail.is_empty() {
                writeln!(out, "<pre>{}</pre>", escape(&file.tail.join("\n")))?;
            }
            writeln!(out, "</li>")?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "<dl>")?;
    for (name, value) in story.started.versions.iter().chain(&story.started.machine) {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))?;
    }
    for (phase, took) in &story.phases {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", phase.word(), numbers::millis(*took as f64))?;
    }
    writeln!(out, "</dl>")?;
    if !story.started.inert.is_empty() {
        writeln!(
            out,
            "<details><summary>{} fields of the world change nothing on this backend</summary><ul>",
            story.started.inert.len()
        )?;
        for inert in &story.started.inert {
            writeln!(out, "<li>{}</li>", escape(inert))?;
        }
        writeln!(out, "</ul></details>")?;
    }
    writeln!(
        out,
        "<details><summary>The scenario</summary><pre>{}</pre></details>",
        escape(&story.started.text)
    )?;
    writeln!(out, "<p>meshquake {}</p></section>", escape(&story.header.meshquake))
}

const fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "good",
        Verdict::Failed | Verdict::Error | Verdict::NotInjected => "bad",
        _ => "open",
    }
}

const fn shape(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "●",
        Verdict::Failed => "✕",
        Verdict::Inconclusive => "?",
        Verdict::NotSteady | Verdict::NotInjected => "◇",
        Verdict::Aborted => "■",
        Verdict::Refused | Verdict::Error => "▲",
    }
}
