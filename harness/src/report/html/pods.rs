//! The pods: who they were, who was lost, and what the lost said last.

use std::fmt::Write;

use super::super::numbers;
use super::super::story::{PodStory, Story, label};
use super::super::text::{html, html_block, link};
use super::markup;
use crate::event::Collected;

/// Pods to whom nothing happened are cut first.
const MOST: usize = 40;

pub fn write(out: &mut String, story: &Story) -> std::fmt::Result {
    writeln!(out, "<section><h2>Pods</h2>")?;
    let pods = story.pod_stories();
    if pods.is_empty() {
        writeln!(out, "<p>No pod was told of: the world did not come that far.</p>")?;
    } else {
        let (moved, still): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| noticeable(pod));
        let shown = moved.iter().chain(&still).take(MOST);
        let columns = [
            "pod",
            "workload",
            "at the end",
            "#restarts",
            "#times lost under load",
            "#first told",
            "#last change",
        ];
        markup::table(out, "Pods, those to whom something happened first", &columns)?;
        for pod in shown {
            row(out, story, pod)?;
        }
        markup::end_table(out)?;
        if pods.len() > MOST {
            let rest = pods.len() - MOST;
            let how = if moved.len() <= MOST { "ready all the time" } else { "some of them lost" };
            writeln!(out, "<p>… and {rest} more, {how}, in <code>events.jsonl</code>.</p>")?;
        }
    }
    write_collected(out, &story.collected)?;
    writeln!(out, "</section>")
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
    writeln!(
        out,
        "<tr class=\"{tone}\"><th scope=\"row\">{}</th><td>{}</td><td>{state}{reason}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
        html(&pod.name),
        html(&label(&pod.workload, &pod.version)),
        pod.restarts,
        story_of.lost,
        numbers::moment(story.seconds_at(story_of.first_at)),
        numbers::moment(story.seconds_at(story_of.last_at)),
    )
}

fn write_collected(out: &mut String, files: &[Collected]) -> std::fmt::Result {
    writeln!(out, "<h3>Logs and dumps</h3>")?;
    if files.is_empty() {
        return writeln!(out, "<p>None were collected: that is done when something went wrong.</p>");
    }
    writeln!(out, "<ul>")?;
    for file in files.iter().take(MOST) {
        let path = html(&file.path);
        match link(&file.path) {
            Some(link) => write!(out, "<li><a href=\"{link}\">{path}</a>: {}", html(&file.what))?,
            None => write!(out, "<li>{path}: {}", html(&file.what))?,
        }
        if !file.tail.is_empty() {
            write!(
                out,
                "<p class=\"note\">Its last lines:</p><pre>{}</pre>",
                html_block(&file.tail.join("\n"))
            )?;
        }
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ul>")?;
    match files.len().checked_sub(MOST) {
        None | Some(0) => Ok(()),
        Some(rest) => writeln!(out, "<p>… and {rest} more in the run's folder.</p>"),
    }
}
