//! Create, replace, patch in its three forms, delete: each one transaction.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use meshquake_xds::object::Object;
use serde_json::{Value, json};

use super::path::Target;
use super::read::{key, scale_of};
use super::status::Failure;
use super::{Api, Query, on, present};
use crate::backend::local::store::kind::{Access, POD};
use crate::backend::local::store::{Draft, Entry, Error, Key, draft, unpack};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";

pub fn create(api: &Api, target: &Target, query: &Query, body: &[u8]) -> Result<Response, Failure> {
    writable(target)?;
    let object = object(target, query, parse(body)?)?;
    let namespace = target.namespace.as_deref();
    let entry = write(api, query, |draft| {
        let key = draft.key_of(&object, namespace)?;
        draft.create(key, object, query.manager())
    })?;
    Ok((StatusCode::CREATED, Json(present(&entry, target))).into_response())
}

pub fn replace(api: &Api, target: &Target, query: &Query, body: &[u8]) -> Result<Response, Failure> {
    writable(target)?;
    let value = parse(body)?;
    let key = named(target)?;
    if target.part.is_some() {
        return answer(
            target,
            &*rewrite(api, query, key, |live| {
                live["spec"]["replicas"] = value["spec"]["replicas"].clone();
                Ok(())
            })?,
        );
    }
    let object = object(target, query, value)?;
    answer(target, &*write(api, query, |draft| draft.replace(key, object, query.manager()))?)
}

pub fn patch(
    api: &Api,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Failure> {
    writable(target)?;
    let key = named(target)?;
    let form = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let on_scale = target.part.is_some();
    let entry = match form {
        APPLY if !on_scale => {
            if query.field_manager.is_none() {
                return Err(Failure::bad("an apply patch needs a fieldManager"));
            }
            let object = object(target, query, parse(body)?)?;
            if object.name() != key.name {
                return Err(Failure::bad(format!("{} was sent to the path of {key}", object.title())));
            }
            let force = on(query.force.as_ref());
            write(api, query, |draft| {
                let key = draft.key_of(&object, target.namespace.as_deref())?;
                draft.apply(key, &object, query.manager(), force)
            })?
        }
        MERGE => {
            let patch = parse(body)?;
            rewrite(api, query, key, |live| {
                match on_scale {
                    true => live["spec"]["replicas"] = patch["spec"]["replicas"].clone(),
                    false => json_patch::merge(live, &patch),
                }
                Ok(())
            })?
        }
        JSON if !on_scale => {
            let steps: Vec<json_patch::PatchOperation> =
                serde_json::from_slice(body).map_err(|e| Failure::bad(format!("not a JSON patch: {e}")))?;
            rewrite(api, query, key, |live| {
                json_patch::patch(live, &steps)
                    .map_err(|e| Error::Bad(format!("the patch does not fit: {e}")))
            })?
        }
        other => {
            let said = format!("patches are {APPLY}, {MERGE} or {JSON}, not `{other}`");
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", said));
        }
    };
    answer(target, &entry)
}

pub fn delete(api: &Api, target: &Target, query: &Query, body: &[u8]) -> Result<Response, Failure> {
    if target.kind.access == Access::Shown && target.kind != &POD {
        return Err(not_yours(target));
    }
    let options = if body.is_empty() { Value::Null } else { parse(body)? };
    let grace = query.grace_period_seconds.or_else(|| options["gracePeriodSeconds"].as_i64());
    let asked = options["preconditions"].clone();
    let keys = match key(target) {
        Some(key) => vec![key],
        None => {
            let (entries, _) = api.store.list(target.kind, target.namespace.as_deref(), &query.selector()?);
            let key =
                |e: &std::sync::Arc<Entry>| Key::new(target.kind, e.object.namespace(), e.object.name());
            entries.iter().map(key).collect()
        }
    };
    let last = write(api, query, |draft| {
        let mut last = None;
        for key in &keys {
            let metadata = &draft.get(key)?.value()["metadata"];
            for field in ["uid", "resourceVersion"] {
                if let Some(given) = asked[field].as_str()
                    && metadata[field] != given
                {
                    let current = metadata[field].as_str().unwrap_or_default().to_owned();
                    return Err(Error::Stale { key: key.clone(), given: given.to_owned(), current });
                }
            }
            last = Some(if key.kind == &POD { terminate(draft, key, grace)? } else { draft.delete(key)? });
        }
        Ok(last)
    })?;
    match last {
        Some(entry) if target.kind == &POD && target.name.is_some() => answer(target, &entry),
        _ => Ok(Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"kind": target.kind.plural, "name": target.name}}))
        .into_response()),
    }
}

/// Marks a pod as ending. The kubelet ends its processes, at once for a grace of 0, and then removes the object.
pub fn terminate(draft: &mut Draft, key: &Key, grace: Option<i64>) -> Result<std::sync::Arc<Entry>, Error> {
    draft.adjust(key, |pod| {
        let usual = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
        let grace = grace.unwrap_or(usual).max(0);
        let metadata = &mut pod["metadata"];
        // A grace already given can be made shorter, never longer, as in Kubernetes.
        let grace = metadata["deletionGracePeriodSeconds"].as_i64().map_or(grace, |before| before.min(grace));
        metadata["deletionGracePeriodSeconds"] = grace.into();
        if metadata["deletionTimestamp"].is_null() {
            metadata["deletionTimestamp"] = draft::now().into();
        }
    })
}

fn write<T>(
    api: &Api,
    query: &Query,
    change: impl FnOnce(&mut Draft) -> Result<T, Error>,
) -> Result<T, Failure> {
    let outcome = match query.dry_run {
        Some(_) => api.store.rehearse(change),
        None => api.store.transact(change),
    };
    Ok(outcome?.0)
}

/// Reads, changes and replaces an object in one transaction.
fn rewrite(
    api: &Api,
    query: &Query,
    key: Key,
    change: impl FnOnce(&mut Value) -> Result<(), Error>,
) -> Result<std::sync::Arc<Entry>, Failure> {
    write(api, query, |draft| {
        let mut object = draft.get(&key)?.object.clone();
        change(&mut object.value)?;
        draft.replace(key, object, query.manager())
    })
}

fn answer(target: &Target, entry: &Entry) -> Result<Response, Failure> {
    let body = if target.part.is_some() { scale_of(entry) } else { present(entry, target) };
    Ok(Json(body).into_response())
}

fn named(target: &Target) -> Result<Key, Failure> {
    key(target).ok_or_else(|| Failure::bad("the path names no object"))
}

fn writable(target: &Target) -> Result<(), Failure> {
    match target.kind.access {
        Access::Written => Ok(()),
        Access::Shown => Err(not_yours(target)),
    }
}

fn not_yours(target: &Target) -> Failure {
    let said = format!("{} objects are written by the supervisor only", target.kind.kind);
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", said)
}

/// JSON, which is also how `kube` sends its apply patches.
fn parse(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|e| Failure::bad(format!("the body is not JSON: {e}")))
}

/// The object of a body; it must be of the kind that the path names.
fn object(target: &Target, query: &Query, mut value: Value) -> Result<Object, Failure> {
    let expected = target.kind.api_version(&target.version);
    for (field, wanted) in [("apiVersion", expected.as_str()), ("kind", target.kind.kind)] {
        match value[field].as_str() {
            None => value[field] = wanted.into(),
            Some(found) if found == wanted => {}
            Some(found) => {
                return Err(Failure::bad(format!("{field} is `{found}`, the path is for `{wanted}`")));
            }
        }
    }
    let origin = format!("{} (from {})", target.name.as_deref().unwrap_or(target.kind.kind), query.manager());
    Ok(unpack(value, &origin))
}
