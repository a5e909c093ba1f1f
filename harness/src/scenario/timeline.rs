//! The timeline of a scenario: steps read into checked actions.

use std::collections::BTreeMap;
use std::time::Duration;

use meshquake_xds::model::ObjectId;
use meshquake_xds::source::{Problem, Problems};

use super::names::{Names, Workload, listed, unknown};
use crate::action::fault::MeshFault;
use crate::action::kill::Kill;
use crate::action::mesh::{Fault, Scope};
use crate::action::misbehave::Misbehave;
use crate::action::scale::Scale;
use crate::action::{Action, Step};
use crate::backend::chaos::Misbehaviour;
use crate::yaml::{Fields, Node};

const KINDS: [&str; 5] = ["kill", "scale", "abort", "delay", "misbehave"];

pub fn read(node: &Node, names: &Names, problems: &mut Problems) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for entry in node.list(problems).unwrap_or_default() {
        if let Some(step) = read_step(entry, names, &steps, problems) {
            steps.push(step);
        }
    }
    check_overlaps(&steps, problems);
    steps.sort_by_key(|step| step.at);
    steps
}

fn read_step(node: &Node, names: &Names, earlier: &[Step], problems: &mut Problems) -> Option<Step> {
    let mut fields = Fields::of(node, "a step of the timeline", problems)?;
    let at = fields.required("at", problems).and_then(|at| at.duration(problems));
    let lasts = fields.optional("for").map(|lasts| (lasts, lasts.duration(problems)));
    let given = fields.optional("name").and_then(|name| name.words(problems));
    let kind = fields.one_of(&KINDS, problems);
    fields.finish(problems);
    let (kind, body) = kind?;
    let name = match given {
        Some(given) => given.to_owned(),
        None => default_name(kind, earlier),
    };
    if earlier.iter().any(|step| step.name == name) {
        let problem = Problem::new(&node.place, format!("two actions are called `{name}`"));
        problems.push(problem.help("give one of them another `name`"));
    }
    let action = match kind {
        "kill" => read_kill(body, names, problems).map(Action::Kill),
        "scale" => read_scale(body, names, problems).map(Action::Scale),
        "abort" | "delay" => read_fault(kind, &name, body, names, problems).map(Action::Fault),
        _ => read_misbehave(body, names, problems).map(Action::Misbehave),
    };
    match (&lasts, kind) {
        (Some((lasts, _)), "kill") => {
            let problem = Problem::new(&lasts.place, "a kill happens at one moment and has no `for`");
            problems.push(problem.help("its pods are replaced by their Deployment"));
        }
        (None, kind) if kind != "kill" => {
            let problem = Problem::new(&node.place, format!("`{kind}` lacks the field `for`"));
            problems.push(problem.help("say how long it lasts, such as `for: 8s`; then it is taken back"));
        }
        _ => {}
    }
    let lasts = lasts.and_then(|(node, lasts)| {
        if lasts == Some(Duration::ZERO) {
            problems.push(Problem::new(&node.place, "an action must last longer than `0s`"));
        }
        lasts
    });
    Some(Step { name, place: node.place.clone(), at: at?, lasts, action: action? })
}

/// `kill`, and `kill-2` for the second.
fn default_name(kind: &str, earlier: &[Step]) -> String {
    let before = earlier.iter().filter(|step| step.action.kind() == kind).count();
    if before == 0 { kind.into() } else { format!("{kind}-{}", before + 1) }
}

/// Who is meant: a Deployment by name, or labels.
fn read_selector(
    fields: &mut Fields<'_>,
    names: &Names,
    problems: &mut Problems,
) -> Option<(BTreeMap<String, String>, Vec<ObjectId>)> {
    match fields.one_of(&["deployment", "labels"], problems)? {
        ("deployment", node) => {
            let deployment = deployment(node, names, problems)?;
            Some((deployment.labels.clone(), vec![deployment.id()]))
        }
        (_, node) => {
            let before = problems.0.len();
            let labels = read_labels(node, names, problems)?;
            // A label that nobody has was told of by itself.
            if problems.0.len() > before {
                return None;
            }
            let hit = names.selected(&labels).into_iter().map(Workload::id).collect::<Vec<_>>();
            if hit.is_empty() && !labels.is_empty() {
                let title =
                    format!("no Deployment of world `{}` has pods with all these labels", names.world);
                names.object(Problem::new(&node.place, title), problems);
                return None;
            }
            Some((labels, hit))
        }
    }
}

fn read_labels(node: &Node, names: &Names, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for entry in node.map(problems)? {
        let Some(value) = entry.node.text(problems) else { continue };
        let mut known = BTreeMap::<&str, Vec<&str>>::new();
        for workload in &names.deployments {
            for (name, value) in &workload.labels {
                known.entry(name).or_default().push(value);
            }
        }
        match known.get_mut(entry.key.as_str()) {
            None => {
                let place = format!("the pods of world `{}`", names.world);
                let mut named = entry.node.clone();
                named.place = entry.place.clone();
                let problem = unknown(&named, "label", &entry.key, &place, known.keys().copied());
                names.object(problem, problems);
            }
            Some(values) if !values.contains(&value) => {
                values.sort_unstable();
                values.dedup();
                let kind = format!("value of label `{}`", entry.key);
                let place = format!("world `{}`", names.world);
                names.object(unknown(&entry.node, &kind, value, &place, values.iter().copied()), problems);
            }
            Some(_) => {}
        }
        labels.insert(entry.key.clone(), value.to_owned());
    }
    if labels.is_empty() {
        problems
            .push(Problem::new(&node.place, "no labels: that would hit every pod").help("name at least one"));
        return None;
    }
    Some(labels)
}

fn deployment<'n>(node: &Node, names: &'n Names, problems: &mut Problems) -> Option<&'n Workload> {
    let name = node.text(problems)?;
    let known: Vec<ObjectId> = names.deployments.iter().map(Workload::id).collect();
    match names.meant(node, "Deployment", name, &known) {
        Ok(id) => names.deployments.iter().find(|deployment| deployment.id() == id),
        Err(problem) => {
            names.object(problem, problems);
            None
        }
    }
}

fn read_kill(node: &Node, names: &Names, problems: &mut Problems) -> Option<Kill> {
    let mut fields = Fields::of(node, "`kill`", problems)?;
    let selector = read_selector(&mut fields, names, problems);
    let count = fields.optional("pods");
    let pods = count.map_or(Some(1), |pods| pods.count(1..=1000, problems));
    fields.finish(problems);
    let (selector, deployments) = selector?;
    let pods = pods?;
    let there: u32 =
        names.deployments.iter().filter(|d| deployments.contains(&d.id())).map(|d| d.replicas).sum();
    if let Some(node) = count.filter(|_| pods > there) {
        let deployments = deployments.iter().map(|id| id.name.as_str()).collect::<Vec<_>>().join(", ");
        let title = format!("`pods: {pods}` is more than the {there} that there are of {deployments}");
        problems.push(Problem::new(&node.place, title));
    }
    Some(Kill { selector, deployments, pods })
}

fn read_scale(node: &Node, names: &Names, problems: &mut Problems) -> Option<Scale> {
    let mut fields = Fields::of(node, "`scale`", problems)?;
    let target = fields.required("deployment", problems).and_then(|node| deployment(node, names, problems));
    let count = fields.required("replicas", problems);
    let replicas = count.and_then(|node| node.count(0..=1000, problems));
    fields.finish(problems);
    let (target, replicas) = (target?, replicas?);
    if target.replicas == replicas {
        let title = format!("{} has {replicas} replicas already, so scaling changes nothing", target.name);
        problems.push(Problem::new(&count?.place, title));
    }
    Some(Scale { deployment: target.id(), replicas })
}

fn read_fault(
    kind: &str,
    name: &str,
    node: &Node,
    names: &Names,
    problems: &mut Problems,
) -> Option<MeshFault> {
    let mut fields = Fields::of(node, format!("`{kind}`"), problems)?;
    let service = fields.required("service", problems).and_then(|node| {
        let service = node.text(problems)?;
        match names.meant(node, "service", service, &names.services) {
            Ok(id) => Some(id),
            Err(problem) => {
                names.object(problem, problems);
                // What else is wrong with the fault can be told all the same.
                Some(ObjectId::new("", service))
            }
        }
    });
    let percent = read_share(&mut fields, problems);
    let from =
        fields.optional("from").and_then(|node| read_labels(node, names, problems)).unwrap_or_default();
    let headers = fields.optional("headers").map(|node| read_headers(node, problems)).unwrap_or_default();
    let path_prefix = fields.optional("path").and_then(|node| {
        let path = node.text(problems)?;
        if !path.starts_with('/') {
            problems.push(Problem::new(&node.place, format!("the path `{path}` does not begin with `/`")));
        }
        Some(path.to_owned())
    });
    let fault = if kind == "abort" {
        let status = fields.required("status", problems).and_then(|node| node.count(200..=599, problems));
        status
            .and_then(|status| Some(Fault::Abort { status: u16::try_from(status).ok()?, percent: percent? }))
    } else {
        let by = fields.required("by", problems).and_then(|node| {
            let by = node.duration(problems)?;
            if by < Duration::from_millis(1) {
                let problem = Problem::new(&node.place, "a delay under 1 ms is not possible");
                problems.push(problem.help("a mesh delays by whole milliseconds"));
                return None;
            }
            Some(by)
        });
        by.and_then(|by| Some(Fault::Delay { by, percent: percent? }))
    };
    fields.finish(problems);
    Some(MeshFault {
        name: name.to_owned(),
        service: service?,
        fault: fault?,
        scope: Scope { from, headers, path_prefix },
    })
}

/// `share` in percent, all where it is absent; nothing at all is no fault.
fn read_share(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<f64> {
    let Some(node) = fields.optional("share") else { return Some(100.0) };
    let share = node.percent(problems)?;
    if share <= 0.0 {
        problems.push(
            Problem::new(&node.place, "a share of 0 % hits nobody").allowed("more than 0%, up to 100%"),
        );
        return None;
    }
    // A mesh counts in millionths.
    Some((share * 1e6).round() / 1e4)
}

fn read_headers(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for entry in node.map(problems).unwrap_or_default() {
        if let Some(value) = entry.node.text(problems) {
            headers.insert(entry.key.to_lowercase(), value.to_owned());
        }
    }
    headers
}

fn read_misbehave(node: &Node, names: &Names, problems: &mut Problems) -> Option<Misbehave> {
    let mut fields = Fields::of(node, "`misbehave`", problems)?;
    let selector = read_selector(&mut fields, names, problems);
    let pods = fields.optional("pods").and_then(|node| match node.as_text() {
        Some("all") => None,
        _ => node.count(1..=1000, problems),
    });
    let percent = read_share(&mut fields, problems);
    let status = fields.optional("status").and_then(|node| node.count(200..=599, problems));
    let delay = fields.optional("delay").and_then(|node| node.duration(problems));
    let hang = fields.optional("hang").and_then(|node| node.boolean(problems)).unwrap_or(false);
    fields.finish(problems);
    let misbehaviour = Misbehaviour {
        status: status.and_then(|status| u16::try_from(status).ok()),
        delay_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        share: percent.map(|percent| percent / 100.0).filter(|share| *share < 1.0),
        hang,
    };
    if misbehaviour.is_calm() {
        let problem = Problem::new(&node.place, "`misbehave` does not say how");
        problems.push(problem.allowed("at least one of `status`, `delay`, `hang`"));
    }
    let (selector, deployments) = selector?;
    let mute = names.deployments.iter().filter(|d| deployments.contains(&d.id()) && !d.chaos);
    let mute = mute.map(|deployment| deployment.name.as_str()).collect::<Vec<_>>();
    if !mute.is_empty() {
        let title = format!("{} has no chaos switch", listed(&mute));
        let help =
            "its pod template needs the annotation `meshquake.dev/chaos-port`; or use `abort` or `delay`";
        problems.push(Problem::new(&node.place, title).help(help));
    }
    Some(Misbehave { selector, deployments, pods, misbehaviour })
}

/// Two faults of the mesh on one service at one time would undo each other's objects.
fn check_overlaps(steps: &[Step], problems: &mut Problems) {
    let span = |step: &Step| (step.at, step.at + step.lasts.unwrap_or_default());
    for (index, step) in steps.iter().enumerate() {
        for other in &steps[..index] {
            let (from, to) = span(step);
            let (other_from, other_to) = span(other);
            let together = from < other_to && other_from < to;
            let clash = match (&step.action, &other.action) {
                (Action::Fault(one), Action::Fault(two)) => one.service == two.service,
                (Action::Scale(one), Action::Scale(two)) => one.deployment == two.deployment,
                (Action::Misbehave(one), Action::Misbehave(two)) => one.selector == two.selector,
                _ => false,
            };
            if together && clash {
                let title =
                    format!("`{}` and `{}` change the same thing at the same time", step.name, other.name);
                let help = format!(
                    "`{}` was written at {}; let one end before the other begins",
                    other.name, other.place
                );
                problems.push(Problem::new(&step.place, title).help(help));
            }
        }
    }
}
