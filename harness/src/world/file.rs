//! `world.yaml`: what Kubernetes cannot say about a world.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shown;
use crate::problem::{Place, Problem, Problems};
use crate::yaml::{self, Fields, Node};

/// What an image is on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// In place of the image's entrypoint; the container's `args` follow.
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub build: Option<Build>,
}

/// A package of the workspace that the world lies in, to be built before the world starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Build {
    pub package: String,
    pub features: Vec<String>,
}

/// The file's content with its places.
pub(super) struct WorldFile {
    pub place: Place,
    pub about: String,
    pub images: BTreeMap<String, (Image, Place)>,
    pub publish: BTreeMap<u16, (u16, Place)>,
    pub journeys: Option<(PathBuf, Place)>,
    pub entry: Option<(String, Place)>,
    pub calls: Vec<(String, String, Place)>,
}

/// How far above an overlay its world's file may be.
const LEVELS: usize = 4;

/// The world's file: its own, or that of the nearest folder above.
pub(super) fn find(folder: &Path, problems: &mut Problems) -> Option<PathBuf> {
    for level in folder.ancestors().take(LEVELS) {
        let file = level.join("world.yaml");
        if file.is_file() {
            return Some(file);
        }
        // Above the workspace nothing belongs to this world.
        if level.join("Cargo.lock").is_file() || level.join(".git").exists() {
            break;
        }
    }
    let problem =
        Problem::new(&Place::new(shown(folder), 1), "neither this folder nor one above it has a world.yaml")
            .help("it names the images' commands, what is published, and where the journeys are");
    problems.push(problem);
    None
}

impl WorldFile {
    pub fn read(path: &Path, problems: &mut Problems) -> Option<Self> {
        let node = match yaml::read_one(path, &shown(path)) {
            Ok(node) => node,
            Err(found) => {
                problems.extend(found);
                return None;
            }
        };
        let mut fields = Fields::of(&node, "world.yaml", problems)?;
        if let Some(version) = fields.required("apiVersion", problems) {
            version.choice(&[("meshquake/v1", ())], problems);
        }
        if let Some(kind) = fields.required("kind", problems) {
            kind.choice(&[("World", ())], problems);
        }
        let about =
            fields.required("about", problems).and_then(|node| node.words(problems)).unwrap_or_default();
        let images =
            fields.required("images", problems).map(|node| images(node, problems)).unwrap_or_default();
        let publish = fields.optional("publish").map(|node| publish(node, problems)).unwrap_or_default();
        let above = path.parent().unwrap_or(Path::new("."));
        let journeys = fields.optional("journeys").and_then(|node| journeys(node, above, problems));
        let entry = fields
            .optional("entry")
            .and_then(|node| Some((node.words(problems)?.to_owned(), node.place.clone())));
        let calls = fields.optional("calls").map(|node| calls(node, problems)).unwrap_or_default();
        fields.finish(problems);
        Some(Self {
            place: node.place.clone(),
            about: about.to_owned(),
            images,
            publish,
            journeys,
            entry,
            calls,
        })
    }
}

fn images(node: &Node, problems: &mut Problems) -> BTreeMap<String, (Image, Place)> {
    let mut images = BTreeMap::new();
    for entry in node.map(problems).unwrap_or_default() {
        let Some(mut fields) = Fields::of(&entry.node, "an image", problems) else { continue };
        let command =
            fields.required("command", problems).map(|node| command(node, problems)).unwrap_or_default();
        let environment =
            fields.optional("environment").map(|node| texts(node, problems)).unwrap_or_default();
        let build = fields.optional("build").and_then(|node| build(node, problems));
        fields.finish(problems);
        images.insert(entry.key.clone(), (Image { command, environment, build }, entry.place.clone()));
    }
    images
}

fn command(node: &Node, problems: &mut Problems) -> Vec<String> {
    let items = node.list(problems).unwrap_or_default();
    if items.is_empty() && node.as_list().is_some() {
        problems.push(Problem::new(&node.place, "the command is empty").help("begin it with a program"));
    }
    items.iter().filter_map(|item| item.words(problems)).map(str::to_owned).collect()
}

fn texts(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let entries = node.map(problems).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), entry.node.text(problems)?.to_owned())))
        .collect()
}

fn build(node: &Node, problems: &mut Problems) -> Option<Build> {
    let mut fields = Fields::of(node, "`build`", problems)?;
    let package = fields.required("cargo", problems).and_then(|node| node.words(problems));
    let features = fields.optional("features").and_then(|node| node.list(problems)).unwrap_or_default();
    let features = features.iter().filter_map(|item| item.words(problems)).map(str::to_owned).collect();
    fields.finish(problems);
    Some(Build { package: package?.to_owned(), features })
}

fn publish(node: &Node, problems: &mut Problems) -> BTreeMap<u16, (u16, Place)> {
    let mut ports = BTreeMap::new();
    let mut hosts: BTreeMap<u16, Place> = BTreeMap::new();
    for entry in node.map(problems).unwrap_or_default() {
        let gateway = entry.key.parse::<u16>().ok().filter(|port| *port > 0);
        if gateway.is_none() {
            let title = format!("`{}` is not a port of the gateway", entry.key);
            problems.push(Problem::new(&entry.place, title).allowed("a whole number from 1 to 65535"));
        }
        let host = entry.node.integer(1..=65535, problems).and_then(|port| u16::try_from(port).ok());
        let (Some(gateway), Some(host)) = (gateway, host) else { continue };
        if let Some(first) = hosts.insert(host, entry.place.clone()) {
            let title = format!("port {host} of this machine is given away twice");
            problems.push(Problem::new(&entry.place, title).help(format!("first at {first}")));
        }
        ports.insert(gateway, (host, entry.place.clone()));
    }
    ports
}

fn journeys(node: &Node, above: &Path, problems: &mut Problems) -> Option<(PathBuf, Place)> {
    let name = node.words(problems)?;
    let folder = above.join(name);
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let any = files.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|end| end == "yaml"));
    if !any {
        let what = if folder.is_dir() { "holds no journey (`*.yaml`)" } else { "is no folder" };
        let problem = Problem::new(&node.place, format!("`{name}` {what}"));
        problems.push(problem.help(format!("paths are taken from {}", shown(above))));
        return None;
    }
    Some((folder, node.place.clone()))
}

fn calls(node: &Node, problems: &mut Problems) -> Vec<(String, String, Place)> {
    let mut calls = Vec::new();
    for item in node.list(problems).unwrap_or_default() {
        match item.as_list() {
            Some([caller, callee]) => {
                if let (Some(caller), Some(callee)) = (caller.words(problems), callee.words(problems)) {
                    calls.push((caller.to_owned(), callee.to_owned(), item.place.clone()));
                }
            }
            _ => {
                let problem = Problem::new(&item.place, format!("expected a call, found {item}"));
                problems.push(problem.allowed("a caller and whom it calls: `[front, back]`"));
            }
        }
    }
    calls
}
