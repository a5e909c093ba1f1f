//! Checks the objects of a world: each against the table of its kind, and all against each other.

mod references;
mod service;
mod template;
mod workload;
mod written;

use std::collections::BTreeMap;

use meshquake_xds::model::{Findings, Mesh, Settings};
use meshquake_xds::object::Object;

pub use self::written::Written;
use super::file::WorldFile;
use super::workload::{Deployment, namespace_of};
use super::{here, listed, with_nearest};
use crate::problem::{Place, Problem, Problems};

/// Namespaces that no file defines: Kubernetes brings the one, the mesh the other, for its gateway and for policies
/// that hold everywhere.
pub(super) const GIVEN_NAMESPACES: [&str; 2] = ["default", "istio-system"];

/// All objects, with what the checks look up in them.
struct Objects<'o> {
    all: Vec<&'o Written>,
    deployments: Vec<&'o Deployment>,
}

/// The images that world.yaml knows, and where it lies.
struct Images<'i> {
    names: Vec<&'i str>,
    file: &'i str,
}

/// Pushes everything that is wrong; hands back what is inert or probably not meant.
pub(super) fn check(objects: &[Object], file: &WorldFile, problems: &mut Problems) -> Findings {
    let images = Images { names: file.images.keys().map(String::as_str).collect(), file: &file.place.file };
    let written: Vec<Written> = objects.iter().cloned().map(Written::new).collect();
    let objects = Objects::new(written.iter().collect());
    let (_, findings) = check_all(&objects, &images, problems);
    world_file(&objects, file, problems);
    findings
}

/// Checks the objects of a world that is up, as they would be after a change; hands back the mesh that they make.
pub fn check_objects<'i>(
    objects: &[&Written],
    images: impl IntoIterator<Item = &'i String>,
) -> Result<Option<Mesh>, Problems> {
    let mut problems = Problems::default();
    let images = Images { names: images.into_iter().map(String::as_str).collect(), file: "world.yaml" };
    let (mesh, _) = check_all(&Objects::new(objects.to_vec()), &images, &mut problems);
    problems.into_result(mesh)
}

/// The mesh is only there when nothing is wrong with it.
fn check_all(
    objects: &Objects<'_>,
    images: &Images<'_>,
    problems: &mut Problems,
) -> (Option<Mesh>, Findings) {
    let mut findings = Findings::default();
    for written in &objects.all {
        let (object, alone) = (&written.object, written.alone());
        findings.inert.extend(alone.inert.iter().cloned());
        findings.warnings.extend(alone.warnings.iter().cloned());
        problems.extend(alone.problems.clone());
        objects.namespace_exists(object, problems);
        match object.kind() {
            "Deployment" => workload::check(object, objects, images, problems),
            "Service" => service::check(object, objects, problems),
            _ => {}
        }
    }
    let parts = objects.all.iter().map(|written| &written.alone().part);
    let mesh = match Mesh::from_parts(parts, Settings::default()) {
        Ok((mesh, more)) => {
            findings.inert.extend(more.inert);
            findings.warnings.extend(more.warnings);
            Some(mesh)
        }
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    findings.inert.sort();
    findings.inert.dedup();
    findings.warnings.sort();
    findings.warnings.dedup();
    (mesh, findings)
}

impl<'o> Objects<'o> {
    fn new(all: Vec<&'o Written>) -> Self {
        Self { deployments: all.iter().filter_map(|one| one.alone().deployment.as_ref()).collect(), all }
    }

    fn iter(&self) -> impl Iterator<Item = &'o Object> + Clone {
        self.all.iter().map(|written| &written.object)
    }

    fn named(&self, kind: &str, namespace: &str, name: &str) -> Option<&'o Object> {
        self.iter().find(|one| one.kind() == kind && one.name() == name && namespace_of(one) == namespace)
    }

    /// The names of a kind's objects in a namespace.
    fn names(&self, kind: &str, namespace: &str) -> Vec<&'o str> {
        let of_kind = self.iter().filter(|one| one.kind() == kind && namespace_of(one) == namespace);
        of_kind.map(|one| one.name()).collect()
    }

    fn namespace_exists(&self, object: &Object, problems: &mut Problems) {
        let namespace = namespace_of(object);
        let known = self.iter().filter(|one| one.kind() == "Namespace").map(Object::name);
        let given = GIVEN_NAMESPACES.contains(&namespace) || known.clone().any(|name| name == namespace);
        if object.kind() == "Namespace" || given {
            return;
        }
        let known: Vec<&str> = known.collect();
        let title = format!("there is no Namespace `{namespace}`");
        let problem =
            Problem::new(object.place("/metadata/namespace"), title).allowed(listed(known.iter().copied()));
        problems.push(with_nearest(problem, namespace, known));
    }
}

/// What world.yaml says about objects.
fn world_file(objects: &Objects<'_>, file: &WorldFile, problems: &mut Problems) {
    let mut servers: BTreeMap<u64, ()> = BTreeMap::new();
    for gateway in objects.iter().filter(|object| object.kind() == "Gateway") {
        let ports = gateway.root().get("spec").map(|spec| spec.items("servers")).unwrap_or_default();
        servers.extend(ports.iter().filter_map(|server| {
            let number = server.path("port.number")?;
            Some((number.value().as_u64()?, ()))
        }));
    }
    for (image, place) in file.images.values() {
        let texts = image.command.iter().chain(image.environment.values());
        for name in texts.flat_map(|text| here::services(text)) {
            let services = objects.iter().filter(|object| object.kind() == "Service");
            let known = services.map(|service| (service.name(), namespace_of(service))).collect::<Vec<_>>();
            let is = |(service, namespace): &(&str, &str)| {
                name == *service || name.split_once('.') == Some((*service, *namespace))
            };
            if !known.iter().any(is) {
                let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>();
                let problem = Problem::new(place, format!("there is no Service `{name}`"));
                problems.push(with_nearest(problem.allowed(listed(names.clone())), name, names));
            }
        }
    }
    for (port, (_, place)) in &file.publish {
        if !servers.contains_key(&u64::from(*port)) {
            let title = format!("no Gateway has a server at port `{port}`");
            let known: Vec<String> = servers.keys().map(u64::to_string).collect();
            problems.push(Problem::new(place, title).allowed(listed(known.iter().map(String::as_str))));
        }
    }
    let apps: Vec<&str> = objects.deployments.iter().map(|one| one.app()).collect();
    let mut app = |name: &str, place: &Place| {
        if !apps.contains(&name) {
            let title = format!("no Deployment has pods with the label `app: {name}`");
            let problem = Problem::new(place, title).allowed(listed(apps.iter().copied()));
            problems.push(with_nearest(problem, name, apps.iter().copied()));
        }
    };
    if let Some((entry, place)) = &file.entry {
        app(entry, place);
    }
    for (caller, callee, place) in &file.calls {
        app(caller, place);
        app(callee, place);
    }
    if objects.deployments.is_empty() {
        let problem = Problem::new(&file.place, "the world has no Deployment: nothing would run");
        // A cluster runs more than Deployments.
        let others = objects.iter().any(|object| object.root().path("spec.template").is_some());
        problems.push(if others { problem.beyond_local() } else { problem });
    }
}
