//! A Deployment by itself: its own pods, their annotations, ports and probes; and of whatever has a template of pods,
//! whether their metrics are read.

use meshquake_xds::object::{Node, Object};
use serde_json::Value;

use super::super::workload::{CHAOS_PORT, SCRAPE, may_be_read};
use super::super::{listed, with_nearest};
use crate::problem::{Problem, Problems};

pub(super) fn check(object: &Object, problems: &mut Problems) {
    let root = object.root();
    let Some(template) = root.path("spec.template") else { return };
    selector(object, &template, problems);
    annotations(&template, problems);
    let Some(pod) = template.get("spec") else { return };
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
        ports(container, problems);
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if let Some(probe) = container.get(probe) {
                self::probe(&probe, container, problems);
            }
        }
    }
}

/// Pods that are not to be read leave whatever rests on their metrics without data.
pub(super) fn not_scraped(object: &Object) -> Option<Problem> {
    let root = object.root();
    let annotations = root.path("spec.template.metadata")?.entries("annotations");
    let (_, value) = annotations.into_iter().find(|(name, _)| *name == SCRAPE)?;
    if may_be_read(Some(value.as_str())) {
        return None;
    }
    let title = format!("nobody reads the metrics of pods that say `{SCRAPE}: \"{}\"`", value.as_str());
    Some(Problem::new(value.place(), title))
}

/// Kubernetes refuses a Deployment that does not select its own pods.
fn selector(object: &Object, template: &Node<'_>, problems: &mut Problems) {
    let root = object.root();
    let Some(selector) = root.path("spec.selector.matchLabels") else { return };
    let labels = template.get("metadata").map(|metadata| metadata.texts("labels")).unwrap_or_default();
    for (name, value) in &selector.fields() {
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
