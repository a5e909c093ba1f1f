//! The snapshots of all nodes and what is known of their streams: the handle that the rest of the program holds.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::convergence::{Converged, Generation, Lagging, Nack, NotConverged};
use super::session::Standing;
use super::snapshot::Snapshot;

/// A node's snapshot with its place in the order of all snapshots.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    pub generation: Generation,
    pub snapshot: Arc<Snapshot>,
}

/// Whether streams are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Running,
    Paused,
    PausedUntil(Instant),
}

impl Pace {
    fn is_paused(self) -> bool {
        match self {
            Pace::Running => false,
            Pace::Paused => true,
            Pace::PausedUntil(end) => Instant::now() < end,
        }
    }
}

/// What each sidecar should have. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Ads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// Counts changes of the table, for those who wait for one.
    changes: watch::Sender<u64>,
    pace: watch::Sender<Pace>,
}

#[derive(Debug, Default)]
struct Table {
    nodes: BTreeMap<String, Node>,
    generations: u64,
    streams: u64,
}

#[derive(Debug)]
struct Node {
    desired: watch::Sender<Option<Desired>>,
    stream: Option<Stream>,
    /// The last generation that was acknowledged whole.
    settled: Option<Generation>,
}

#[derive(Debug, Default)]
struct Stream {
    id: u64,
    /// The generation against which the standing was measured.
    generation: Generation,
    standing: Standing,
}

/// A stream's registration; its end is noted when this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    ads: Ads,
    node: String,
    stream: u64,
    pub desired: watch::Receiver<Option<Desired>>,
}

impl Default for Ads {
    fn default() -> Self {
        Self::new()
    }
}

impl Ads {
    pub fn new() -> Self {
        let shared = Shared {
            table: Mutex::default(),
            changes: watch::Sender::new(0),
            pace: watch::Sender::new(Pace::Running),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Says what a node should have from now on. A snapshot that says the same as the one before changes nothing.
    pub fn set(&self, node: &str, mut snapshot: Snapshot) -> Generation {
        let mut table = self.table();
        let next = Generation(table.generations + 1);
        let entry = table.nodes.entry(node.to_owned()).or_insert_with(Node::unknown);
        if let Some(previous) = &*entry.desired.borrow() {
            snapshot.keep_from(&previous.snapshot);
            if snapshot == *previous.snapshot {
                return previous.generation;
            }
        }
        entry.desired.send_replace(Some(Desired { generation: next, snapshot: Arc::new(snapshot) }));
        table.generations = next.0;
        drop(table);
        self.changed();
        next
    }

    /// Forgets a node that is gone. A stream that it still has is left as it is, and nobody waits for it.
    pub fn remove(&self, node: &str) {
        let mut table = self.table();
        if let Entry::Occupied(mut entry) = table.nodes.entry(node.to_owned()) {
            entry.get_mut().desired.send_replace(None);
            entry.get_mut().settled = None;
            if entry.get().stream.is_none() {
                entry.remove();
            }
        }
        drop(table);
        self.changed();
    }

    /// The snapshot that a node should have.
    pub fn snapshot(&self, node: &str) -> Option<Arc<Snapshot>> {
        let table = self.table();
        let desired = table.nodes.get(node)?.desired.borrow();
        desired.as_ref().map(|desired| Arc::clone(&desired.snapshot))
    }

    /// What is refused at present, by node.
    pub fn nacks(&self) -> Vec<Nack> {
        self.table().nodes.iter().flat_map(|(name, node)| node.nacks(name)).collect()
    }

    /// Nodes with an open stream.
    pub fn connected(&self) -> BTreeSet<String> {
        let table = self.table();
        let connected = table.nodes.iter().filter(|(_, node)| node.stream.is_some());
        connected.map(|(name, _)| name.clone()).collect()
    }

    /// Changes whenever a node connects, leaves, acknowledges, refuses or is given another snapshot.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until each of these nodes has acknowledged everything of its current snapshot, or of `since` where
    /// the snapshot is newer than that. A node that had settled before and is now gone or starting over, or that
    /// is not known at all, does not block. Ends early where all is decided and something was refused.
    pub async fn converged(
        &self,
        nodes: impl IntoIterator<Item = impl Into<String>>,
        since: Option<Generation>,
        limit: Duration,
    ) -> Result<Converged, NotConverged> {
        let start = Instant::now();
        let mut changes = self.changes();
        let targets: BTreeMap<String, Option<Generation>> = {
            let table = self.table();
            let target = |name: &str| {
                let current = table.nodes.get(name)?.desired.borrow().as_ref()?.generation;
                Some(since.map_or(current, |since| current.min(since)))
            };
            nodes
                .into_iter()
                .map(Into::into)
                .map(|name: String| (target(&name), name))
                .map(|(t, n)| (n, t))
                .collect()
        };
        loop {
            changes.mark_unchanged();
            let (absent, lagging) = self.look(&targets);
            if lagging.is_empty() {
                return Ok(Converged { absent });
            }
            let decided = lagging.values().all(|lagging| matches!(lagging, Lagging::Refused(_)));
            if decided || timeout_at(start + limit, changes.changed()).await.is_err() {
                return Err(NotConverged { waited: start.elapsed(), nodes: lagging });
            }
        }
    }

    /// Stops answering; streams stay open. For a rehearsal of a control plane that hangs.
    pub fn pause(&self) {
        self.set_pace(Pace::Paused);
    }

    pub fn resume(&self) {
        self.set_pace(Pace::Running);
    }

    /// Stops answering for a time. A later `pause`, `resume` or `stall` takes its place.
    pub fn stall(&self, time: Duration) {
        self.set_pace(Pace::PausedUntil(Instant::now() + time));
    }

    fn set_pace(&self, pace: Pace) {
        self.shared.pace.send_replace(pace);
        self.changed();
    }

    pub(super) fn pace(&self) -> watch::Receiver<Pace> {
        self.shared.pace.subscribe()
    }

    /// Registers a stream. An older one of the same node is no longer listened to.
    pub(super) fn attach(&self, node: &str) -> Attached {
        let mut table = self.table();
        table.streams += 1;
        let id = table.streams;
        let entry = table.nodes.entry(node.to_owned()).or_insert_with(Node::unknown);
        entry.stream = Some(Stream { id, ..Stream::default() });
        let desired = entry.desired.subscribe();
        drop(table);
        self.changed();
        Attached { ads: self.clone(), node: node.to_owned(), stream: id, desired }
    }

    /// Who does not block though absent, and who blocks and why.
    fn look(
        &self,
        targets: &BTreeMap<String, Option<Generation>>,
    ) -> (BTreeSet<String>, BTreeMap<String, Lagging>) {
        let paused = self.shared.pace.borrow().is_paused();
        let table = self.table();
        let mut absent = BTreeSet::new();
        let mut lagging = BTreeMap::new();
        for (name, target) in targets {
            match (table.nodes.get(name), target) {
                (Some(node), Some(target)) if node.desired.borrow().is_some() => {
                    match node.progress(name, *target, paused) {
                        Progress::Settled => {}
                        Progress::Absent => _ = absent.insert(name.clone()),
                        Progress::Lagging(why) => _ = lagging.insert(name.clone(), why),
                    }
                }
                _ => _ = absent.insert(name.clone()),
            }
        }
        (absent, lagging)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is whole after each statement that changes it, so a panic elsewhere does not spoil it.
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|count| *count += 1);
    }
}

enum Progress {
    Settled,
    Absent,
    Lagging(Lagging),
}

impl Node {
    fn unknown() -> Self {
        Self { desired: watch::Sender::new(None), stream: None, settled: None }
    }

    fn progress(&self, name: &str, target: Generation, paused: bool) -> Progress {
        let current = self.stream.as_ref().is_some_and(|stream| stream.generation >= target);
        // What was refused of an older snapshot says nothing about this one.
        let nacks = if current { self.nacks(name) } else { Vec::new() };
        if self.settled >= Some(target) && nacks.is_empty() {
            return Progress::Settled;
        }
        let Some(stream) = &self.stream else {
            return match self.settled {
                Some(_) => Progress::Absent,
                None => Progress::Lagging(Lagging::NeverConnected),
            };
        };
        let standing = &stream.standing;
        Progress::Lagging(if current && standing.is_decided() && !nacks.is_empty() {
            Lagging::Refused(nacks)
        } else if paused {
            Lagging::Paused
        } else if let Some(first) = standing.unacknowledged.first() {
            Lagging::Unacknowledged {
                kind: first.kind,
                names: first.names.clone(),
                since: first.since.elapsed(),
            }
        } else if !standing.begun {
            match self.settled {
                Some(_) => return Progress::Absent,
                None => Lagging::Starting,
            }
        } else {
            Lagging::Unsent { kinds: standing.unsent.clone() }
        })
    }

    fn nacks(&self, name: &str) -> Vec<Nack> {
        let Some(stream) = &self.stream else { return Vec::new() };
        let rejected = stream.standing.rejected.iter();
        let nack = |(kind, resource, message): &(_, String, String)| Nack {
            node: name.to_owned(),
            kind: *kind,
            resource: resource.clone(),
            message: message.clone(),
        };
        rejected.map(nack).collect()
    }
}

impl Attached {
    /// Notes where the stream stands against a generation.
    pub fn report(&self, standing: Standing, generation: Generation) {
        let mut table = self.ads.table();
        let Some(node) = table.nodes.get_mut(&self.node) else { return };
        let Some(stream) = node.stream.as_mut().filter(|stream| stream.id == self.stream) else { return };
        if standing.is_settled() {
            node.settled = Some(generation);
        }
        stream.generation = generation;
        stream.standing = standing;
        drop(table);
        self.ads.changed();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut table = self.ads.table();
        if let Some(node) = table.nodes.get_mut(&self.node)
            && node.stream.as_ref().is_some_and(|stream| stream.id == self.stream)
        {
            node.stream = None;
            if node.desired.borrow().is_none() {
                table.nodes.remove(&self.node);
            }
        }
        drop(table);
        self.ads.changed();
    }
}
