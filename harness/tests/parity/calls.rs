//! Which calls are made: every caller, every Service in its ports, the paths and methods of the world's journeys and some
//! that are there to be refused. Nothing of it is written by hand for one world.

use std::fmt;

use meshquake::load::journey::{Journeys, Method};
use meshquake::world::{Deployment, World};

/// A path that only v2 of the shop's services has, one that nobody has, and a host that nobody knows.
pub const V2_ONLY: &str = "/v2/chain";
const NOBODYS_PATH: &str = "/nobody/has/this";
const NOBODYS_HOST: &str = "nobody.example";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A Deployment's first pod, by its app, through its sidecar.
    Workload { namespace: String, name: String },
    /// A client in front of the gateway.
    Client,
    /// A process without a sidecar, which has no certificate.
    Outside,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Service {
        namespace: String,
        name: String,
        port: u16,
    },
    /// The first pod of a Deployment, by its address.
    Pod {
        namespace: String,
        name: String,
        port: u16,
    },
    Gateway,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub caller: Caller,
    pub target: Target,
    pub method: String,
    pub path: String,
    pub host: Option<String>,
}

impl Asked {
    /// Host and port of a Service as its caller writes them: the short name at home, with the namespace elsewhere.
    pub fn authority(&self) -> String {
        match (&self.target, &self.caller) {
            (Target::Service { namespace, name, port }, Caller::Workload { namespace: home, .. })
                if namespace == home =>
            {
                format!("{name}:{port}")
            }
            (Target::Service { namespace, name, port }, _) => format!("{name}.{namespace}:{port}"),
            (Target::Pod { name, port, .. }, _) => format!("pod of {name}:{port}"),
            (Target::Gateway, _) => "gateway".to_owned(),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.caller {
            Caller::Workload { name, .. } => f.write_str(name)?,
            Caller::Client => f.write_str("client")?,
            Caller::Outside => f.write_str("outside")?,
        }
        write!(f, "  {} {}{}", self.method, self.authority(), self.path)?;
        match &self.host {
            Some(host) => write!(f, "  (host: {host})"),
            None => Ok(()),
        }
    }
}

/// Every caller to every Service and through the gateway, as the journeys ask.
pub fn ordinary(world: &World) -> Vec<Asked> {
    let paths = paths(world);
    let mut all = Vec::new();
    for (caller, target) in pairs(world) {
        for (method, path) in &paths {
            all.push(asked(&caller, &target, method, path));
        }
    }
    all
}

/// The same with one path alone: which one it is makes no difference to a fault or a policy.
pub fn first_of_each(world: &World) -> Vec<Asked> {
    let mut all = ordinary(world);
    all.dedup_by(|one, before| (&one.caller, &one.target) == (&before.caller, &before.target));
    all
}

/// The same, and what is asked wrongly.
pub fn all(world: &World) -> Vec<Asked> {
    let mut all = ordinary(world);
    for (caller, target) in pairs(world) {
        all.push(asked(&caller, &target, "GET", V2_ONLY));
        all.push(asked(&caller, &target, "GET", NOBODYS_PATH));
        all.push(asked(&caller, &target, "POST", "/"));
        let stray = asked(&caller, &target, "GET", "/");
        all.push(Asked { host: Some(NOBODYS_HOST.to_owned()), ..stray });
    }
    all
}

/// Of all these, what the last two services of the chain are asked, by one of the journeys' paths and wrongly.
pub fn at_the_end(world: &World) -> Vec<Asked> {
    let ends: Vec<&String> = world.calls.last().into_iter().flat_map(|(from, to)| [from, to]).collect();
    let first = paths(world).into_iter().next().map(|(_, path)| path);
    let mut all = all(world);
    all.retain(|asked| {
        let of_the_end = matches!(&asked.target, Target::Service { name, .. } if ends.contains(&name));
        let path =
            [V2_ONLY, NOBODYS_PATH].contains(&asked.path.as_str()) || first.as_ref() == Some(&asked.path);
        of_the_end && path && asked.host.is_none()
    });
    all
}

/// A caller without a sidecar, to a pod of each Deployment.
pub fn from_outside(world: &World) -> Vec<Asked> {
    let paths = paths(world);
    let mut all = Vec::new();
    for deployment in world.deployments() {
        for port in &deployment.ports {
            let Deployment { namespace, name, .. } = &deployment;
            let target = Target::Pod { namespace: namespace.clone(), name: name.clone(), port: port.port };
            all.extend(paths.iter().map(|(method, path)| asked(&Caller::Outside, &target, method, path)));
        }
    }
    all
}

fn asked(caller: &Caller, target: &Target, method: &str, path: &str) -> Asked {
    Asked {
        caller: caller.clone(),
        target: target.clone(),
        method: method.to_owned(),
        path: path.to_owned(),
        host: None,
    }
}

fn pairs(world: &World) -> Vec<(Caller, Target)> {
    let mut pairs = vec![(Caller::Client, Target::Gateway)];
    for deployment in world.deployments() {
        let caller = Caller::Workload { namespace: deployment.namespace, name: deployment.name };
        pairs.extend(services(world).into_iter().map(|target| (caller.clone(), target)));
    }
    pairs
}

fn services(world: &World) -> Vec<Target> {
    let mut targets = Vec::new();
    for service in world.services() {
        let ports = service.value["spec"]["ports"].as_array().into_iter().flatten();
        for port in ports.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()) {
            let (namespace, name) = (service.namespace().to_owned(), service.name().to_owned());
            targets.push(Target::Service { namespace, name, port });
        }
    }
    targets
}

/// Method and path of each step of the journeys, as far as nothing has to be filled in.
fn paths(world: &World) -> Vec<(String, String)> {
    let folder = world.journeys.as_ref().expect("the world has journeys");
    let journeys = Journeys::load(folder, "journeys").expect("the journeys are right");
    let steps = journeys.0.iter().flat_map(|journey| &journey.steps);
    let steps = steps.filter(|step| step.path.names().next().is_none());
    let mut paths = steps
        .map(|step| (verb(step.method).to_owned(), step.path.fill(&Default::default())))
        .collect::<Vec<_>>();
    paths.sort();
    paths.dedup();
    paths
}

fn verb(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}
