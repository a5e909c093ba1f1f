//! A world: a kustomize folder of Kubernetes and Istio YAML with a `world.yaml`, rendered to checked objects.
//!
//! ```text
//! name ──find──► folder ──kustomize──► objects ──check──► in their layout ──check──► World
//!                   └──► world.yaml (images, what is published, journeys, calls) ──┘
//! ```

pub mod build;
mod check;
pub mod fields;
mod file;
mod find;
pub mod here;
pub mod kustomize;
mod layout;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use meshquake_xds::model::Findings;
use meshquake_xds::object::Object;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::parts::nss_wrapper;
use crate::problem::{Place, Problem, Problems, nearest};
pub use check::{Written, check_objects};
pub use file::{Build, Image};
pub use kustomize::Renderer;
pub use layout::Layout;
pub use workload::{ContainerPort, Deployment, Edge, SCRAPE, Workload, may_be_read};

/// Images with what runs for them.
pub type Images = BTreeMap<String, Image>;

/// A checked world: what runs, and what Kubernetes cannot say about it.
#[derive(Clone, Debug)]
pub struct World {
    /// `pinning`, or `pinning/unpinned` for its overlay; with the layout behind it where that is not `single`.
    pub name: String,
    pub folder: PathBuf,
    /// Where its world.yaml is: the same, or a folder above.
    pub home: PathBuf,
    /// One sentence for people.
    pub about: String,
    /// What others need comes first.
    pub objects: Vec<Object>,
    /// Image to what it is on this machine.
    pub images: BTreeMap<String, Image>,
    /// Port of the gateway to port of the host.
    pub publish: BTreeMap<u16, u16>,
    pub journeys: Option<PathBuf>,
    /// The app behind the gateway.
    pub entry: Option<String>,
    /// Which app calls which.
    pub calls: Vec<(String, String)>,
    /// What is inert on `local`, and what is probably not meant.
    pub findings: Findings,
    /// What is good on a cluster and more than `local` can do.
    pub beyond_local: Problems,
    /// Every file that the world is made of.
    pub files: Vec<PathBuf>,
    pub rendered_by: Renderer,
}

impl World {
    /// What is probably not meant, or takes something away that a run may rest on.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.findings.warnings.iter().map(|warning| format!("{}: {}", warning.place, warning.title))
    }

    /// Names that a program is told and can hardly look up where it is a process of this machine.
    pub fn unnamed_here(&self) -> Vec<String> {
        if nss_wrapper::find().is_none() { here::unnamed(self) } else { vec![] }
    }

    /// Loads a world by name or path, perhaps one of its overlays, or says everything that is wrong with it.
    ///
    /// Paths are tried from `near`, then from the current folder; bare names stand for folders in `services/deploy/`.
    /// `place` is where the world was named.
    pub fn load(name: &str, overlay: Option<&str>, near: &Path, place: &Place) -> Result<Self, Problems> {
        Self::laid(Layout::Single, name, overlay, near, place)
    }

    /// [`World::load`], in this layout.
    pub fn laid(
        layout: Layout,
        name: &str,
        overlay: Option<&str>,
        near: &Path,
        place: &Place,
    ) -> Result<Self, Problems> {
        let found = find::find(name, overlay, near, place).map_err(|problem| Problems(vec![problem]))?;
        let mut problems = Problems::default();
        let rendered = kustomize::render(&found.folder);
        let file = file::find(&found.folder, &mut problems).and_then(|path| {
            let shape = file::WorldFile::read(&path, &mut problems)?;
            Some((path, shape))
        });
        let (rendered, (file_path, file)) = match (rendered, file) {
            (Ok(rendered), Some(file)) => (rendered, file),
            (rendered, _) => {
                if let Err(found) = rendered {
                    problems.extend(found);
                }
                return Err(all(problems));
            }
        };
        let mut objects = objects(&rendered.objects);
        let mut findings = check::check(&objects, &file, &mut problems);
        // What is wrong is told in the names that were written.
        if layout != Layout::Single && problems.0.iter().all(|problem| problem.beyond_local) {
            match layout.lay(rendered.objects) {
                Ok(laid) => {
                    objects = self::objects(&laid);
                    problems = Problems::default();
                    findings = check::check(&objects, &file, &mut problems);
                }
                Err(found) => problems.extend(found),
            }
        }
        let home = file_path.parent().map_or_else(|| found.folder.clone(), Path::to_owned);
        let mut files = rendered.files;
        files.push(file_path);
        files.sort();
        files.dedup();
        let (wrong, mut beyond_local) = problems.split();
        if !wrong.is_empty() {
            beyond_local.extend(wrong);
            return Err(all(beyond_local));
        }
        Ok(Self {
            name: layout.named(found.name),
            folder: found.folder,
            home,
            about: file.about,
            objects,
            images: file.images.into_iter().map(|(name, (image, _))| (name, image)).collect(),
            publish: file.publish.into_iter().map(|(gateway, (host, _))| (gateway, host)).collect(),
            journeys: file.journeys.map(|(folder, _)| folder),
            entry: file.entry.map(|(app, _)| app),
            calls: file.calls.into_iter().map(|(caller, callee, _)| (caller, callee)).collect(),
            findings,
            beyond_local: all(beyond_local),
            files,
            rendered_by: rendered.by,
        })
    }

    /// What only a cluster can run of it.
    pub fn beyond_local(&self) -> &Problems {
        &self.beyond_local
    }

    pub fn deployments(&self) -> Vec<Deployment> {
        self.of_kind("Deployment").filter_map(Deployment::read).collect()
    }

    pub fn deployment(&self, name: &str) -> Option<Deployment> {
        self.deployments().into_iter().find(|deployment| deployment.name == name)
    }

    /// The Services as objects.
    pub fn services(&self) -> Vec<&Object> {
        self.of_kind("Service").collect()
    }

    /// Where its Deployments, its Services and the routes to them lie.
    pub fn namespaces(&self) -> Vec<String> {
        let kinds = ["Deployment", "Service", "VirtualService"];
        let objects = self.objects.iter().filter(|object| kinds.contains(&object.kind()));
        let all: BTreeSet<&str> = objects.map(workload::namespace_of).collect();
        all.into_iter().map(str::to_owned).collect()
    }

    /// The Deployment, app or service whose name is nearest to a word that is none of them.
    pub fn nearest(&self, word: &str) -> Option<String> {
        let deployments = self.deployments();
        let mut names: Vec<&str> =
            deployments.iter().flat_map(|one| [one.name.as_str(), one.app()]).collect();
        names.extend(self.of_kind("Service").map(Object::name));
        nearest(word, names).map(str::to_owned)
    }

    /// Every pair of workloads along the world's calls.
    pub fn edges(&self) -> Vec<Edge> {
        let workloads: Vec<Workload> = self.deployments().iter().map(Deployment::workload).collect();
        let of = |app: &str| workloads.iter().filter(move |workload| workload.app == app).collect::<Vec<_>>();
        let mut edges = Vec::new();
        for (caller, callee) in &self.calls {
            for source in of(caller) {
                for destination in of(callee) {
                    edges.push(Edge { source: source.clone(), destination: destination.clone() });
                }
            }
        }
        edges
    }

    /// Sets numbers of pods, by the name of a Deployment or of an app, which then holds for all its versions.
    pub fn set_replicas(&mut self, wanted: &BTreeMap<String, (u32, Place)>) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (name, (count, place)) in wanted {
            let mut hit = false;
            for object in self.objects.iter_mut().filter(|object| object.kind() == "Deployment") {
                if Deployment::read(object).is_some_and(|one| one.name == *name || one.app() == name) {
                    object.value["spec"]["replicas"] = Json::from(*count);
                    object.places.set("/spec/replicas", place.clone());
                    hit = true;
                }
            }
            if !hit {
                problems.push(self.unknown(name, place));
            }
        }
        problems.into_result(())
    }

    fn unknown(&self, name: &str, place: &Place) -> Problem {
        let deployments = self.deployments();
        let names: Vec<&str> = deployments.iter().map(|one| one.name.as_str()).collect();
        let title = format!("there is no Deployment or app `{name}` in world `{}`", self.name);
        let problem = Problem::new(place, title).allowed(listed(names.iter().copied()));
        let apps = deployments.iter().map(Deployment::app);
        with_nearest(problem, name, names.iter().copied().chain(apps))
    }

    /// A fingerprint of all objects and of what runs for their images; equal worlds have equal ones.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for object in &self.objects {
            hasher.update(canonical(&object.value));
            hasher.update(b"\n");
        }
        for (name, image) in &self.images {
            hasher.update(format!("{name} {:?} {:?}\n", image.command, image.environment));
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind() == kind)
    }
}

fn objects(nodes: &[crate::yaml::Node]) -> Vec<Object> {
    nodes.iter().map(crate::yaml::Node::to_object).collect()
}

/// JSON with its keys in order, so that two ways to write an object have one text.
fn canonical(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let sorted: BTreeMap<&String, &Json> = map.iter().collect();
            let fields: Vec<String> = sorted
                .iter()
                .map(|(key, value)| format!("{}:{}", Json::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

fn all(problems: Problems) -> Problems {
    match problems.into_result(()) {
        Ok(()) => Problems::default(),
        Err(problems) => problems,
    }
}

/// `` `a`, `b` ``, each name once and in order.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "there is none".to_owned() } else { quoted.join(", ") }
}

fn with_nearest<'n>(problem: Problem, word: &str, names: impl IntoIterator<Item = &'n str>) -> Problem {
    match nearest(word, names) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// A path as messages show it: from the current folder where it lies beneath it, whole otherwise.
pub fn shown(path: &Path) -> String {
    let mut whole = PathBuf::new();
    let here = std::env::current_dir().unwrap_or_default();
    for part in here.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    let short = whole.strip_prefix(&here).ok().filter(|short| !short.as_os_str().is_empty());
    short.unwrap_or(&whole).display().to_string()
}

#[cfg(test)]
mod tests;
