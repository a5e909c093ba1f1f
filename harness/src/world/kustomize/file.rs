//! A kustomization file: its shape, read strictly.

use std::path::Path;

use regex::Regex;

use super::edit;
use crate::problem::{Place, Problem, Problems};
use crate::world::shown;
use crate::yaml::{self, Entry, Fields, Node};

pub(super) struct Kustomization {
    pub resources: Vec<(String, Place)>,
    pub patches: Vec<Patch>,
    pub namespace: Option<(String, Place)>,
    pub labels: Vec<Labels>,
    pub replicas: Vec<Replicas>,
    pub images: Vec<ImageChange>,
}

pub(super) struct Patch {
    pub place: Place,
    pub target: Option<Target>,
    pub body: PatchBody,
}

pub(super) enum PatchBody {
    Inline(Vec<Node>),
    File(String, Place),
}

/// Which objects a patch is for; what is `None` matches all.
#[derive(Default)]
pub(super) struct Target {
    pub group: Option<Regex>,
    pub version: Option<Regex>,
    pub kind: Option<Regex>,
    pub name: Option<Regex>,
    pub namespace: Option<Regex>,
    pub labels: Option<Selector>,
    pub annotations: Option<Selector>,
}

/// The requirements of `labelSelector`, all of which must hold.
pub(super) struct Selector(Vec<Requirement>);

enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

pub(super) struct Labels {
    pub pairs: Vec<(String, String, Place)>,
    pub selectors: bool,
    pub templates: bool,
}

pub(super) struct Replicas {
    pub name: String,
    pub count: i64,
    pub place: Place,
}

pub(super) struct ImageChange {
    pub name: String,
    pub new_name: Option<String>,
    pub new_tag: Option<String>,
    pub digest: Option<String>,
    pub place: Place,
}

/// Fields that kustomize knows and we leave to it.
const BEYOND: &[&str] = &[
    "bases",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "components",
    "configMapGenerator",
    "configurations",
    "crds",
    "generatorOptions",
    "generators",
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
    "namePrefix",
    "nameSuffix",
    "openapi",
    "patchesJson6902",
    "patchesStrategicMerge",
    "replacements",
    "secretGenerator",
    "sortOptions",
    "transformers",
    "validators",
    "vars",
];

impl Kustomization {
    /// `None` when the file is not readable as one; smaller mistakes are problems, and the rest is read on.
    pub fn read(file: &Path, problems: &mut Problems, beyond: &mut Vec<(String, Place)>) -> Option<Self> {
        let shown_as = shown(file);
        let node = match yaml::read_one(file, &shown_as) {
            Ok(node) => node,
            Err(found) => {
                problems.extend(found);
                return None;
            }
        };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let source = Source { lines: text.lines().collect(), shown_as: &shown_as };
        let mut fields = Fields::of(&node, "kustomization.yaml", problems)?;
        if let Some(version) = fields.optional("apiVersion") {
            version.choice(
                &[("kustomize.config.k8s.io/v1beta1", ()), ("kustomize.config.k8s.io/v1", ())],
                problems,
            );
        }
        if let Some(kind) = fields.optional("kind") {
            kind.choice(&[("Kustomization", ())], problems);
        }
        // It names the folder, for nobody but its readers.
        fields.optional("metadata");
        for name in BEYOND {
            if let Some(node) = fields.unadvertised(name) {
                beyond.push(((*name).to_owned(), node.place.clone()));
            }
        }
        let resources = items(fields.optional("resources"), problems)
            .iter()
            .filter_map(|item| Some((item.words(problems)?.to_owned(), item.place.clone())))
            .collect();
        let namespace = fields
            .optional("namespace")
            .and_then(|node| Some((node.words(problems)?.to_owned(), node.place.clone())));
        let patches = items(fields.optional("patches"), problems)
            .iter()
            .filter_map(|item| patch(item, &source, problems, beyond))
            .collect();
        let labels = items(fields.optional("labels"), problems)
            .iter()
            .filter_map(|item| labels(item, problems, beyond))
            .collect();
        let replicas = items(fields.optional("replicas"), problems)
            .iter()
            .filter_map(|item| replicas(item, problems))
            .collect();
        let images = items(fields.optional("images"), problems)
            .iter()
            .filter_map(|item| image(item, problems, beyond))
            .collect();
        fields.finish(problems);
        Some(Self { resources, patches, namespace, labels, replicas, images })
    }
}

fn items<'n>(node: Option<&'n Node>, problems: &mut Problems) -> &'n [Node] {
    node.and_then(|node| node.list(problems)).unwrap_or_default()
}

fn words(node: Option<&Node>, problems: &mut Problems) -> Option<String> {
    node.and_then(|node| node.words(problems)).map(str::to_owned)
}

struct Source<'t> {
    lines: Vec<&'t str>,
    shown_as: &'t str,
}

impl Source<'_> {
    /// YAML or JSON inside of a text, its places moved to where the text stands in the file, below its key.
    fn inside(&self, key: &Place, text: &str, problems: &mut Problems) -> Option<Vec<Node>> {
        let first = key.line;
        let header =
            self.lines.get(first as usize - 1).map(|line| line.split(" #").next().unwrap_or(line).trim_end());
        // In a literal block each line stands for itself; any other text is told as one line.
        let block = header.is_some_and(|line| {
            line.trim_end_matches(|c: char| c == '-' || c == '+' || c.is_ascii_digit()).ends_with('|')
        });
        let shift = |place: &mut Place| place.line = if block { first + place.line } else { first };
        match yaml::parse(text, self.shown_as) {
            Ok(mut documents) => {
                documents.iter_mut().for_each(|document| edit::each_place(document, &shift));
                Some(documents)
            }
            Err(mut found) => {
                found.0.iter_mut().for_each(|problem| shift(&mut problem.place));
                problems.extend(found);
                None
            }
        }
    }
}

fn entry_of<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    node.as_map()?.iter().find(|entry| entry.key == key)
}

fn patch(
    patch: &Node,
    source: &Source<'_>,
    problems: &mut Problems,
    beyond: &mut Vec<(String, Place)>,
) -> Option<Patch> {
    let mut fields = Fields::of(patch, "a patch", problems)?;
    let body = fields.one_of(&["patch", "path"], problems);
    let target = fields.optional("target").and_then(|node| target(node, problems));
    if let Some(options) = fields.optional("options") {
        beyond.push(("patches.options".to_owned(), options.place.clone()));
    }
    fields.finish(problems);
    let body = match body? {
        ("path", node) => PatchBody::File(node.words(problems)?.to_owned(), node.place.clone()),
        (_, node) => {
            let text = node.words(problems)?;
            let entry = entry_of(patch, "patch");
            PatchBody::Inline(source.inside(
                entry.map_or(&node.place, |entry| &entry.place),
                text,
                problems,
            )?)
        }
    };
    Some(Patch { place: patch.place.clone(), target, body })
}

fn target(node: &Node, problems: &mut Problems) -> Option<Target> {
    let mut fields = Fields::of(node, "a patch's target", problems)?;
    let mut pattern = |name| {
        let node = fields.optional(name)?;
        let text = node.words(problems)?;
        // Anchored, as kustomize does it: `api` does not match `api-gateway`.
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Some(regex),
            Err(_) => {
                problems.push(Problem::new(&node.place, format!("`{text}` is not a regular expression")));
                None
            }
        }
    };
    let mut target = Target {
        group: pattern("group"),
        version: pattern("version"),
        kind: pattern("kind"),
        name: pattern("name"),
        namespace: pattern("namespace"),
        ..Target::default()
    };
    target.labels = fields.optional("labelSelector").and_then(|node| Selector::read(node, problems));
    target.annotations =
        fields.optional("annotationSelector").and_then(|node| Selector::read(node, problems));
    fields.finish(problems);
    Some(target)
}

impl Selector {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = node.words(problems)?;
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            match Requirement::parse(part.trim()) {
                Some(requirement) => requirements.push(requirement),
                None => {
                    let problem =
                        Problem::new(&node.place, format!("`{}` is not a label selector", part.trim()))
                            .allowed(
                                "`a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas",
                            );
                    problems.push(problem);
                    return None;
                }
            }
        }
        Some(Self(requirements))
    }

    pub fn matches(&self, labels: Option<&Node>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Node::as_text);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                value(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(key, values) => {
                !value(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
        })
    }
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        let key = |text: &str| {
            let text = text.trim();
            let good =
                !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
            good.then(|| text.to_owned())
        };
        if let Some(rest) = text.strip_prefix('!') {
            return key(rest).map(Self::Missing);
        }
        for (operator, negative) in [(" notin ", true), (" in ", false)] {
            if let Some((name, values)) = text.split_once(operator) {
                let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
                let values = values.split(',').map(|value| value.trim().to_owned()).collect();
                let name = key(name)?;
                return Some(if negative { Self::NotIn(name, values) } else { Self::In(name, values) });
            }
        }
        for (operator, negative) in [("!=", true), ("==", false), ("=", false)] {
            if let Some((name, value)) = text.split_once(operator) {
                let (name, values) = (key(name)?, vec![value.trim().to_owned()]);
                return Some(if negative { Self::NotIn(name, values) } else { Self::In(name, values) });
            }
        }
        key(text).map(Self::Exists)
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn labels(node: &Node, problems: &mut Problems, beyond: &mut Vec<(String, Place)>) -> Option<Labels> {
    let mut fields = Fields::of(node, "an entry of `labels`", problems)?;
    let pairs = fields.required("pairs", problems).and_then(|node| node.map(problems)).unwrap_or_default();
    let pairs = pairs
        .iter()
        .filter_map(|pair| Some((pair.key.clone(), pair.node.text(problems)?.to_owned(), pair.place.clone())))
        .collect();
    let mut flag = |name| fields.optional(name).and_then(|node| node.boolean(problems)).unwrap_or(false);
    let (selectors, templates) = (flag("includeSelectors"), flag("includeTemplates"));
    if let Some(more) = fields.optional("fields") {
        beyond.push(("labels.fields".to_owned(), more.place.clone()));
    }
    fields.finish(problems);
    Some(Labels { pairs, selectors, templates })
}

fn replicas(node: &Node, problems: &mut Problems) -> Option<Replicas> {
    let mut fields = Fields::of(node, "an entry of `replicas`", problems)?;
    let name = words(fields.required("name", problems), problems);
    let count = fields.required("count", problems).and_then(|node| node.integer(0..=1000, problems));
    fields.finish(problems);
    Some(Replicas { name: name?, count: count?, place: node.place.clone() })
}

fn image(node: &Node, problems: &mut Problems, beyond: &mut Vec<(String, Place)>) -> Option<ImageChange> {
    let mut fields = Fields::of(node, "an entry of `images`", problems)?;
    let name = words(fields.required("name", problems), problems);
    let new_name = words(fields.optional("newName"), problems);
    let new_tag = words(fields.optional("newTag"), problems);
    let digest = words(fields.optional("digest"), problems);
    if let Some(suffix) = fields.optional("tagSuffix") {
        beyond.push(("images.tagSuffix".to_owned(), suffix.place.clone()));
    }
    fields.finish(problems);
    Some(ImageChange { name: name?, new_name, new_tag, digest, place: node.place.clone() })
}
