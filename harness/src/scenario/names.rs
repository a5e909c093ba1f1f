//! What a scenario may name: the workloads, services, journeys and calls of its world.

use std::collections::{BTreeMap, BTreeSet};

use meshquake_xds::model::ObjectId;
use meshquake_xds::source::{Problem, Problems};

use crate::judge::{Edge, Scene};
use crate::load::Journeys;
use crate::load::journey::Journey;
use crate::problem::nearest;
use crate::world::{self, World};
use crate::yaml::Node;

/// What Istio calls the workload of its default gateway.
const GATEWAY: &str = "istio-ingressgateway";

/// The names of one world, and what hangs on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// The world could not be read, so no name in the rest can be judged; everything else can.
    pub blind: bool,
    pub world: String,
    /// Where something of the world lies.
    pub namespaces: Vec<String>,
    pub deployments: Vec<Workload>,
    pub services: Vec<ObjectId>,
    /// Journey to the names of its requests.
    pub journeys: BTreeMap<String, Vec<String>>,
    /// Which app calls which.
    pub calls: Vec<(String, String)>,
    /// The app behind the gateway.
    pub entry: Option<String>,
    /// The workload through which the load comes in, as sidecars name it.
    pub gateway: Option<String>,
}

/// A Deployment, as far as a scenario is concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub replicas: u32,
    /// Its pods have a chaos switch.
    pub chaos: bool,
}

impl Workload {
    pub fn id(&self) -> ObjectId {
        ObjectId::new(self.namespace.as_str(), self.name.as_str())
    }

    pub fn app(&self) -> &str {
        self.labels.get("app").map_or(&self.name, String::as_str)
    }

    pub fn version(&self) -> &str {
        self.labels.get("version").map(String::as_str).unwrap_or_default()
    }
}

impl Names {
    pub fn of(world: &World, journeys: &Journeys) -> Self {
        let deployments = world.deployments();
        let workload = |one: world::Deployment| Workload {
            chaos: one.chaos,
            namespace: one.namespace,
            name: one.name,
            labels: one.labels,
            replicas: one.replicas,
        };
        let requests = |journey: &Journey| journey.steps.iter().map(|step| step.name.clone()).collect();
        Self {
            blind: false,
            world: world.name.clone(),
            namespaces: world.namespaces(),
            deployments: deployments.into_iter().map(workload).collect(),
            services: world.services().into_iter().map(ObjectId::of).collect(),
            journeys: journeys.0.iter().map(|journey| (journey.name.clone(), requests(journey))).collect(),
            calls: world.calls.clone(),
            entry: world.entry.clone(),
            gateway: (!world.publish.is_empty()).then(|| GATEWAY.to_owned()),
        }
    }

    pub fn deployment(&self, name: &str) -> Option<&Workload> {
        self.deployments.iter().find(|deployment| deployment.name == name)
    }

    /// Where pods of the world lie.
    pub fn pod_namespaces(&self) -> BTreeSet<String> {
        self.deployments.iter().map(|deployment| deployment.namespace.clone()).collect()
    }

    /// The object that a name means, wherever in the world it lies: `web`, or `shop/web` where there are several.
    pub fn meant(
        &self,
        node: &Node,
        kind: &str,
        name: &str,
        known: &[ObjectId],
    ) -> Result<ObjectId, Problem> {
        let fits = |id: &&ObjectId| id.name == name || id.to_string() == name;
        let found: Vec<&ObjectId> = known.iter().filter(fits).collect();
        let place = format!("world `{}`", self.world);
        match found.as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err(unknown(node, kind, name, &place, known.iter().map(|id| id.name.as_str()))),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                let several: Vec<&str> = several.iter().map(String::as_str).collect();
                let title = format!("{place} has more than one {kind} `{name}`");
                Err(Problem::new(&node.place, title).allowed(listed(&several)))
            }
        }
    }

    /// The Deployments whose pods carry all these labels.
    pub fn selected(&self, labels: &BTreeMap<String, String>) -> Vec<&Workload> {
        let carries = |workload: &&Workload| {
            labels.iter().all(|(name, value)| workload.labels.get(name) == Some(value))
        };
        self.deployments.iter().filter(carries).collect()
    }

    /// Names of a world that could not be read.
    pub fn blind() -> Self {
        Self { blind: true, ..Self::default() }
    }

    /// Adds a problem about a name, where names can be judged at all.
    pub fn object(&self, problem: Problem, problems: &mut Problems) {
        if !self.blind {
            problems.push(problem);
        }
    }

    /// What of the world a judge must know.
    pub fn scene(&self) -> Scene {
        let edges = self.edges().into_iter().map(|(source, destination, crossing)| Edge {
            source: source.name.clone(),
            destination: destination.name.clone(),
            crossing,
        });
        Scene { edges: edges.collect(), gateway: self.gateway.clone() }
    }

    /// Every pair of workloads along the world's calls, and whether it crosses versions.
    pub fn edges(&self) -> Vec<(&Workload, &Workload, bool)> {
        let mut edges = Vec::new();
        for (caller, callee) in &self.calls {
            for source in self.deployments.iter().filter(|workload| workload.app() == caller) {
                for destination in self.deployments.iter().filter(|workload| workload.app() == callee) {
                    edges.push((source, destination, source.version() != destination.version()));
                }
            }
        }
        edges
    }
}

/// ``no service `chekout` in world `shop` ``, with what there is and the nearest.
pub fn unknown<'n>(
    node: &Node,
    kind: &str,
    name: &str,
    place: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Problem {
    let known = known.into_iter().collect::<Vec<_>>();
    let problem = Problem::new(&node.place, format!("no {kind} `{name}` in {place}")).allowed(listed(&known));
    match nearest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// `a`, `b`, … and 3 more
pub fn listed(names: &[&str]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return "there is none".into();
    }
    let shown = names.iter().take(MOST).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} … and {more} more"),
    }
}
