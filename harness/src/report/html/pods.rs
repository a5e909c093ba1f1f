//! The pods: who they were, what they used, who was lost, and what the lost said last.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{PodStory, Story};
use super::super::text::{count, cut, html, html_block, link};
use super::markup;
use crate::event::{Collected, Usage};

/// Pods to whom nothing happened are cut first.
const MOST: usize = 40;
/// Logs whose last lines are shown, and how much of a line.
const TAILS: usize = 12;
const LETTERS: usize = 600;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    markup::section(out, "pods", "Pods")?;
    let pods = story.pod_stories();
    if pods.is_empty() {
        writeln!(out, "<p>No pod was told of: the world did not come that far.</p>")?;
    } else {
        let (moved, still): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| noticeable(pod));
        let columns = [
            "pod",
            "at the end",
            "#restarts",
            "#times lost under load",
            "#last change",
            "#processor",
            "#memory",
            "#sidecar's memory",
            "log",
        ];
        markup::table(out, "Pods, those to whom something happened first", &columns)?;
        for pod in moved.iter().chain(&still).take(MOST) {
            row(out, story, pod)?;
        }
        markup::end_table(out)?;
        let how = if moved.len() <= MOST { " pods, ready all the time" } else { " pods, some of them lost" };
        markup::more(out, pods.len(), MOST, how)?;
        write_note(out, story)?;
    }
    write_collected(out, &story.collected)?;
    writeln!(out, "</section>")
}

/// What the figures are, and why there may be none.
fn write_note(out: &mut String, story: &Story) -> std::fmt::Result {
    let apps = story.usage.iter().any(|usage| usage.cpu.is_some() || usage.memory.is_some());
    let note = match (story.usage.is_empty(), apps) {
        (true, _) => "What the pods used is not known: no metrics of them were read under load.",
        (false, false) => {
            "Processor and memory are what an app tells of itself under the usual names (process_cpu_seconds_total, \
             process_resident_memory_bytes); none here does. The sidecar's memory is the most that Envoy had allocated."
        }
        (false, true) => {
            "Processor (of one core, on average) and memory (at most) are what each app tells of itself; the sidecar's memory \
             is the most that Envoy had allocated."
        }
    };
    writeln!(out, "<p class=\"note\">{note}</p>")
}

fn noticeable(pod: &PodStory) -> bool {
    pod.lost > 0 || pod.last.gone || !pod.last.ready || pod.last.restarts > 0
}

fn row(out: &mut String, story: &Story, story_of: &PodStory) -> std::fmt::Result {
    let pod = &story_of.last;
    let reason = pod.reason.as_ref().map(|reason| format!(": {}", html(reason))).unwrap_or_default();
    let (tone, state) = match (pod.gone, pod.ready) {
        (true, _) => ("open", "<span aria-hidden=\"true\">✖</span> gone"),
        (false, true) => ("", "ready"),
        (false, false) => ("bad", "<span aria-hidden=\"true\">✖</span> not ready"),
    };
    let of_it = |usage: &&Usage| usage.pod == pod.name && usage.namespace == pod.namespace;
    let usage = story.usage.iter().find(of_it);
    let cpu = usage.and_then(|usage| usage.cpu).map(numbers::percent);
    let memory = usage.and_then(|usage| usage.memory).map(|bytes| numbers::bytes(bytes as f64));
    let sidecar = usage.and_then(|usage| usage.sidecar_memory).map(|bytes| numbers::bytes(bytes as f64));
    write!(
        out,
        "<tr class=\"{tone}\"><th scope=\"row\">{}</th><td>{state}{reason}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td>",
        html(&pod.name),
        pod.restarts,
        story_of.lost,
        numbers::moment(story.seconds_at(story_of.last_at)),
    )?;
    for used in [cpu, memory, sidecar] {
        write!(out, "<td class=\"number\">{}</td>", used.as_deref().unwrap_or("–"))?;
    }
    writeln!(out, "<td>{}</td></tr>", logs(&story.collected, &pod.name))
}

/// Links to what was kept of a pod, each named by its container.
fn logs(files: &[Collected], pod: &str) -> String {
    let container = |path: &str| {
        let (_, rest) = path.rsplit('/').next()?.split_once(&format!("{pod}."))?;
        let container = rest.strip_suffix(".log")?;
        Some(if container == "istio-proxy" { "sidecar" } else { container }.to_owned())
    };
    let links = files.iter().filter_map(|file| {
        let (name, link) = (container(&file.path)?, link(&file.path)?);
        Some(format!("<a href=\"{link}\">{}</a>", html(&name)))
    });
    match links.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "–".into(),
        links => links,
    }
}

/// What died says its last lines; the rest is a folded list.
fn write_collected(out: &mut String, files: &[Collected]) -> std::fmt::Result {
    writeln!(out, "<h3>Logs and dumps</h3>")?;
    if files.is_empty() {
        return writeln!(out, "<p>None were collected: that is done when something went wrong.</p>");
    }
    let (dead, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| !file.tail.is_empty());
    for file in dead.iter().take(TAILS) {
        let tail = file.tail.iter().map(|line| cut(line, LETTERS)).collect::<Vec<_>>().join("\n");
        writeln!(
            out,
            "<details class=\"long\"><summary>The last lines of {}</summary><p>{}: {}</p><pre>{}</pre></details>",
            html(&file.path),
            anchor(file),
            html(&file.what),
            html_block(&tail)
        )?;
    }
    markup::more(out, dead.len(), TAILS, " logs of what died")?;
    if others.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<details class=\"long\"><summary>{} in the run's folder</summary><ul>",
        count(others.len(), "file", "files")
    )?;
    for file in others.iter().take(MOST) {
        writeln!(out, "<li>{}: {}</li>", anchor(file), html(&file.what))?;
    }
    writeln!(out, "</ul>")?;
    markup::more(out, others.len(), MOST, " files")?;
    writeln!(out, "</details>")
}

fn anchor(file: &Collected) -> String {
    let path = html(&file.path);
    link(&file.path).map_or_else(|| path.clone(), |link| format!("<a href=\"{link}\">{path}</a>"))
}
