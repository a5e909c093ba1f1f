//! A report on the console.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::figure::Statistic;
use super::report::Report;
use crate::report::console::Look;

pub fn table(report: &Report, look: Look) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(look.width)
        .set_header(["", "figure", "median", "p95", "smallest", "largest", "limit", "samples"]);
    for figure in &report.figures {
        let judgement = figure.judge();
        table.add_row([
            judgement.shape().to_owned(),
            figure.name.clone(),
            figure.shown(Statistic::Median),
            figure.shown(Statistic::P95),
            figure.shown(Statistic::Smallest),
            figure.shown(Statistic::Largest),
            figure.limits_shown(),
            figure.samples.len().to_string(),
        ]);
    }
    for column in [2, 3, 4, 5, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
    for figure in &report.figures {
        if let Some(why) = &figure.missing {
            out += &format!("\n? {}: {why}\n", figure.name);
        }
    }
    for warning in report.warnings() {
        out += &format!("\nwarning: {warning}\n");
    }
    out + &format!("\n{}\n", report.sentence())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture;

    #[test]
    fn a_report_on_the_console() {
        insta::assert_snapshot!(table(&fixture::report(), Look::PLAIN), @r#"
            figure       median     p95  smallest  largest  limit            samples
         ✔  up           810 ms  837 ms    790 ms   840 ms  median ≤ 2 s           3
         ✖  down         502 ms  502 ms    502 ms   502 ms  median ≤ 500 ms        2
            share-of-v1  49.8 %  49.8 %    49.8 %   49.8 %  –                      1
         ?  run               –       –         –        –  median ≤ 9 s           0

        ? run: the world did not come up

        warning: the machine was not quiet after the last figure: others took 20 % of the processors

        warning: the machine's host gave time to others while this was measured: 8 % of up

        1 of 2 figures with a limit keep it; missed: down; not measured: run
        "#);
    }
}
