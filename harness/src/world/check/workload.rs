//! A Deployment against the rest of the world: identity, image, ports, probes, environment.

use meshquake_xds::object::{Node, Object};
use serde_json::Value;

use super::super::workload::{CHAOS_PORT, namespace_of};
use super::super::{listed, with_nearest};
use super::{Images, Objects, references};
use crate::problem::{Problem, Problems};

pub(super) fn check(object: &Object, objects: &Objects<'_>, images: &Images<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(template) = root.path("spec.template") else { return };
    selector(object, &template, objects, problems);
    annotations(&template, problems);
    let Some(pod) = template.get("spec") else { return };
    service_account(object, &pod, objects, problems);
    let containers = pod.items("containers");
    if containers.len() > 1 {
        let title = format!("{} has {} containers", object.title(), containers.len());
        let problem = Problem::new(containers[1].place(), title);
        problems.push(problem.allowed("one: on `local` a pod is one process and its Envoy").beyond_local());
    }
    if containers.is_empty() && pod.get("containers").is_some() {
        problems.push(Problem::new(pod.place(), format!("{} has no container", object.title())));
    }
    for container in &containers {
        image(container, images, problems);
        ports(container, problems);
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if let Some(probe) = container.get(probe) {
                self::probe(&probe, container, problems);
            }
        }
        references::environment(container, namespace_of(object), objects, problems);
    }
}

/// Kubernetes refuses a Deployment that does not select its own pods; two that select each other's fight for them.
fn selector(object: &Object, template: &Node<'_>, objects: &Objects<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(selector) = root.path("spec.selector.matchLabels") else { return };
    let labels = template.get("metadata").map(|metadata| metadata.texts("labels")).unwrap_or_default();
    let wanted = selector.fields();
    for (name, value) in &wanted {
        if labels.get(*name).map(String::as_str) != Some(value.as_str()) {
            let title = format!(
                "{} selects `{name}: {}`, which its own pods do not carry",
                object.title(),
                value.as_str()
            );
            let found =
                labels.get(*name).map_or("no such label".to_owned(), |found| format!("`{name}: {found}`"));
            problems.push(Problem::new(value.place(), title).found(found));
        }
    }
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

fn annotations(template: &Node<'_>, problems: &mut Problems) {
    const OURS: &str = "meshquake.dev/";
    let annotations =
        template.get("metadata").map(|metadata| metadata.entries("annotations")).unwrap_or_default();
    for (name, value) in annotations {
        if !name.starts_with(OURS) {
            continue;
        }
        if name != CHAOS_PORT {
            let problem = Problem::new(value.place(), format!("unknown annotation `{name}`"))
                .allowed(listed([CHAOS_PORT]));
            problems.push(with_nearest(problem, name, [CHAOS_PORT]));
        } else if !value.as_str().parse::<u16>().is_ok_and(|port| port > 0) {
            let title = format!("`{}` is not a port", value.as_str());
            problems.push(
                Problem::new(value.place(), title).allowed("a whole number from 1 to 65535, in quotes"),
            );
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

fn ports(container: &Node<'_>, problems: &mut Problems) {
    let ports = container.items("ports");
    for (index, port) in ports.iter().enumerate() {
        for field in ["name", "containerPort"] {
            let value = port.get(field);
            let twice = ports[..index].iter().find_map(|earlier| {
                let earlier = earlier.get(field)?;
                (Some(earlier.value()) == value.as_ref().map(Node::value)).then_some(earlier)
            });
            if let (Some(value), Some(earlier)) = (value, twice) {
                let title = format!("`{field}: {}` is given to two ports", plain(value.value()));
                problems
                    .push(Problem::new(value.place(), title).help(format!("first at {}", earlier.place())));
            }
        }
    }
}

/// A probe asks one thing, at a port that the container declares.
fn probe(probe: &Node<'_>, container: &Node<'_>, problems: &mut Problems) {
    let ways: Vec<Node<'_>> =
        ["httpGet", "tcpSocket", "exec"].iter().filter_map(|way| probe.get(way)).collect();
    if ways.len() != 1 && probe.get("grpc").is_none() {
        let title = format!("a probe asks in one way, this one in {}", ways.len());
        problems.push(Problem::new(probe.place(), title).allowed(listed(["httpGet", "tcpSocket", "exec"])));
    }
    for port in ways.iter().filter_map(|way| way.get("port")) {
        port_exists(&port, container, problems);
    }
}

fn port_exists(port: &Node<'_>, container: &Node<'_>, problems: &mut Problems) {
    let ports = container.items("ports");
    let numbers: Vec<String> =
        ports.iter().filter_map(|port| port.integer("containerPort")).map(|port| port.to_string()).collect();
    let names: Vec<&str> = ports.iter().filter_map(|port| port.text("name")).collect();
    let wanted = plain(port.value());
    let by_name = port.value().is_string();
    // Kubernetes lets a container keep its ports to itself; then a number cannot be checked.
    let good = if by_name {
        names.contains(&wanted.as_str())
    } else {
        numbers.is_empty() || numbers.contains(&wanted)
    };
    if !good {
        let known: Vec<&str> = numbers.iter().map(String::as_str).chain(names).collect();
        let problem = Problem::new(port.place(), format!("the container has no port `{wanted}`"))
            .allowed(listed(known.iter().copied()));
        problems.push(with_nearest(problem, &wanted, known));
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
