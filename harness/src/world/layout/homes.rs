//! Which app goes into which namespace, and what goes with it.

use std::collections::{BTreeMap, BTreeSet};

use meshquake_xds::object::Node as Reader;

use super::node::{kind_of, name_of, namespace_of};
use crate::problem::{Place, Problem, Problems};
use crate::world::Deployment;
use crate::world::check::GIVEN_NAMESPACES;
use crate::yaml::Node;

/// What a namespace may be called at most, as any label of DNS.
const LONGEST: usize = 63;

/// The pods of one Deployment, and what they need in their namespace.
struct Pods {
    /// Where the Deployment was written.
    old: String,
    /// Where its app goes.
    new: String,
    deployment: String,
    labels: BTreeMap<String, String>,
    account: String,
    /// Kind and name of what it takes values from.
    sources: BTreeSet<(&'static str, String)>,
    place: Place,
}

/// The way of every app out of the namespace in which it was written.
pub(super) struct Homes {
    pods: Vec<Pods>,
    /// Namespace as written and name of a Service, to its new namespace.
    services: BTreeMap<(String, String), String>,
}

impl Homes {
    pub fn of(objects: &[Node]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut known: BTreeMap<String, String> =
            GIVEN_NAMESPACES.map(|name| (name.to_owned(), format!("the namespace `{name}`"))).into();
        for object in objects.iter().filter(|object| kind_of(object) == "Namespace") {
            known.insert(name_of(object).to_owned(), format!("the Namespace written at {}", object.place));
        }
        let mut homes = Self { pods: Vec::new(), services: BTreeMap::new() };
        for object in objects.iter().map(Node::to_object) {
            let Some(deployment) = Deployment::read(&object) else { continue };
            let app = deployment.app().to_owned();
            let new = format!("{}-{app}", deployment.namespace);
            let pods = Pods {
                sources: sources(&object.root()),
                old: deployment.namespace,
                new,
                deployment: deployment.name,
                labels: deployment.labels,
                account: deployment.service_account,
                place: object.place("/metadata/name").clone(),
            };
            let whose = format!("app `{app}` of namespace `{}`", pods.old);
            if let Some(problem) = misnamed(&pods, &app) {
                problems.push(problem);
            } else if let Some(other) = known.get(&pods.new).filter(|other| **other != whose) {
                let title = format!("{whose} would lie in `{}`, which is {other}", pods.new);
                let help = "give the app another label `app`, or leave the layout `single`";
                problems.push(Problem::new(&pods.place, title).help(help));
            } else {
                known.insert(pods.new.clone(), whose);
            }
            homes.pods.push(pods);
        }
        for service in objects.iter().filter(|object| kind_of(object) == "Service") {
            homes.service_of(service, &mut problems);
        }
        problems.into_result(homes)
    }

    /// A Service goes with the app that it stands for. One that stands for nobody stays.
    fn service_of(&mut self, service: &Node, problems: &mut Problems) {
        let (old, object) = (namespace_of(service).to_owned(), service.to_object());
        let Some(spec) = object.root().get("spec") else { return };
        let selector = spec.texts("selector");
        if selector.is_empty() {
            return;
        }
        match self.selected(&old, &selector).as_slice() {
            [] => {}
            [only] => {
                self.services.insert((old, object.name().to_owned()), (*only).to_owned());
            }
            several => {
                let title = format!(
                    "Service `{}` selects the pods of several apps, which would lie in {}",
                    object.name(),
                    several.join(", ")
                );
                let help = "a Service reaches its own namespace only: give its pods one label `app`, \
                            or leave the layout `single`";
                problems.push(Problem::new(object.place("/spec/selector"), title).help(help));
            }
        }
    }

    /// Whether apps leave this namespace.
    pub fn split(&self, old: &str) -> bool {
        self.pods.iter().any(|pods| pods.old == old)
    }

    /// The namespaces into which one is split; none where nobody leaves it.
    pub fn all(&self, old: &str) -> Vec<&str> {
        self.those(old, |_| true)
    }

    /// Those of the apps whose pods carry these labels.
    pub fn selected(&self, old: &str, labels: &BTreeMap<String, String>) -> Vec<&str> {
        self.those(old, |pods| labels.iter().all(|(key, value)| pods.labels.get(key) == Some(value)))
    }

    /// Those whose pods run as this ServiceAccount; `*` is any.
    pub fn running_as(&self, old: &str, account: &str) -> Vec<&str> {
        self.those(old, |pods| account == "*" || pods.account == account)
    }

    /// Those whose pods take values from this ConfigMap or Secret.
    pub fn reading(&self, old: &str, kind: &str, name: &str) -> Vec<&str> {
        self.those(old, |pods| pods.sources.iter().any(|source| source.0 == kind && source.1 == name))
    }

    pub fn of_deployment(&self, old: &str, name: &str) -> Option<&str> {
        self.those(old, |pods| pods.deployment == name).first().copied()
    }

    pub fn of_service(&self, old: &str, name: &str) -> Option<&str> {
        self.services.get(&(old.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Namespaces as written with where they are first named.
    pub fn old(&self) -> BTreeMap<&str, &Place> {
        self.pods.iter().rev().map(|pods| (pods.old.as_str(), &pods.place)).collect()
    }

    fn those(&self, old: &str, fits: impl Fn(&Pods) -> bool) -> Vec<&str> {
        let found = self.pods.iter().filter(|pods| pods.old == old && fits(pods));
        found.map(|pods| pods.new.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// A label may be what the name of a namespace may not.
fn misnamed(pods: &Pods, app: &str) -> Option<Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = |title: String| {
        let allowed = format!("lower-case letters, digits and hyphens, {LONGEST} at most in all");
        Some(Problem::new(&pods.place, title).allowed(allowed))
    };
    if !pods.new.chars().all(allowed) || pods.new.ends_with('-') {
        return problem(format!("the app `{app}` cannot be part of the name of a namespace"));
    }
    if pods.new.len() > LONGEST {
        return problem(format!("the namespace `{}` would have {} letters", pods.new, pods.new.len()));
    }
    None
}

/// What the containers of a Deployment take values from.
fn sources(deployment: &Reader<'_>) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    let Some(pod) = deployment.path("spec.template.spec") else { return found };
    let mut note = |kind, name: Option<Reader<'_>>| {
        if let Some(name) = name {
            found.insert((kind, name.as_str().to_owned()));
        }
    };
    for container in ["initContainers", "containers"].iter().flat_map(|list| pod.items(list)) {
        for source in container.items("envFrom") {
            note("ConfigMap", source.path("configMapRef.name"));
            note("Secret", source.path("secretRef.name"));
        }
        for variable in container.items("env") {
            note("ConfigMap", variable.path("valueFrom.configMapKeyRef.name"));
            note("Secret", variable.path("valueFrom.secretKeyRef.name"));
        }
    }
    for volume in pod.items("volumes") {
        note("ConfigMap", volume.path("configMap.name"));
        note("Secret", volume.path("secret.secretName"));
    }
    for secret in pod.items("imagePullSecrets") {
        note("Secret", secret.get("name"));
    }
    found
}
