//! The story on the console: progress as it happens on standard error, the answer on standard output.
//!
//! On a terminal one live line is rewritten each second; elsewhere every line is plain and final.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use owo_colors::{OwoColorize, Style};

use super::numbers;
use super::sentence;
use super::story::Story;
use crate::event::{ActionStep, Event, LoadSecond, Phase, Record};
use crate::verdict::Verdict;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// A live line can be rewritten.
    pub live: bool,
    pub colour: bool,
}

/// Writes the progress of one run.
pub struct Progress<W> {
    out: W,
    look: Look,
    load_at: Option<i64>,
    action: Option<String>,
    live_line: bool,
}

impl<W: Write> Progress<W> {
    pub fn new(out: W, look: Look) -> Self {
        Self { out, look, load_at: None, action: None, live_line: false }
    }

    /// Tells one event. Nobody may be listening any more: that is for the run to notice, not for us.
    pub fn tell(&mut self, record: &Record) -> std::io::Result<()> {
        match &record.event {
            Event::RunStarted(started) => {
                let text = format!(
                    "{} on {}, world {}, seed {}",
                    started.scenario, started.backend, started.world, started.seed
                );
                self.line(&text)
            }
            Event::Progress { phase, text } => self.phase(*phase, text),
            Event::PhaseEnded { phase: Phase::Build, took_ms } if *took_ms > 500 => {
                self.phase(Phase::Build, &format!("done in {}", numbers::millis(*took_ms as f64)))
            }
            Event::WorldUp(world) => {
                let took = numbers::millis(world.took_ms as f64);
                let text = format!(
                    "{} pods and {} sidecars ready in {took}: {}",
                    world.pods, world.sidecars, world.entry
                );
                self.phase(Phase::Up, &text)
            }
            Event::Steady(judged) if judged.verdict != Verdict::Held => self.phase(
                Phase::Steady,
                &format!("{} is {}: {}", judged.name, numbers::measured(judged), judged.reason),
            ),
            Event::LoadStarted { rate, users, journeys, .. } => {
                self.load_at = Some(record.at);
                let how = match (rate, users) {
                    (Some(rate), _) => {
                        format!("{} arrivals", numbers::value(*rate, crate::event::Unit::PerSecond))
                    }
                    (None, Some(users)) => format!("{users} users"),
                    (None, None) => "unknown arrivals".into(),
                };
                self.phase(Phase::Load, &format!("{how} of {}", journeys.join(", ")))
            }
            Event::LoadSecond(second) => self.second(record.at, second),
            Event::Action { name, step } => self.action(record.at, name, step),
            Event::Guard { name, text, .. } => self.timed(record.at, &format!("guard {name}: {text}")),
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Pod(pod) if self.load_at.is_some() && (pod.gone || !pod.ready) => {
                let state = if pod.gone {
                    "is gone".into()
                } else {
                    pod.reason.clone().unwrap_or_else(|| "is not ready".into())
                };
                self.timed(record.at, &format!("pod {} {state}", pod.name))
            }
            _ => Ok(()),
        }
    }

    fn action(&mut self, at: i64, name: &str, step: &ActionStep) -> std::io::Result<()> {
        let text = match step {
            ActionStep::Asked { target } => {
                self.action = Some(name.to_owned());
                format!("{name}: {target}")
            }
            ActionStep::Proved { observation } => format!("{name}: proved, {observation}"),
            ActionStep::NotProved { reason } => format!("{name}: not proved, {reason}"),
            ActionStep::UndoAsked => return Ok(()),
            ActionStep::UndoVerified { how } => {
                self.action = None;
                format!("{name}: undone, {how}")
            }
            ActionStep::UndoFailed { reason } => format!("{name}: NOT UNDONE, {reason}"),
            ActionStep::Recovered { after_ms } => {
                format!("{name}: recovered {} after its undo", numbers::millis(*after_ms as f64))
            }
            ActionStep::NotRecovered { within_ms } => {
                format!("{name}: not recovered within {}", numbers::millis(*within_ms as f64))
            }
        };
        self.timed(at, &text)
    }

    fn second(&mut self, at: i64, second: &LoadSecond) -> std::io::Result<()> {
        let p95 =
            second.p95.map_or_else(|| "no answer".into(), |p95| format!("p95 {}", numbers::millis(p95)));
        let action = self.action.as_ref().map(|action| format!("  [{action}]")).unwrap_or_default();
        let text = format!("{:>5}/s  {:>4} failed  {p95}{action}", second.sent, second.failed);
        if !self.look.live {
            return self.timed(at, &text);
        }
        let since = self.since(at);
        write!(self.out, "\r\x1b[2K  {since:>6}  {text}")?;
        self.live_line = true;
        self.out.flush()
    }

    fn since(&self, at: i64) -> String {
        format!("{:.1} s", (at - self.load_at.unwrap_or(at)) as f64 / 1e3)
    }

    fn timed(&mut self, at: i64, text: &str) -> std::io::Result<()> {
        let since = self.since(at);
        self.line(&format!("  {since:>6}  {text}"))
    }

    fn phase(&mut self, phase: Phase, text: &str) -> std::io::Result<()> {
        let word = format!("{:<8}", phase.word());
        let word = if self.look.colour { word.bold().to_string() } else { word };
        self.line(&format!("{word}  {text}"))
    }

    fn line(&mut self, text: &str) -> std::io::Result<()> {
        if std::mem::take(&mut self.live_line) {
            write!(self.out, "\r\x1b[2K")?;
        }
        writeln!(self.out, "{text}")
    }

    /// Clears the live line.
    pub fn finish(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.live_line) {
            write!(self.out, "\r\x1b[2K")?;
        }
        self.out.flush()
    }
}

/// The answer: verdict, sentence, objectives, where the report is.
pub fn answer(story: &Story, folder: &str, look: Look) -> String {
    let word = story.verdict.word().to_uppercase();
    let word = if look.colour { word.style(style(story.verdict)).to_string() } else { word };
    let mut text = format!("\n{word}  {}\n{}\n", story.started.scenario, sentence::compose(story));
    let causes = story.causes();
    if causes.len() > 1 {
        for cause in &causes {
            text += &format!("  - {cause}\n");
        }
    }
    if !story.judged.is_empty() {
        text += &format!("\n{}\n", objectives(story, look));
    }
    for judged in story.judged.iter().filter(|judged| judged.verdict != Verdict::Held) {
        text += &format!("  {}: {}\n", judged.name, judged.reason);
    }
    text + &format!("\nreport  {folder}/report.html\n")
}

fn objectives(story: &Story, look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "objective",
        "window",
        "measured",
        "bound",
        "samples",
        "verdict",
    ]);
    for judged in &story.judged {
        let verdict = judged.verdict.to_string();
        table.add_row([
            judged.name.clone(),
            judged.window.clone(),
            numbers::measured(judged),
            numbers::bound(judged),
            numbers::grouped(judged.samples as f64),
            if look.colour { verdict.style(style(judged.verdict)).to_string() } else { verdict },
        ]);
    }
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Held => Style::new().green().bold(),
        Verdict::Failed | Verdict::Error | Verdict::NotInjected => Style::new().red().bold(),
        _ => Style::new().yellow().bold(),
    }
}
