//! A Service against the Deployments: whom it selects, and whether they have its ports.

use meshquake_xds::object::{Node, Object};

use super::super::workload::{Deployment, namespace_of};
use super::super::{listed, with_nearest};
use super::Objects;
use crate::problem::{Problem, Problems};

pub(super) fn check(object: &Object, objects: &Objects<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(spec) = root.get("spec") else { return };
    let selected = selected(object, &spec, objects, problems);
    let ports = spec.items("ports");
    for (index, port) in ports.iter().enumerate() {
        if ports.len() > 1 && port.text("name").is_none() {
            problems.push(Problem::new(port.place(), "with more than one port each needs a `name`"));
        }
        for field in ["name", "port"] {
            let value = port.get(field);
            let earlier = ports[..index].iter().filter_map(|earlier| earlier.get(field));
            let twice = earlier
                .into_iter()
                .find(|earlier| value.as_ref().is_some_and(|one| one.value() == earlier.value()));
            if let (Some(value), Some(earlier)) = (value, twice) {
                let title = format!("two ports of {} have the same `{field}`", object.title());
                problems
                    .push(Problem::new(value.place(), title).help(format!("first at {}", earlier.place())));
            }
        }
        for deployment in &selected {
            target(port, deployment, problems);
        }
    }
}

fn selected<'o>(
    object: &Object,
    spec: &Node<'_>,
    objects: &'o Objects<'_>,
    problems: &mut Problems,
) -> Vec<&'o Deployment> {
    let wanted = spec.entries("selector");
    let there: Vec<&Deployment> =
        objects.deployments.iter().copied().filter(|one| one.namespace == namespace_of(object)).collect();
    let carries = |deployment: &&&Deployment| {
        wanted
            .iter()
            .all(|(name, value)| deployment.labels.get(*name).map(String::as_str) == Some(value.as_str()))
    };
    let selected: Vec<&Deployment> = there.iter().filter(carries).copied().collect();
    // On a cluster, pods come from more than Deployments.
    let by_others = || {
        let near = objects.iter().filter(|one| namespace_of(one) == namespace_of(object));
        let mut labels =
            near.filter_map(|one| Some(one.root().path("spec.template.metadata")?.texts("labels")));
        labels.any(|labels| {
            wanted.iter().all(|(name, value)| labels.get(*name).map(String::as_str) == Some(value.as_str()))
        })
    };
    if !selected.is_empty() || wanted.is_empty() || by_others() {
        return selected;
    }
    // The label that nobody carries is the likely slip; where each is carried by somebody, it is their combination.
    let nobody = wanted.iter().find(|(name, value)| {
        there.iter().all(|one| one.labels.get(*name).map(String::as_str) != Some(value.as_str()))
    });
    let problem = match nobody {
        Some((name, value)) => {
            let known: Vec<&str> =
                there.iter().filter_map(|one| one.labels.get(*name)).map(String::as_str).collect();
            let title = format!("no Deployment has pods with the label `{name}: {}`", value.as_str());
            if known.is_empty() {
                let names = there.iter().flat_map(|one| one.labels.keys()).map(String::as_str);
                let problem =
                    Problem::new(value.place(), title).allowed(format!("labels {}", listed(names.clone())));
                with_nearest(problem, name, names)
            } else {
                let problem = Problem::new(value.place(), title).allowed(listed(known.iter().copied()));
                with_nearest(problem, value.as_str(), known)
            }
        }
        None => {
            let title = format!("no Deployment has pods with all the labels that {} selects", object.title());
            Problem::new(object.place("/spec/selector"), title)
        }
    };
    problems.push(problem);
    Vec::new()
}

/// Whether the pods have the port that the Service leads to.
fn target(port: &Node<'_>, deployment: &Deployment, problems: &mut Problems) {
    let Some(target) = port.get("targetPort").or_else(|| port.get("port")) else { return };
    let good = match target.value().as_u64() {
        // Kubernetes lets a container keep its ports to itself; then a number cannot be checked.
        Some(number) => {
            deployment.ports.is_empty() || deployment.ports.iter().any(|one| u64::from(one.port) == number)
        }
        None => deployment.ports.iter().any(|one| one.name.as_deref() == Some(target.as_str())),
    };
    if good {
        return;
    }
    let wanted = target.value().as_str().map_or_else(|| target.value().to_string(), str::to_owned);
    let known: Vec<String> = deployment
        .ports
        .iter()
        .flat_map(|one| one.name.clone().into_iter().chain([one.port.to_string()]))
        .collect();
    let title = format!("the pods of Deployment `{}` have no port `{wanted}`", deployment.name);
    let problem = Problem::new(target.place(), title).allowed(listed(known.iter().map(String::as_str)));
    problems.push(with_nearest(problem, &wanted, known.iter().map(String::as_str)));
}
