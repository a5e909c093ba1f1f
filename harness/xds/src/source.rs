//! Where a person wrote something, and what is wrong with it.
//!
//! A [`Place`] travels with every value that came from a file, so that a problem found late (even a refusal by
//! Envoy) still names the line. Problems are collected, never thrown one by one.

use std::fmt;
use std::sync::Arc;

/// A file and a line in it; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
}

impl Place {
    pub fn new(file: impl Into<Arc<str>>, line: u32) -> Self {
        Self { file: file.into(), line }
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (file, line) = text.rsplit_once(':')?;
        Some(Self::new(file, line.parse().ok()?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One thing that is wrong, said so that its author can mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    /// What is wrong, a lower-case fragment with the value in it: ``unknown field `protocl` ``.
    pub title: String,
    /// The value found, where the title does not say it.
    pub found: Option<Box<str>>,
    /// What would be allowed there.
    pub allowed: Option<Box<str>>,
    /// What to do about it: the nearest name, or the likely cause.
    pub help: Option<Box<str>>,
    /// It may be good on a real Istio; only what is built here cannot do it.
    pub beyond_local: bool,
}

impl Problem {
    pub fn new(place: &Place, title: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            title: title.into(),
            found: None,
            allowed: None,
            help: None,
            beyond_local: false,
        }
    }

    pub fn beyond_local(mut self) -> Self {
        self.beyond_local = true;
        self
    }

    pub fn found(mut self, found: impl Into<Box<str>>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn allowed(mut self, allowed: impl Into<Box<str>>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong, in the order of files and lines once sorted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong anywhere, and what is only more than `local` can do.
    pub fn split(self) -> (Problems, Problems) {
        let (beyond, wrong) = self.0.into_iter().partition(|problem| problem.beyond_local);
        (Problems(wrong), Problems(beyond))
    }

    /// `Ok(value)` when nothing is wrong, otherwise the problems by file and line, each once.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Problems> {
        if self.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        self.0.dedup();
        Err(self)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}: {}", problem.place, problem.title)?;
        }
        Ok(())
    }
}

/// What a test shows that could not go on for them: each with what helps to mend it.
impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Problem { place, title, found, allowed, help, beyond_local: _ } in &self.0 {
            write!(f, "\n{place}: {title}")?;
            for (word, text) in [("found: ", found), ("allowed: ", allowed), ("", help)] {
                if let Some(text) = text {
                    write!(f, "\n  {word}{text}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
