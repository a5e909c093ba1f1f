//! The story on the console: progress as it happens on standard error, the answer on standard output.

mod answer;
mod progress;

use std::io::IsTerminal;
use std::os::fd::AsFd;

use owo_colors::Style;

use crate::verdict::Verdict;

pub use answer::answer;
pub use progress::Progress;

/// How to write to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// A live line can be rewritten.
    pub live: bool,
    pub colour: bool,
    /// Letters in a line.
    pub width: u16,
}

/// Wide enough for a table, narrow enough for a log.
const WIDTH: u16 = 100;

impl Look {
    /// For files, pipes and logs.
    pub const PLAIN: Look = Look { live: false, colour: false, width: WIDTH };

    /// As the stream allows and the environment wishes.
    pub fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let size = rustix::termios::tcgetwinsize(stream).ok();
        let width = size.map(|size| size.ws_col).filter(|width| *width > 0);
        Self::decide(stream.is_terminal(), &variable("TERM"), &variable("NO_COLOR"), width)
    }

    /// NO_COLOR, set to anything, takes away the colour and, as that which moves, the live line too.
    fn decide(terminal: bool, term: &str, no_color: &str, width: Option<u16>) -> Self {
        let able = terminal && term != "dumb" && no_color.is_empty();
        Self { live: able, colour: able, width: width.filter(|_| terminal).unwrap_or(WIDTH).max(40) }
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Held => Style::new().green().bold(),
        Verdict::Failed | Verdict::Error | Verdict::NotInjected => Style::new().red().bold(),
        _ => Style::new().yellow().bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_and_life_need_a_terminal_that_wants_them() {
        let table = [
            ((true, "xterm", "", Some(120)), (true, 120)),
            ((true, "xterm", "1", Some(120)), (false, 120)),
            ((true, "dumb", "", None), (false, 100)),
            ((true, "xterm", "", Some(7)), (true, 40)),
            ((false, "xterm", "", Some(120)), (false, 100)),
        ];
        for ((terminal, term, no_color, size), (able, width)) in table {
            assert_eq!(
                Look::decide(terminal, term, no_color, size),
                Look { live: able, colour: able, width }
            );
        }
    }
}
