//! The two versions of the shop. This is the only place that says what differs between them.

use std::fmt;
use std::str::FromStr;

/// The version that a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stack {
    V1,
    V2,
}

impl Stack {
    pub const ALLOWED: &str = "v1 or v2";

    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The paths under which a service of the chain answers. v2 still serves those of v1, so a v1 caller that strays gets
    /// a line of mixed versions.
    pub fn chain_paths(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &["/"],
            Self::V2 => &["/", "/v2/chain"],
        }
    }

    /// The path that a service of the chain calls on the next one. v1 lacks that of v2, so a v2 caller that strays fails.
    pub fn chain_call(self) -> &'static str {
        match self {
            Self::V1 => "/",
            Self::V2 => "/v2/chain",
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Stack {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(()),
        }
    }
}
