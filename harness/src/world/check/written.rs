//! An object, and what it says by itself.

use std::sync::OnceLock;

use meshquake_xds::fields::{ISTIO, InertUse};
use meshquake_xds::model::{Part, Settings};
use meshquake_xds::object::Object;

use super::{references, template};
use crate::problem::{Problem, Problems};
use crate::world::fields::{KUBERNETES, REFUSED_KINDS, of_kubernetes};
use crate::world::workload::Deployment;
use crate::world::{listed, with_nearest};

/// An object as it was written. What it says by itself is looked up when it is first asked for and then kept:
/// every change of a world looks at all objects, and few of them change.
#[derive(Debug)]
pub struct Written {
    pub object: Object,
    alone: OnceLock<Alone>,
}

/// What can be said of an object without a look at the others.
#[derive(Debug)]
pub(super) struct Alone {
    pub inert: Vec<InertUse>,
    pub warnings: Vec<Problem>,
    pub problems: Problems,
    pub deployment: Option<Deployment>,
    pub part: Part,
}

impl Written {
    pub fn new(object: Object) -> Self {
        Self { object, alone: OnceLock::new() }
    }

    pub(super) fn alone(&self) -> &Alone {
        self.alone.get_or_init(|| {
            let (mut problems, mut warnings) = (Problems::default(), Vec::new());
            let inert = kind(&self.object, &mut problems);
            match self.object.kind() {
                "Deployment" => template::check(&self.object, &mut problems),
                "Secret" => references::secret(&self.object, &mut problems),
                _ => {}
            }
            warnings.extend(template::not_scraped(&self.object));
            Alone {
                inert,
                warnings,
                problems,
                deployment: Deployment::read(&self.object),
                part: Part::read(&self.object, &Settings::default()),
            }
        })
    }
}

/// Holds an object against the table of its kind. Istio's kinds are the mesh's own affair.
fn kind(object: &Object, problems: &mut Problems) -> Vec<InertUse> {
    let (version, kind) = (object.api_version(), object.kind());
    if version.contains("istio.io/") {
        return Vec::new();
    }
    if let Some(table) = of_kubernetes(version, kind) {
        return meshquake_xds::fields::check(object, table, problems);
    }
    let tables = || KUBERNETES.iter().chain(ISTIO).copied();
    if let Some(table) = tables().find(|table| table.kind == kind) {
        let title = format!("`{version}` has no kind {kind}");
        let problem = Problem::new(object.place("/apiVersion"), title);
        problems.push(problem.allowed(listed(table.api_versions.iter().copied())));
        return Vec::new();
    }
    let place = object.place("/kind");
    let problem = match REFUSED_KINDS.iter().find(|(name, _)| *name == kind) {
        Some((_, instead)) => Problem::new(place, format!("kind `{kind}` is not supported on `local`"))
            .help(*instead)
            .beyond_local(),
        // A kind of Kubernetes that no world here needs, or one that only a cluster knows: it is asked.
        None => {
            let known: Vec<&str> = tables().map(|table| table.kind).collect();
            let problem = Problem::new(place, format!("unknown kind `{kind}` in `{version}`"));
            with_nearest(problem.allowed(listed(known.iter().copied())), kind, known).beyond_local()
        }
    };
    problems.push(problem);
    Vec::new()
}
