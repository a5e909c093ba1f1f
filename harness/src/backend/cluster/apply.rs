//! A world into a cluster: first everything is looked at, then everything is applied, by server-side apply under our one
//! field manager, what others need first. What somebody else made or changed is never taken over.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use serde_json::Value;

use super::world::{self, Injection, Placed, RUN};
use crate::backend::objects::{self, ObjectRef, Objects};
use crate::error::chain;
use crate::wait::{self, Seen};

/// How many requests are on their way at once.
const AT_ONCE: usize = 16;
/// How long a namespace on its way out may take.
const ENDING_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", taken(.0))]
    Taken(Vec<String>),
    #[error(
        "the namespace `{namespace}` is that of run `{run}`, whose world is up; take it down (`meshquake down --run {run}`) or use it (`--world-up {run}`)"
    )]
    Occupied { namespace: String, run: String },
    #[error(
        "the namespace `{namespace}` is there already and does not inject sidecars ({found}); label it `{wanted}` or let the world name another"
    )]
    NotInjected { namespace: String, found: String, wanted: String },
    #[error("{object} cannot be {verb}: {why}")]
    Change { object: String, verb: &'static str, why: String },
    #[error(transparent)]
    Look(#[from] objects::Error),
    #[error("the namespaces of the cluster cannot be read")]
    Namespaces(#[from] kube::Error),
    #[error(transparent)]
    NotReached(#[from] wait::NotReached),
}

fn taken(objects: &[String]) -> String {
    format!(
        "somebody else has made objects of these names, so nothing was changed: {}; remove them or rename those of the world",
        objects.join(", ")
    )
}

/// Why a change was refused: in the server's own words, of a conflict which fields it is about and whose they are.
fn refusal(error: &objects::Error) -> String {
    let objects::Error::Request { source, .. } = error else { return chain(error) };
    let kube::Error::Api(status) = source.as_ref() else { return chain(source) };
    if status.code != 409 {
        return status.message.clone();
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes = causes.map(|cause| format!("{} ({})", cause.field, cause.message)).collect::<Vec<_>>();
    let fields = if causes.is_empty() { status.message.clone() } else { causes.join(", ") };
    format!("somebody else manages some of its fields, and they were left alone: {fields}")
}

/// What must be known of the cluster before anything is changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Namespaces that are there and not ours; they stay.
    pub found: Vec<String>,
    /// Namespaces of a run of ours that are on their way out.
    pub ending: Vec<String>,
}

/// Looks at what is there already, and refuses where the world would meet somebody else's.
pub async fn survey(client: &kube::Client, placed: &Placed, injection: &Injection) -> Result<Survey, Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut survey = Survey::default();
    let mut foreign = Vec::new();
    for name in &placed.namespaces {
        let Some(found) = namespaces.get_opt(name).await? else { continue };
        let labels = found.metadata.labels.clone().unwrap_or_default();
        if found.metadata.deletion_timestamp.is_some() {
            survey.ending.push(name.clone());
        } else if let Some(run) = labels.get(RUN) {
            return Err(Error::Occupied { namespace: name.clone(), run: run.clone() });
        } else if placed.described.contains(name) {
            foreign.push(format!("Namespace {name}"));
        } else if !placed.workloads.contains(name) {
            // Only configuration goes there, such as that of a gateway.
            survey.found.push(name.clone());
        } else {
            let said = labels.iter().map(|(label, value)| (label.clone(), Value::from(value.as_str())));
            let said = said.collect();
            match world::injection_of(&said) {
                Some((label, value)) if (label, value) == (&injection.0, &injection.1) => {}
                other => {
                    let found =
                        other.map_or("it has no label for it".to_owned(), |(l, v)| format!("`{l}={v}`"));
                    let wanted = format!("{}={}", injection.0, injection.1);
                    return Err(Error::NotInjected { namespace: name.clone(), found, wanted });
                }
            }
            survey.found.push(name.clone());
        }
    }
    let objects = Objects::new(client.clone());
    // Where the namespace is not there yet, nobody can have anything in it.
    let met = placed
        .objects
        .iter()
        .map(ObjectRef::of)
        .filter(|object| object.namespace.is_empty() || survey.found.contains(&object.namespace));
    let looks = stream::iter(met.map(|object| {
        let objects = &objects;
        async move { objects.get(&object).await.map(|found| found.map(|_| object.to_string())) }
    }));
    let met: Vec<Option<String>> = looks.buffered(AT_ONCE).try_collect().await?;
    foreign.extend(met.into_iter().flatten());
    if foreign.is_empty() { Ok(survey) } else { Err(Error::Taken(foreign)) }
}

/// Waits until namespaces that are on their way out are gone.
pub async fn gone(client: &kube::Client, names: &[String]) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in names {
        let what = format!("the end of namespace {name}, which a run before has left");
        wait::until(what, ENDING_LIMIT, async || match namespaces.get_opt(name).await {
            Ok(None) => Seen::Done(()),
            Ok(Some(found)) if found.metadata.deletion_timestamp.is_none() => {
                Seen::Never("somebody has made it anew".to_owned())
            }
            Ok(Some(found)) => {
                let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
                let left = conditions.iter().filter(|condition| condition.status == "True");
                let left = left.filter_map(|condition| condition.message.clone()).collect::<Vec<_>>();
                Seen::NotYet(if left.is_empty() { "it is terminating".to_owned() } else { left.join("; ") })
            }
            Err(error) => Seen::NotYet(chain(&error)),
        })
        .await?;
    }
    Ok(())
}

/// Makes the namespaces that are not there.
pub async fn namespaces(objects: &Objects, placed: &Placed, survey: &Survey) -> Result<(), Error> {
    for (name, namespace) in &placed.namespace_objects {
        if !survey.found.contains(name) {
            one(objects, namespace).await?;
        }
    }
    Ok(())
}

/// Applies all objects, one kind after the other as others need them.
pub async fn objects(objects: &Objects, placed: &Placed) -> Result<(), Error> {
    let mut ranks: BTreeMap<u8, Vec<&Value>> = BTreeMap::new();
    for object in &placed.objects {
        ranks.entry(world::rank(object["kind"].as_str().unwrap_or_default())).or_default().push(object);
    }
    for together in ranks.values() {
        let applied = stream::iter(together.iter().map(|object| one(objects, object)));
        applied.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

async fn one(objects: &Objects, object: &Value) -> Result<(), Error> {
    objects.apply(object).await.map(drop).map_err(|error| refused(object, "applied", &error))
}

fn refused(object: &Value, verb: &'static str, error: &objects::Error) -> Error {
    Error::Change { object: ObjectRef::of(object).to_string(), verb, why: refusal(error) }
}

/// Applies or deletes objects beside a world that is up. With `force`, fields that others manage are taken over; an
/// object that others made is not.
pub async fn change(
    objects: &Objects,
    wanted: &[Value],
    run: &str,
    delete: bool,
    force: bool,
) -> Result<(), Error> {
    let mut foreign = Vec::new();
    for object in wanted.iter().map(ObjectRef::of) {
        let found = objects.get(&object).await?;
        if found.is_some_and(|found| found["metadata"]["labels"][RUN] != run) {
            foreign.push(object.to_string());
        }
    }
    if !foreign.is_empty() {
        return Err(Error::Taken(foreign));
    }
    for object in wanted {
        let changed = match (delete, force) {
            (true, _) => objects.delete(&ObjectRef::of(object)).await,
            (false, false) => objects.apply(object).await.map(drop),
            (false, true) => objects.take_over(object).await.map(drop),
        };
        let verb = if delete { "deleted" } else { "applied" };
        changed.map_err(|error| refused(object, verb, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::cluster::fake_api::{self, refusal};

    const LABEL: (&str, &str) = ("istio-injection", "enabled");

    fn injection() -> Injection {
        (LABEL.0.to_owned(), LABEL.1.to_owned())
    }

    fn service(namespace: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}})
    }

    /// A world of one Service in a namespace that it does not describe.
    fn placed() -> Placed {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        Placed {
            namespaces: vec!["shop".to_owned()],
            workloads: ["shop".to_owned()].into(),
            described: Default::default(),
            objects: vec![service("shop")],
            namespace_objects: BTreeMap::from([("shop".to_owned(), namespace)]),
        }
    }

    fn namespace(labels: Value) -> (u16, Value) {
        (
            200,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}),
        )
    }

    async fn surveyed(
        placed: Placed,
        answer: impl Fn(&str) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Result<Survey, String> {
        let (client, asked) = fake_api::client(answer);
        let survey = survey(&client, &placed, &injection()).await.map_err(|error| chain(&error));
        assert_eq!(asked.changes(), [""; 0], "a look changes nothing");
        survey
    }

    #[tokio::test]
    async fn an_empty_cluster_has_nothing_in_the_way() {
        assert_eq!(surveyed(placed(), |_| None).await, Ok(Survey::default()));
    }

    #[tokio::test]
    async fn what_somebody_else_has_made_is_named_before_anything_changes() {
        let met = |line: &str| match line {
            "GET /api/v1/namespaces/shop" => Some(namespace(json!({LABEL.0: LABEL.1}))),
            "GET /api/v1/namespaces/shop/services/web" => Some((200, service("shop"))),
            _ => None,
        };
        let why = surveyed(placed(), met).await.expect_err("the Service is somebody else's");
        assert!(why.contains("so nothing was changed: Service shop/web;"), "{why}");
        let described = Placed { described: ["shop".to_owned()].into(), ..placed() };
        let why = surveyed(described, met).await.expect_err("the namespace is somebody else's");
        assert!(why.contains("Namespace shop"), "{why}");
    }

    #[tokio::test]
    async fn a_namespace_of_another_run_or_without_sidecars_is_refused() {
        let of_a_run =
            |line: &str| (line == "GET /api/v1/namespaces/shop").then(|| namespace(json!({RUN: "other"})));
        let why = surveyed(placed(), of_a_run).await.expect_err("it is occupied");
        assert!(why.contains("that of run `other`") && why.contains("meshquake down --run other"), "{why}");
        let plain = |line: &str| (line == "GET /api/v1/namespaces/shop").then(|| namespace(json!({})));
        let why = surveyed(placed(), plain).await.expect_err("no sidecars, no mesh");
        assert!(why.contains("it has no label for it") && why.contains("`istio-injection=enabled`"), "{why}");
    }

    #[tokio::test]
    async fn fields_of_others_are_named_and_left_alone() {
        let (client, asked) = fake_api::client(|line| {
            let (code, mut status) = refusal(409, "Conflict", "Apply failed with 1 conflict");
            status["details"] = json!({"causes": [{"reason": "FieldManagerConflict", "field": ".spec.ports",
                "message": "conflict with \"helm\""}]});
            line.starts_with("PATCH ").then_some((code, status))
        });
        let error = objects(&Objects::new(client), &placed()).await.expect_err("a conflict");
        let why = chain(&error);
        assert!(why.starts_with("Service shop/web cannot be applied: somebody else manages"), "{why}");
        assert!(why.contains(".spec.ports (conflict with \"helm\")"), "{why}");
        assert_eq!(asked.changes().len(), 1, "it was not tried by force");
    }

    #[tokio::test]
    async fn a_webhook_that_refuses_is_quoted() {
        let (client, _) = fake_api::client(|line| {
            let text = "admission webhook \"policy.example\" denied the request: no";
            line.starts_with("PATCH ").then(|| refusal(403, "Forbidden", text))
        });
        let error = objects(&Objects::new(client), &placed()).await.expect_err("it is refused");
        assert!(chain(&error).contains("admission webhook \"policy.example\" denied the request: no"));
    }
}
