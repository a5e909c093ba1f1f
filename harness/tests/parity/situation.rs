//! What is done to a world before its calls are made, and which calls those are. Everything is taken back by the same
//! undo as a scenario's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meshquake::action::mesh::{Fault, Scope, applies_in_mesh, routes_to, with_fault};
use meshquake::backend::Undo;
use meshquake::backend::chaos::Misbehaviour;
use meshquake::backend::objects::{ObjectRef, said, version_of};
use meshquake::wait::{self, Seen};
use meshquake::world::{Deployment, World};
use meshquake_xds::model::{ObjectId, Settings};
use serde_json::{Value, json};

use crate::calls::{self, Asked};
use crate::stage::Stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    Strict,
    Permissive,
    Disabled,
    Access,
    Abort,
    Delay,
    Timeout,
    Failing,
    Retried,
    Gone,
}

/// How long pods may take to go, and every proxy to forget them.
const GONE_LIMIT: Duration = Duration::from_secs(60);

impl Situation {
    pub const ALL: [Situation; 10] = [
        Situation::Strict,
        Situation::Permissive,
        Situation::Disabled,
        Situation::Access,
        Situation::Abort,
        Situation::Delay,
        Situation::Timeout,
        Situation::Failing,
        Situation::Retried,
        // The last: what follows would have to wait for the pod to come back.
        Situation::Gone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Situation::Strict => "strict",
            Situation::Permissive => "permissive",
            Situation::Disabled => "disabled",
            Situation::Access => "access",
            Situation::Abort => "abort",
            Situation::Delay => "delay",
            Situation::Timeout => "timeout",
            Situation::Failing => "failing",
            Situation::Retried => "retried",
            Situation::Gone => "gone",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Situation::Strict => {
                "the world as it is, mutual TLS `STRICT`; also wrong paths, methods and hosts"
            }
            Situation::Permissive => "PeerAuthentication `PERMISSIVE`",
            Situation::Disabled => "PeerAuthentication `DISABLE`",
            Situation::Access => {
                "AuthorizationPolicies: the last callee allows `GET` to its caller, and one path to all; that caller \
                 denies another path to all; also wrong paths, methods and hosts"
            }
            Situation::Abort => {
                "a mesh abort, 503 for every call from v1 of the last caller to the last callee"
            }
            Situation::Delay => "a mesh delay of 100 ms there, for every caller with a rule",
            Situation::Timeout => "the last callee answers after 600 ms, its routes have a timeout of 200 ms",
            Situation::Failing => "the last callee answers 503 itself, with Istio's own retries",
            Situation::Retried => "the last callee answers 500 itself, its routes retry twice on 5xx",
            Situation::Gone => "v1 of the last callee is scaled to 0",
        }
    }

    pub fn calls(self, world: &World, brief: bool) -> Vec<Asked> {
        let mut calls = match self {
            Situation::Access if brief => calls::at_the_end(world),
            Situation::Strict | Situation::Access => calls::all(world),
            _ if brief => calls::first_of_each(world),
            _ => calls::ordinary(world),
        };
        if let Situation::Strict | Situation::Permissive | Situation::Disabled = self {
            calls.extend(calls::from_outside(world));
        }
        calls
    }

    /// Brings it about. `undos` knows at any moment what has to be taken back, also when this fails half-way.
    pub async fn prepare(self, stage: &Stage, undos: &mut Vec<Undo>) -> Result<(), String> {
        let last = Last::of(&stage.world)?;
        match self {
            Situation::Strict => {}
            Situation::Permissive => authentication(stage, "PERMISSIVE", undos).await?,
            Situation::Disabled => authentication(stage, "DISABLE", undos).await?,
            Situation::Access => access(stage, &last, undos).await?,
            Situation::Abort => {
                let fault = Fault::Abort { status: 503, percent: 100.0 };
                let scope = Scope { from: last.caller.labels.clone(), ..Scope::default() };
                fault_at(stage, &last, &fault, &scope, undos).await?;
            }
            Situation::Delay => {
                let fault = Fault::Delay { by: Duration::from_millis(100), percent: 100.0 };
                fault_at(stage, &last, &fault, &Scope::default(), undos).await?;
            }
            Situation::Timeout => {
                routes(stage, &last, "timeout", json!("200ms"), undos).await?;
                let late = Misbehaviour { delay_ms: Some(600), ..Misbehaviour::default() };
                misbehave(stage, &last, &late, undos).await?;
            }
            Situation::Failing => {
                let failing = Misbehaviour { status: Some(503), ..Misbehaviour::default() };
                misbehave(stage, &last, &failing, undos).await?;
            }
            Situation::Retried => {
                let retries = json!({"attempts": 2, "retryOn": "5xx,reset"});
                routes(stage, &last, "retries", retries, undos).await?;
                let failing = Misbehaviour { status: Some(500), ..Misbehaviour::default() };
                misbehave(stage, &last, &failing, undos).await?;
            }
            Situation::Gone => empty(stage, &last, undos).await?,
        }
        stage.converged().await
    }
}

/// The end of the chain of calls.
struct Last {
    /// In its first version.
    caller: Deployment,
    callee: ObjectId,
    /// All its versions, the first one first.
    callees: Vec<Deployment>,
}

impl Last {
    fn of(world: &World) -> Result<Self, String> {
        let (caller, callee) = world.calls.last().ok_or("nobody calls anybody in this world")?;
        let of = |app: &str| {
            let mut all = world.deployments();
            all.retain(|one| one.app() == app);
            all.sort_by(|one, other| one.version().cmp(other.version()));
            all
        };
        let callees = of(callee);
        let first = callees.first().ok_or("the last app has no Deployment")?;
        Ok(Self {
            caller: of(caller).into_iter().next().ok_or("its caller has no Deployment")?,
            callee: ObjectId::new(&first.namespace, callee),
            callees,
        })
    }
}

async fn change(
    stage: &Stage,
    before: &Value,
    mut after: Value,
    undos: &mut Vec<Undo>,
) -> Result<(), String> {
    let object = ObjectRef::of(before);
    undos.push(Undo::Restore { object, before: said(before), after: said(&after) });
    after["metadata"]["resourceVersion"] = json!(version_of(before));
    stage.backend.objects().replace(&after).await.map(drop).map_err(|error| error.to_string())
}

async fn all(stage: &Stage, api_version: &str, kind: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    let namespaces: BTreeSet<String> = stage.world.namespaces().into_iter().collect();
    for namespace in namespaces {
        let found = stage.backend.objects().list(api_version, kind, &namespace).await;
        all.extend(found.map_err(|error| error.to_string())?);
    }
    Ok(all)
}

async fn authentication(stage: &Stage, mode: &str, undos: &mut Vec<Undo>) -> Result<(), String> {
    let found = all(stage, "security.istio.io/v1", "PeerAuthentication").await?;
    if found.is_empty() {
        return Err("the world has no PeerAuthentication".to_owned());
    }
    for before in &found {
        let mut after = before.clone();
        after["spec"]["mtls"]["mode"] = json!(mode);
        change(stage, before, after, undos).await?;
    }
    Ok(())
}

/// One policy that allows and one that denies.
async fn access(stage: &Stage, last: &Last, undos: &mut Vec<Undo>) -> Result<(), String> {
    let Deployment { namespace, service_account, .. } = &last.caller;
    let trusted = Settings::default().trust_domain;
    let caller = format!("{trusted}/ns/{namespace}/sa/{service_account}");
    let allowed = json!({"rules": [
        {"from": [{"source": {"principals": [caller]}}], "to": [{"operation": {"methods": ["GET"]}}]},
        {"to": [{"operation": {"paths": [calls::V2_ONLY]}}]},
    ]});
    let denied = json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/nobody/*"]}}]}]});
    for (name, one, mut spec) in
        [("parity-allowed", &last.callees[0], allowed), ("parity-denied", &last.caller, denied)]
    {
        spec["selector"] = json!({"matchLabels": {"app": one.app()}});
        let policy = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": one.namespace}, "spec": spec});
        undos.push(Undo::Delete { object: ObjectRef::of(&policy) });
        stage.backend.objects().create(&policy).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn in_mesh(stage: &Stage, last: &Last) -> Result<Vec<Value>, String> {
    let mut found = all(stage, "networking.istio.io/v1", "VirtualService").await?;
    found.retain(|one| applies_in_mesh(one) && routes_to(one, &last.callee));
    if found.is_empty() {
        return Err(format!("no VirtualService leads to {}", last.callee));
    }
    Ok(found)
}

async fn fault_at(
    stage: &Stage,
    last: &Last,
    fault: &Fault,
    scope: &Scope,
    undos: &mut Vec<Undo>,
) -> Result<(), String> {
    for before in in_mesh(stage, last).await? {
        let after = with_fault(&before, &last.callee, fault, scope).ok_or("no route takes the fault")?;
        change(stage, &before, after, undos).await?;
    }
    Ok(())
}

/// Sets a field of every route.
async fn routes(
    stage: &Stage,
    last: &Last,
    field: &str,
    value: Value,
    undos: &mut Vec<Undo>,
) -> Result<(), String> {
    for before in in_mesh(stage, last).await? {
        let mut after = before.clone();
        for route in after["spec"]["http"].as_array_mut().into_iter().flatten() {
            route[field] = value.clone();
        }
        change(stage, &before, after, undos).await?;
    }
    Ok(())
}

async fn misbehave(
    stage: &Stage,
    last: &Last,
    how: &Misbehaviour,
    undos: &mut Vec<Undo>,
) -> Result<(), String> {
    for callee in &last.callees {
        let pods = stage.backend.objects().pods(&callee.namespace, &callee.labels).await;
        for pod in pods.map_err(|error| error.to_string())? {
            undos.push(Undo::Calm { namespace: pod.namespace.clone(), pod: pod.name.clone() });
            let switch = stage.backend.chaos(&pod).await.map_err(|error| error.to_string())?;
            switch.on(how).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

async fn empty(stage: &Stage, last: &Last, undos: &mut Vec<Undo>) -> Result<(), String> {
    let objects = stage.backend.objects();
    let first = &last.callees[0];
    let pods = objects.pods(&first.namespace, &first.labels).await.map_err(|error| error.to_string())?;
    let addresses = pods.into_iter().filter_map(|pod| pod.ip).collect::<BTreeSet<_>>();
    let (namespace, deployment) = (first.namespace.clone(), first.name.clone());
    undos.push(Undo::Scale { namespace, deployment, replicas: first.replicas, during: 0 });
    objects.scale(&first.namespace, &first.name, 0).await.map_err(|error| error.to_string())?;
    let labels: BTreeMap<String, String> = first.labels.clone();
    let gone = wait::until(format!("the pods of {} gone", first.name), GONE_LIMIT, async || {
        match objects.pods(&first.namespace, &labels).await {
            Ok(pods) if pods.is_empty() => {}
            Ok(pods) => return Seen::NotYet(format!("{} are there", pods.len())),
            Err(error) => return Seen::NotYet(error.to_string()),
        }
        match stage.backend.members().await {
            Ok(members) if members.is_disjoint(&addresses) => Seen::Done(()),
            Ok(_) => Seen::NotYet("a proxy still knows their addresses".to_owned()),
            Err(error) => Seen::NotYet(error),
        }
    });
    gone.await.map_err(|error| error.to_string())
}
