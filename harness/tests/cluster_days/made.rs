//! A cluster that is only half made when somebody gives up or dies: nothing of it stays, or the next try makes it whole.
//! It is a second cluster, with a name and a port of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::site::{Begun, ILL, PATIENCE, Site, config_with, nodes};
use crate::support::{meshquake, said};
use crate::until::until;

const NAME: &str = "meshquake-half";

struct Half {
    backend: &'static str,
    folder: TempDir,
    config: PathBuf,
}

impl Half {
    fn new(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config_with(folder.path(), "cluster", &format!("name = \"{NAME}\"\nport = 18010"));
        Self { backend: site.backend, folder, config }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = meshquake(words);
        command.args(["--backend", self.backend]).arg("--config").arg(&self.config);
        command.current_dir(self.folder.path());
        command
    }

    /// `up`, with the node of its cluster just begun.
    fn begun(&self) -> Begun {
        let world = crate::support::root().join(ILL).display().to_string();
        let mut up = self.command(&["up", &world]);
        let child: Child =
            up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let mut up = Begun::of(child);
        until("a node begun", PATIENCE * 3, || {
            assert!(up.runs(), "it ended before");
            if self.nodes().is_empty() { Err("no node".to_owned()) } else { Ok(()) }
        });
        up
    }

    fn nodes(&self) -> String {
        nodes(self.backend, NAME)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // A test that failed has said why already.
        let _removed = self.command(&["down", "--cluster"]).output();
    }
}

pub fn ctrl_c_while_the_cluster_is_made(site: &Site) {
    let half = Half::new(site);
    let mut up = half.begun();
    up.signal(Signal::INT);
    assert_eq!(up.end(), Some(130));
    assert_eq!(half.nodes(), "", "a try that is given up takes its half of a cluster with it");
}

pub fn killed_while_the_cluster_is_made(site: &Site) {
    let half = Half::new(site);
    let mut up = half.begun();
    up.signal(Signal::KILL);
    up.end();
    // Whoever comes next finds out what is left of it, and has a whole one in the end.
    let world = crate::support::root().join(ILL).display().to_string();
    let output = half.command(&["up", &world]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = half.command(&["down"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = half.command(&["down", "--cluster"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(half.nodes(), "");
}
