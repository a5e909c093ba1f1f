//! A Deployment against the rest of the world: others' pods, identity, image, environment.

use meshquake_xds::object::{Node, Object};

use super::super::workload::namespace_of;
use super::super::{listed, with_nearest};
use super::{Images, Objects, references};
use crate::problem::{Problem, Problems};

pub(super) fn check(object: &Object, objects: &Objects<'_>, images: &Images<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(template) = root.path("spec.template") else { return };
    selector(object, objects, problems);
    let Some(pod) = template.get("spec") else { return };
    service_account(object, &pod, objects, problems);
    for container in &pod.items("containers") {
        image(container, images, problems);
        references::environment(container, namespace_of(object), objects, problems);
    }
}

/// Two that select each other's pods fight for them.
fn selector(object: &Object, objects: &Objects<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(selector) = root.path("spec.selector.matchLabels") else { return };
    let wanted = selector.fields();
    for other in &objects.deployments {
        let own = other.name == object.name();
        let carries = |(name, value): &(&str, Node<'_>)| {
            other.labels.get(*name).map(String::as_str) == Some(value.as_str())
        };
        if !own && other.namespace == namespace_of(object) && !wanted.is_empty() && wanted.iter().all(carries)
        {
            let title = format!("{} selects the pods of Deployment `{}` as well", object.title(), other.name);
            let problem = Problem::new(selector.place(), title);
            problems.push(problem.help("add a label that only its own pods carry, such as `version`"));
        }
    }
}

fn service_account(object: &Object, pod: &Node<'_>, objects: &Objects<'_>, problems: &mut Problems) {
    let Some(account) = pod.get("serviceAccountName") else { return };
    let (name, namespace) = (account.as_str(), namespace_of(object));
    if name == "default" || objects.named("ServiceAccount", namespace, name).is_some() {
        return;
    }
    let known = objects.names("ServiceAccount", namespace);
    let title = format!("there is no ServiceAccount `{name}` in namespace {namespace}");
    let problem = Problem::new(account.place(), title).allowed(listed(known.iter().copied()));
    problems.push(with_nearest(problem, name, known));
}

fn image(container: &Node<'_>, images: &Images<'_>, problems: &mut Problems) {
    let Some(image) = container.get("image") else { return };
    let name = image.as_str();
    if name.is_empty() || images.names.contains(&name) {
        return;
    }
    let known = images.names.clone();
    let title = format!("world.yaml does not say what the image `{name}` is on this machine");
    let problem = Problem::new(image.place(), title).allowed(listed(known.iter().copied()));
    // A cluster pulls what nobody has built.
    let problem = with_nearest(problem, name, known).beyond_local();
    problems.push(if problem.help.is_none() {
        problem.help(format!("add it under `images` in {}", images.file))
    } else {
        problem
    });
}
