//! Tools that tests write: small scripts, which note what they were called with.

use std::path::Path;

use super::engine::Engine;
use super::load::{Loader, Way};
use super::maker::Maker;
use super::tool::{Tool, Which};
use crate::backend::cluster::settings::Settings;
use crate::parts::fake;

/// A tool that runs `script`; each of its calls is a line of the file `calls` beside it.
pub fn tool(folder: &Path, which: Which, script: &str) -> Tool {
    let program = folder.join(which.name());
    let text =
        format!("#!/bin/sh\ncd {}\necho \"{} $*\" >>calls\n{script}\n", folder.display(), which.name());
    fake::program(&program, &text);
    Tool { which, program, kubeconfig: None }
}

/// A loader for a kind cluster of one node, by an engine that runs `docker`.
pub fn loader(folder: &Path, docker: &str) -> Loader {
    let engine = Engine::of(tool(folder, Which::Docker, docker));
    let kind = tool(folder, Which::Kind, "");
    let way = Way::Maker { maker: Maker::Kind, tool: kind, settings: Box::new(Settings::default()) };
    Loader { way, engine, nodes: vec!["node".to_owned()] }
}

/// What was called so far.
pub fn calls(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
