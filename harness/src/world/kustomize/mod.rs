//! A kustomize folder rendered to its objects, each value still knowing the line that set it.
//!
//! Rendered here, without `kubectl`: `resources`, `patches` (JSON 6902 and strategic merge), `images`, `namespace`,
//! `replicas` and `labels`, in the order in which kustomize applies them, and the objects in the order in which
//! `kubectl kustomize` prints them (its "legacy" order: what others need comes first). A folder that uses more of
//! kustomize is rendered by `kubectl` where that is installed, and refused by the field's name where it is not.

pub(super) mod edit;
mod file;
mod json_patch;
mod kubectl;
mod merge;
mod order;
mod target;
mod transform;

use std::path::{Path, PathBuf};

use crate::problem::{Place, Problem, Problems};
use crate::world::shown;
use crate::yaml::{self, Node, Value};
use file::{Kustomization, PatchBody};
use target::Id;

/// What a folder means.
#[derive(Debug)]
pub struct Rendered {
    /// One node for each object, ordered as `kubectl kustomize` orders them.
    pub objects: Vec<Node>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    pub by: Renderer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renderer {
    Own,
    /// The folder uses fields that only kustomize itself renders; places are lines of its output.
    Kubectl,
}

/// Renders the folder, or says everything that is wrong with it.
pub fn render(folder: &Path) -> Result<Rendered, Problems> {
    let mut rendering = Rendering::default();
    let place = Place::new(shown(folder), 1);
    let Ok(folder) = folder.canonicalize() else {
        return Err(Problems(vec![Problem::new(&place, "there is no such folder")]));
    };
    let resources = rendering.folder(&folder, &place);
    if !rendering.beyond.is_empty() {
        return kubectl::render(&folder, rendering);
    }
    if resources.is_empty() && rendering.problems.is_empty() {
        rendering.problems.push(Problem::new(&place, "the folder renders to no object at all"));
    }
    let mut objects: Vec<Node> = resources.into_iter().map(|resource| resource.node).collect();
    order::sort(&mut objects);
    let files = rendering.files;
    rendering.problems.into_result(Rendered { objects, files, by: Renderer::Own })
}

/// An object on its way through overlays, with every identity that it has had.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    node: Node,
    /// The first is as written, the last as it is now: a patch may name either.
    ids: Vec<Id>,
}

impl Resource {
    fn id(&self) -> &Id {
        self.ids.last().expect("an identity is noted when the object is read")
    }

    fn note_id(&mut self) {
        let id = Id::of(&self.node);
        if *self.id() != id {
            self.ids.push(id);
        }
    }
}

#[derive(Default)]
struct Rendering {
    problems: Problems,
    /// Fields of kustomize that are not rendered here.
    beyond: Vec<(String, Place)>,
    files: Vec<PathBuf>,
    /// The folders that are being rendered, outermost first.
    visiting: Vec<PathBuf>,
}

impl Rendering {
    /// The objects of one folder; `place` is where the folder was named.
    fn folder(&mut self, folder: &Path, place: &Place) -> Vec<Resource> {
        if self.visiting.iter().any(|outer| outer.starts_with(folder)) {
            let title = format!("{} contains, or is, a folder that builds on it: a cycle", shown(folder));
            self.problems
                .push(Problem::new(place, title).help("put what both share into a folder beside them"));
            return Vec::new();
        }
        let Some(file) = self.kustomization_of(folder, place) else { return Vec::new() };
        let Some(kustomization) = Kustomization::read(&file, &mut self.problems, &mut self.beyond) else {
            return Vec::new();
        };
        self.files.push(file);
        self.visiting.push(folder.to_owned());
        let mut resources = Vec::new();
        for (reference, place) in &kustomization.resources {
            for resource in self.reference(folder, reference, place) {
                self.add(resource, &mut resources);
            }
        }
        self.visiting.pop();
        self.change(folder, &kustomization, &mut resources);
        resources
    }

    fn kustomization_of(&mut self, folder: &Path, place: &Place) -> Option<PathBuf> {
        let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
        let mut found: Vec<PathBuf> =
            names.iter().map(|name| folder.join(name)).filter(|file| file.is_file()).collect();
        let title = match found.len() {
            1 => return found.pop(),
            0 => format!("{} has no kustomization.yaml", shown(folder)),
            _ => format!("{} has more than one kustomization file", shown(folder)),
        };
        self.problems.push(Problem::new(place, title));
        None
    }

    /// What one entry of `resources` stands for.
    fn reference(&mut self, folder: &Path, reference: &str, place: &Place) -> Vec<Resource> {
        if reference.contains("://") || reference.starts_with("git@") || reference.starts_with("github.com/")
        {
            let problem = Problem::new(place, format!("`{reference}` is not on this machine"))
                .help("worlds are made of local files only; copy it into the world");
            self.problems.push(problem);
            return Vec::new();
        }
        match folder.join(reference).canonicalize() {
            Ok(path) if path.is_dir() => self.folder(&path, place),
            Ok(path) => self.documents(folder, &path, reference, place),
            Err(_) => {
                self.problems.push(self.missing(folder, reference, place));
                Vec::new()
            }
        }
    }

    fn missing(&self, folder: &Path, reference: &str, place: &Place) -> Problem {
        let wanted = folder.join(reference);
        let beside: Vec<String> = wanted
            .parent()
            .and_then(|parent| std::fs::read_dir(parent).ok())
            .map(|entries| {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        let mut problem = Problem::new(place, format!("there is no file or folder `{reference}`"));
        let name = wanted.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(near) = crate::problem::nearest(&name, beside.iter().map(String::as_str)) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        problem
    }

    /// The objects of one file.
    fn documents(&mut self, folder: &Path, file: &Path, reference: &str, place: &Place) -> Vec<Resource> {
        let Some(documents) = self.read(folder, file, reference, place) else { return Vec::new() };
        let mut resources = Vec::new();
        for document in documents {
            self.objects_of(document, &mut resources);
        }
        resources
    }

    /// Reads a file that must lie inside the folder, as kustomize demands.
    fn read(&mut self, folder: &Path, file: &Path, reference: &str, place: &Place) -> Option<Vec<Node>> {
        if !file.starts_with(folder) {
            let problem =
                Problem::new(place, format!("`{reference}` lies outside of the folder {}", shown(folder)))
                    .help(
                        "kustomize reads files only from the folder itself; name a folder, or move the file",
                    );
            self.problems.push(problem);
            return None;
        }
        self.files.push(file.to_owned());
        match yaml::read(file, &shown(file)) {
            Ok(documents) => Some(documents),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn objects_of(&mut self, node: Node, resources: &mut Vec<Resource>) {
        let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        if text("kind").ends_with("List") && node.get("items").is_some_and(|items| items.as_list().is_some())
        {
            if let Some(Node { value: Value::List(items), .. }) = edit::take(node, "items") {
                for item in items {
                    self.objects_of(item, resources);
                }
            }
            return;
        }
        let before = self.problems.0.len();
        for key in ["apiVersion", "kind"] {
            if text(key).is_empty() {
                self.problems.push(Problem::new(&node.place, format!("an object without `{key}`")));
            }
        }
        let named = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::as_text);
        if named.is_none_or(str::is_empty) {
            self.problems.push(Problem::new(&node.place, "an object without a name (`metadata.name`)"));
        }
        if self.problems.0.len() == before {
            let id = Id::of(&node);
            resources.push(Resource { node, ids: vec![id] });
        }
    }

    fn add(&mut self, resource: Resource, resources: &mut Vec<Resource>) {
        if let Some(other) = resources.iter().find(|other| other.id() == resource.id()) {
            let problem = Problem::new(&resource.node.place, format!("{} is defined twice", resource.id()))
                .help(format!("it was first defined at {}", other.node.place));
            self.problems.push(problem);
            return;
        }
        resources.push(resource);
    }

    /// Applies what the folder itself changes, in the order of kustomize.
    fn change(&mut self, folder: &Path, kustomization: &Kustomization, resources: &mut Vec<Resource>) {
        for patch in &kustomization.patches {
            let documents = match &patch.body {
                PatchBody::Inline(documents) => Some(documents.clone()),
                PatchBody::File(reference, place) => match folder.join(reference).canonicalize() {
                    Ok(file) => self.read(folder, &file, reference, place),
                    Err(_) => {
                        self.problems.push(self.missing(folder, reference, place));
                        None
                    }
                },
            };
            for document in documents.unwrap_or_default() {
                target::apply(patch, &document, resources, &mut self.problems);
            }
        }
        if let Some((namespace, place)) = &kustomization.namespace {
            transform::namespace(namespace, place, resources, &mut self.beyond);
            self.refuse_doubles(resources);
        }
        for labels in &kustomization.labels {
            transform::labels(labels, resources);
        }
        for replicas in &kustomization.replicas {
            transform::replicas(replicas, resources, &mut self.problems);
        }
        for image in &kustomization.images {
            transform::image(image, resources);
        }
    }

    /// Two objects that differed only by namespace may be one after it was set.
    fn refuse_doubles(&mut self, resources: &mut Vec<Resource>) {
        let all = std::mem::take(resources);
        for resource in all {
            self.add(resource, resources);
        }
    }
}

#[cfg(test)]
mod tests;
