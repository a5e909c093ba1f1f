//! A report to read: what was measured on what, what it promises, and where the time went.

use std::fmt::Write;

use super::figure::{Better, Figure, Judgement, Statistic};
use super::report::Report;
use super::statistics;
use crate::report::numbers;
use crate::report::text::{markdown, markdown_code};

/// Raw samples of a figure that has more than this are only in the file beside.
const MOST: usize = 20;

/// `json` is the name of the file with the raw samples.
pub fn render(report: &Report, json: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, report, json);
    text
}

fn write_report(out: &mut String, report: &Report, json: &str) -> std::fmt::Result {
    writeln!(out, "# Figures on `{}`\n", report.backend)?;
    writeln!(
        out,
        "{}. Written by {}, which measures again; with `--check` it compares with what is here. Raw samples are in \
         [{json}]({json}).\n",
        markdown(&report.sentence()),
        markdown_code(&report.again)
    )?;
    let date = report.began.split('T').next().unwrap_or_default();
    let (processors, memory) = (report.machine.fact("processors"), report.machine.fact("memory"));
    writeln!(out, "Measured on {}, {} of memory, {date}.\n", markdown(processors), markdown(memory))?;
    for warning in report.warnings() {
        writeln!(out, "> **Warning:** {}\n", markdown(&warning))?;
    }
    write_figures(out, report)?;
    report.figures.iter().try_for_each(|figure| write_figure(out, figure))?;
    write_machine(out, report)
}

fn write_figures(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "| | figure | median | p95 | largest | limit | samples |")?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: | --- | ---: |")?;
    for figure in &report.figures {
        let judgement = figure.judge();
        let emphasis = if judgement == Judgement::Missed { "**" } else { "" };
        writeln!(
            out,
            "| {}{emphasis}{}{emphasis} | [{name}](#{name}) | {emphasis}{}{emphasis} | {} | {} | {} | {} |",
            sign(judgement),
            judgement.word(),
            figure.shown(Statistic::Median),
            figure.shown(Statistic::P95),
            figure.shown(Statistic::Largest),
            figure.limits_shown(),
            figure.samples.len(),
            name = figure.name,
        )?;
    }
    writeln!(out)
}

fn write_figure(out: &mut String, figure: &Figure) -> std::fmt::Result {
    // Both are our own words.
    writeln!(out, "## {}\n\n{}\n", figure.name, figure.means)?;
    if let Some(why) = &figure.missing {
        return writeln!(out, "Not measured: {}\n", markdown(why));
    }
    if !figure.samples.is_empty() && figure.samples.len() <= MOST {
        let samples = figure.samples.iter().map(|sample| numbers::value(*sample, figure.unit));
        writeln!(out, "Samples: {}\n", samples.collect::<Vec<_>>().join(", "))?;
    }
    if figure.better != Better::Neither {
        let tolerance = figure.tolerance.words(figure.unit);
        writeln!(
            out,
            "A median that is worse than this one by more than {tolerance} is told by `--check`.\n"
        )?;
    }
    for note in &figure.notes {
        writeln!(out, "- {}", markdown(note))?;
    }
    if !figure.notes.is_empty() {
        writeln!(out)?;
    }
    if figure.parts.is_empty() {
        return Ok(());
    }
    writeln!(out, "| of it, or beside it | median | smallest | largest |")?;
    writeln!(out, "| --- | ---: | ---: | ---: |")?;
    for part in &figure.parts {
        let at = |share| {
            let value = statistics::quantile(&part.samples, share);
            value.map_or_else(|| "–".to_owned(), |value| numbers::value(value, part.unit))
        };
        writeln!(out, "| {} | {} | {} | {} |", markdown(&part.name), at(0.5), at(0.0), at(1.0))?;
    }
    writeln!(out)
}

fn write_machine(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "## On what\n\n| | |\n| --- | --- |")?;
    let facts = report.machine.0.iter().chain(&report.versions);
    for (name, value) in facts {
        writeln!(out, "| {} | {} |", markdown(name), markdown(value))?;
    }
    writeln!(out, "| from | {} |", markdown(&report.began))?;
    writeln!(out, "| to | {} |", markdown(&report.ended))?;
    writeln!(out, "| at rest before | {} |", markdown(&report.before.words()))?;
    writeln!(out, "| at rest after | {} |", markdown(&report.after.words()))
}

const fn sign(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Met => "✅ ",
        Judgement::Missed => "❌ ",
        Judgement::Free => "",
        Judgement::Unmeasured => "❔ ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture;

    #[test]
    fn a_report_to_read() {
        insta::assert_snapshot!(render(&fixture::report(), "bench-local.json"), @r#"
        # Figures on `local`

        1 of 2 figures with a limit keep it; missed: down; not measured: run. Written by `meshquake bench --backend local`, which measures again; with `--check` it compares with what is here. Raw samples are in [bench-local.json](bench-local.json).

        Measured on 2 × X, 7.8 GiB of memory, 2026-01-01.

        > **Warning:** the machine was not quiet after the last figure: others took 20 % of the processors

        > **Warning:** the machine's host gave time to others while this was measured: 8 % of up

        | | figure | median | p95 | largest | limit | samples |
        | --- | --- | ---: | ---: | ---: | --- | ---: |
        | ✅ met | [up](#up) | 810 ms | 837 ms | 840 ms | median ≤ 2 s | 3 |
        | ❌ **MISSED** | [down](#down) | **502 ms** | 502 ms | 502 ms | median ≤ 500 ms | 2 |
        | – | [share-of-v1](#share-of-v1) | 49.8 % | 49.8 % | 49.8 % | – | 1 |
        | ❔ NOT MEASURED | [run](#run) | – | – | – | median ≤ 9 s | 0 |

        ## up

        From the command to the world ready.

        Samples: 810 ms, 790 ms, 840 ms

        A median that is worse than this one by more than 25 % is told by `--check`.

        - one of three was slower

        | of it, or beside it | median | smallest | largest |
        | --- | ---: | ---: | ---: |
        | pods ready | 500 ms | 400 ms | 600 ms |

        ## down

        From the command to nothing left.

        Samples: 502 ms, 502 ms

        A median that is worse than this one by more than 25 % and 50 ms is told by `--check`.

        ## share-of-v1

        How much the one version gets.

        Samples: 49.8 %

        ## run

        A whole run.

        Not measured: the world did not come up

        ## On what

        | | |
        | --- | --- |
        | processors | 2 × X |
        | memory | 7.8 GiB |
        | kernel | Linux 6.1 |
        | meshquake | 0.1.0 |
        | envoy | 1.40.0 |
        | from | 2026-01-01T00:00:00Z |
        | to | 2026-01-01T00:05:00Z |
        | at rest before | load 0.1 0.2 0.3, 1 % of the processors taken by others |
        | at rest after | load 1.1 0.9 0.3, 20 % of the processors taken by others |
        "#);
    }
}
