//! Get, list, and the scale of a Deployment.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::path::Target;
use super::status::Failure;
use super::{Api, Query, present};
use crate::backend::local::store::kind::DEPLOYMENT;
use crate::backend::local::store::{Entry, Error, Key};

/// The key of a target that names an object.
pub fn key(target: &Target) -> Option<Key> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    target.name.as_ref().map(|name| Key::new(target.kind, namespace, name))
}

pub fn read(api: &Api, target: &Target, query: &Query) -> Result<Response, Failure> {
    if let Some(key) = key(target) {
        let entry = api.store.get(&key).ok_or(Error::NotFound(key))?;
        return Ok(Json(present(&entry, target)).into_response());
    }
    let (entries, version) = api.store.list(target.kind, target.namespace.as_deref(), &query.selector()?);
    let items: Vec<Value> = entries.iter().map(|entry| present(entry, target)).collect();
    let list = json!({
        "apiVersion": target.kind.api_version(&target.version), "kind": format!("{}List", target.kind.kind),
        "metadata": {"resourceVersion": version.to_string()}, "items": items,
    });
    Ok(Json(list).into_response())
}

pub fn scale(api: &Api, target: &Target) -> Result<Response, Failure> {
    let key = key(target).filter(|key| key.kind == &DEPLOYMENT);
    let key = key.ok_or_else(|| Failure::not_found("only Deployments have a scale"))?;
    let entry = api.store.get(&key).ok_or(Error::NotFound(key))?;
    Ok(Json(scale_of(&entry)).into_response())
}

pub fn scale_of(entry: &Entry) -> Value {
    let value = entry.value();
    let metadata = &value["metadata"];
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": {"replicas": value["spec"]["replicas"]},
        "status": {"replicas": value["status"]["replicas"].as_i64().unwrap_or(0)},
    })
}
