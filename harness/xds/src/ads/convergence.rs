//! Whether every sidecar has what it should have, and if not, what was last seen of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::snapshot::Kind;

/// Orders the snapshots of all nodes of a server: a later `set` has a higher generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub(super) u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Envoy refused one resource; it keeps what it had under that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nack {
    pub node: String,
    pub kind: Kind,
    /// The resource's name: who translated it knows from which file and line it came.
    pub resource: String,
    /// Envoy's own words.
    pub message: String,
}

impl fmt::Display for Nack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused {} `{}`: {}", self.node, self.kind, self.resource, self.message)
    }
}

/// Every node asked for has its version, or cannot have an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converged {
    /// Not connected or starting over. They get the current snapshot before anything else, so they do not block;
    /// that they are gone on purpose is for the caller to know.
    pub absent: BTreeSet<String>,
}

/// Not every node has its version within the limit, or one has refused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotConverged {
    pub waited: Duration,
    /// Only the nodes that do not have their version.
    pub nodes: BTreeMap<String, Lagging>,
}

impl NotConverged {
    pub fn nacks(&self) -> impl Iterator<Item = &Nack> {
        self.nodes.values().flat_map(|lagging| match lagging {
            Lagging::Refused(nacks) => nacks.as_slice(),
            _ => &[],
        })
    }
}

impl fmt::Display for NotConverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nacks().next().is_some() {
            f.write_str("configuration was refused")?;
        } else {
            write!(f, "configuration not taken up after {:.1?}", self.waited)?;
        }
        for (node, lagging) in &self.nodes {
            write!(f, "\n  {node}: {lagging}")?;
        }
        Ok(())
    }
}

/// The state in which a node was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lagging {
    NeverConnected,
    /// Connected, but has not yet asked for everything.
    Starting,
    /// A response is under way and has not been answered.
    Unacknowledged {
        kind: Kind,
        names: Vec<String>,
        since: Duration,
    },
    /// There is something to send, and it waits for its turn.
    Unsent {
        kinds: Vec<Kind>,
    },
    /// The server has been told to answer nobody.
    Paused,
    Refused(Vec<Nack>),
}

impl fmt::Display for Lagging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lagging::NeverConnected => f.write_str("never connected"),
            Lagging::Starting => f.write_str("connected, has not yet asked for all of its configuration"),
            Lagging::Unacknowledged { kind, names, since } => {
                write!(f, "no answer to {kind} {} sent {since:.1?} ago", Shortened(names))
            }
            Lagging::Unsent { kinds } if kinds.is_empty() => f.write_str("nothing of it sent yet"),
            Lagging::Unsent { kinds } => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                write!(f, "{} not yet sent", kinds.join(", "))
            }
            Lagging::Paused => f.write_str("the server is paused"),
            Lagging::Refused(nacks) => {
                for (index, nack) in nacks.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}refused {} `{}`: {}", nack.kind, nack.resource, nack.message)?;
                }
                Ok(())
            }
        }
    }
}

/// The first few names, and how many more there are.
struct Shortened<'a>(&'a [String]);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}`{name}`")?;
        }
        match self.0.len() {
            0 => f.write_str("(nothing)"),
            all if all > SHOWN => write!(f, " and {} more", all - SHOWN),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_of_each_node_what_was_last_seen() {
        let nack = Nack {
            node: "d".into(),
            kind: Kind::Route,
            resource: "8080".into(),
            message: "bad regex".into(),
        };
        let names = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
        let mut error = NotConverged {
            waited: Duration::from_millis(2500),
            nodes: BTreeMap::from([
                ("a".to_owned(), Lagging::NeverConnected),
                ("b".to_owned(), Lagging::Starting),
                (
                    "c".to_owned(),
                    Lagging::Unacknowledged { kind: Kind::Cluster, names, since: Duration::from_secs(2) },
                ),
                ("e".to_owned(), Lagging::Unsent { kinds: vec![Kind::Listener, Kind::Route] }),
                ("f".to_owned(), Lagging::Paused),
            ]),
        };
        insta::assert_snapshot!(error, @r"
        configuration not taken up after 2.5s
          a: never connected
          b: connected, has not yet asked for all of its configuration
          c: no answer to cluster `a`, `b`, `c` and 2 more sent 2.0s ago
          e: listener, route not yet sent
          f: the server is paused
        ");
        error.nodes = BTreeMap::from([("d".to_owned(), Lagging::Refused(vec![nack]))]);
        insta::assert_snapshot!(error, @r"
        configuration was refused
          d: refused route `8080`: bad regex
        ");
    }
}
