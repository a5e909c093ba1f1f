//! What a look at a machine or a cluster found: what is there, what is not at its best, what is missing.

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Good,
    /// It works, but not at its best, or a person should know.
    Note,
    Missing,
}

impl State {
    pub fn sign(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Note => "note",
            State::Missing => "MISSING",
        }
    }
}

/// One of the things that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub state: State,
    /// What was found, and where it is missing how to get it.
    pub text: String,
}

impl Finding {
    pub fn good(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Good, text: text.into() }
    }

    pub fn note(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Note, text: text.into() }
    }

    pub fn missing(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Missing, text: text.into() }
    }
}
