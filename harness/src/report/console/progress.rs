//! Progress as it happens. On a terminal one live line is rewritten each second; elsewhere every line is plain and
//! final, and the load is told in spans instead of seconds.

use std::io::Write;

use owo_colors::OwoColorize;

use super::super::numbers;
use super::super::text;
use super::Look;
use crate::event::{ActionStep, Event, LoadSecond, Phase, Record, Unit};
use crate::verdict::Verdict;

/// Seconds of load that one plain line tells of.
const SPAN: u64 = 10;

/// Writes the progress of one run.
pub struct Progress<W> {
    out: W,
    look: Look,
    load_at: Option<i64>,
    /// Those that are at work, in the order in which they were asked for.
    actions: Vec<String>,
    live_line: bool,
    phase: Option<Phase>,
    last_text: String,
    span: Span,
}

/// Seconds that were not told yet.
#[derive(Default)]
struct Span {
    seconds: u64,
    sent: u64,
    failed: u64,
    p95: Option<f64>,
    until: i64,
}

impl<W: Write> Progress<W> {
    pub fn new(out: W, look: Look) -> Self {
        Self {
            out,
            look,
            load_at: None,
            actions: vec![],
            live_line: false,
            phase: None,
            last_text: String::new(),
            span: Span::default(),
        }
    }

    /// Tells one event. An error means that nobody listens any more: that is for the run to act on, not for us.
    pub fn tell(&mut self, record: &Record) -> std::io::Result<()> {
        match &record.event {
            Event::RunStarted(started) => {
                let line = format!(
                    "{} on {}, world {}, seed {}",
                    started.scenario, started.backend, started.world, started.seed
                );
                self.line(&line)
            }
            Event::PhaseStarted { phase } => {
                self.phase = Some(*phase);
                self.last_text.clear();
                if *phase == Phase::Recovery {
                    self.phase(*phase, "load goes on until it is decided")
                } else {
                    Ok(())
                }
            }
            Event::Progress { phase, text } => self.progress(*phase, text),
            Event::PhaseEnded { phase, took_ms } => self.phase_ended(*phase, *took_ms),
            Event::WorldUp(world) => {
                let line = format!(
                    "{} and {} ready in {}: {}",
                    text::count(world.pods as usize, "pod", "pods"),
                    text::count(world.sidecars as usize, "sidecar", "sidecars"),
                    numbers::span(world.took_ms),
                    world.entry
                );
                self.phase(Phase::Up, &line)
            }
            Event::Steady(judged) if judged.verdict != Verdict::Held => {
                let line = format!(
                    "{} is {}, {} is needed: {}",
                    judged.name,
                    numbers::measured(judged),
                    numbers::bound(judged),
                    judged.reason
                );
                self.phase(Phase::Steady, &line)
            }
            Event::LoadStarted { rate, users, journeys, .. } => {
                self.load_at = Some(record.at);
                let how = match (rate, users) {
                    (Some(rate), _) => format!("{} arrivals", numbers::value(*rate, Unit::PerSecond)),
                    (None, Some(users)) => text::count(*users as usize, "user", "users"),
                    (None, None) => "unknown arrivals".into(),
                };
                self.phase(Phase::Load, &format!("{how} of {}", journeys.join(", ")))
            }
            Event::LoadSecond(second) => self.second(record.at, second),
            Event::LoadEnded(summary) => {
                self.told_span()?;
                let kept = numbers::value(summary.rate_kept, Unit::PerSecond);
                let line = format!(
                    "{} sent, {} failed, {kept} kept",
                    numbers::grouped(summary.sent as f64),
                    numbers::grouped(summary.failed as f64)
                );
                self.timed(record.at, &line)?;
                match &summary.bottleneck {
                    Some(why) => self.line(&format!("warning: the load generator was the bottleneck: {why}")),
                    None => Ok(()),
                }
            }
            Event::Action { name, step } => self.action(record.at, name, step),
            Event::Guard { name, text, .. } => {
                self.told_span()?;
                self.timed(record.at, &format!("guard {name}: {text}"))
            }
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::Pod(pod) if self.load_at.is_some() && (pod.gone || !pod.ready) => {
                let state = match (&pod.reason, pod.gone) {
                    (_, true) => "is gone".into(),
                    (Some(reason), false) => format!("is not ready: {reason}"),
                    (None, false) => "is not ready".into(),
                };
                self.told_span()?;
                self.timed(record.at, &format!("pod {} {state}", pod.name))
            }
            Event::Pod(_)
            | Event::Steady(_)
            | Event::Judged(_)
            | Event::SecondOpinion(_)
            | Event::Calls { .. }
            | Event::Mesh(_)
            | Event::Scraped(_)
            | Event::Usage { .. }
            | Event::Collected { .. } => Ok(()),
            Event::Ended { .. } => self.finish(),
        }
    }

    /// What goes on inside a phase passes by on a terminal; elsewhere it is a line, unless it says the same again.
    fn progress(&mut self, phase: Phase, text: &str) -> std::io::Result<()> {
        if self.last_text == text {
            return Ok(());
        }
        text.clone_into(&mut self.last_text);
        if self.look.live {
            self.live(&format!("{:<12}  {text}", phase.word()))
        } else {
            self.phase(phase, text)
        }
    }

    /// Only what took long enough to be noticed, and was not told otherwise, is worth a line.
    fn phase_ended(&mut self, phase: Phase, took_ms: u64) -> std::io::Result<()> {
        let told = matches!(phase, Phase::Up | Phase::Load);
        if told || took_ms < 500 {
            return Ok(());
        }
        let text = std::mem::take(&mut self.last_text);
        let what = if text.is_empty() || !self.look.live { "done".to_owned() } else { text };
        self.phase(phase, &format!("{what} ({})", numbers::span(took_ms)))
    }

    fn action(&mut self, at: i64, name: &str, step: &ActionStep) -> std::io::Result<()> {
        self.told_span()?;
        let text = match step {
            ActionStep::Asked { target, .. } => {
                self.actions.push(name.to_owned());
                format!("{name}: {target}")
            }
            ActionStep::Proved { observation } => format!("{name}: proved, {observation}"),
            ActionStep::NotProved { reason } => format!("{name}: NOT PROVED, {reason}"),
            ActionStep::UndoAsked => return Ok(()),
            ActionStep::UndoVerified { how } => {
                self.actions.retain(|action| action != name);
                format!("{name}: undone, {how}")
            }
            ActionStep::UndoFailed { reason } => format!("{name}: NOT UNDONE, {reason}"),
            ActionStep::Recovered { after_ms } => {
                format!("{name}: recovered {} after its undo", numbers::span(*after_ms))
            }
            ActionStep::NotRecovered { within_ms } => {
                format!("{name}: NOT RECOVERED within {}", numbers::span(*within_ms))
            }
        };
        self.timed(at, &text)
    }

    fn second(&mut self, at: i64, second: &LoadSecond) -> std::io::Result<()> {
        if self.look.live {
            let now = self.load_line(1, second.sent, second.failed, second.p95);
            let since = self.since(at);
            return self.live(&format!("{since:>12}  {now}"));
        }
        let span = &mut self.span;
        // The first failures are news, they do not wait for the end of the span.
        let news = second.failed > 0 && span.failed == 0 && span.seconds > 0;
        if news {
            self.told_span()?;
        }
        let span = &mut self.span;
        span.seconds += 1;
        span.sent += second.sent;
        span.failed += second.failed;
        span.p95 = match (span.p95, second.p95) {
            (Some(worst), Some(p95)) => Some(worst.max(p95)),
            (worst, p95) => worst.or(p95),
        };
        span.until = at;
        if self.span.seconds >= SPAN { self.told_span() } else { Ok(()) }
    }

    fn told_span(&mut self) -> std::io::Result<()> {
        let Span { seconds, sent, failed, p95, until } = std::mem::take(&mut self.span);
        if seconds == 0 {
            return Ok(());
        }
        let line = self.load_line(seconds, sent, failed, p95);
        self.timed(until, &line)
    }

    fn load_line(&self, seconds: u64, sent: u64, failed: u64, p95: Option<f64>) -> String {
        let p95 = p95.map_or_else(|| "no answer".into(), |p95| format!("p95 {}", numbers::millis(p95)));
        let actions = match self.actions.as_slice() {
            [] => String::new(),
            actions => format!("  [{}]", actions.join(", ")),
        };
        let rate = numbers::plain(sent as f64 / seconds as f64);
        format!("{rate:>5}/s  {:>4} failed  {p95}{actions}", numbers::grouped(failed as f64))
    }

    fn since(&self, at: i64) -> String {
        numbers::moment((at - self.load_at.unwrap_or(at)) as f64 / 1e3)
    }

    fn timed(&mut self, at: i64, text: &str) -> std::io::Result<()> {
        let since = self.since(at);
        self.line(&format!("{since:>12}  {text}"))
    }

    fn phase(&mut self, phase: Phase, text: &str) -> std::io::Result<()> {
        self.clear()?;
        let word = format!("{:<12}", phase.word());
        let word = if self.look.colour { word.bold().to_string() } else { word };
        writeln!(self.out, "{word}  {}", text::line(text))
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.clear()?;
        writeln!(self.out, "{}", text::line(line))
    }

    /// The live line never wraps: a wrapped line could not be rewritten.
    fn live(&mut self, line: &str) -> std::io::Result<()> {
        let line = text::cut(&text::line(line), usize::from(self.look.width).saturating_sub(1));
        write!(self.out, "\r\x1b[2K{line}")?;
        self.live_line = true;
        self.out.flush()
    }

    fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.live_line) { write!(self.out, "\r\x1b[2K") } else { Ok(()) }
    }

    /// Tells what was kept back and clears the live line.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.told_span()?;
        self.clear()?;
        self.out.flush()
    }
}
