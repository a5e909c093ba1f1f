//! The bench makes a cluster by hand beside ours, and takes ours away: neither ever stays or goes unasked.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::site::{Begun, ILL, PATIENCE, Site, config_with, nodes};
use crate::support::{meshquake, said};
use crate::until::until;

/// The cluster that stands for ours; the one by hand is named after it.
const NAME: &str = "meshquake-bench";

pub fn a_cluster_on_which_a_world_is_up_stays(site: &Site) {
    site.ends(&["up", ILL], 0);
    let output = site.ends(&["bench", "nothing", "--rounds", "1"], 10);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("has to go for this, and worlds are up on it"), "{}", said(&output));
    // The world would not answer to its name if the cluster had gone.
    site.ends(&["down"], 0);
    site.no_world();
}

pub fn ctrl_c_while_a_cluster_is_made_by_hand(site: &Site) {
    let bench = ByHand::new(site);
    let mut begun = bench.begun("");
    begun.signal(Signal::INT);
    assert_eq!(begun.end(), Some(130));
    assert_eq!(bench.nodes(), "", "nothing of it stays");
}

pub fn killed_while_a_cluster_is_made_by_hand(site: &Site) {
    let bench = ByHand::new(site);
    let mut first = bench.begun("");
    let node = bench.nodes();
    first.signal(Signal::KILL);
    first.end();
    // The next one removes what it finds, and makes its own.
    let mut second = bench.begun(&node);
    second.signal(Signal::INT);
    assert_eq!(second.end(), Some(130));
    assert_eq!(bench.nodes(), "", "nothing of either stays");
}

struct ByHand {
    backend: &'static str,
    folder: TempDir,
    config: PathBuf,
}

impl ByHand {
    fn new(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config_with(folder.path(), "cluster", &format!("name = \"{NAME}\"\nport = 18011"));
        Self { backend: site.backend, folder, config }
    }

    /// A bench that has just begun with a node other than this one.
    fn begun(&self, other_than: &str) -> Begun {
        let mut command = meshquake(&["bench", "nothing", "--rounds", "1", "--backend", self.backend]);
        command.arg("--config").arg(&self.config).arg("--out").arg(self.folder.path().join("bench"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let mut bench = Begun::of(child);
        until("a node begun by hand", PATIENCE * 3, || {
            assert!(bench.runs(), "it ended before");
            match self.nodes() {
                none if none.is_empty() => Err("no node".to_owned()),
                old if old == other_than => Err("only the node of before".to_owned()),
                _ => Ok(()),
            }
        });
        bench
    }

    fn nodes(&self) -> String {
        nodes(self.backend, &format!("{NAME}-by-hand"))
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        // Of a failed test.
        let cluster = format!("{NAME}-by-hand");
        let words: &[&str] = match self.backend {
            "kind" => &["delete", "cluster", "--name", &cluster],
            _ => &["cluster", "delete", &cluster],
        };
        if !self.nodes().is_empty() {
            let _removed = Command::new(self.backend).args(words).output();
        }
    }
}
