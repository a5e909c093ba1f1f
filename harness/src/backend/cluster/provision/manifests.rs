//! Manifests that a person wants in the cluster after Istio, applied as they are.

use std::path::{Path, PathBuf};

use kube::Client;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::discovery::{Scope, pinned_kind};
use serde_json::Value;

use crate::backend::objects::FIELD_MANAGER;
use crate::problem::{self, Problems};
use crate::yaml;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", problem::plain(.0))]
    Refused(Problems),
    #[error("{}: {what} could not be applied", .file.display())]
    Apply { file: PathBuf, what: String, source: Box<kube::Error> },
    #[error("{}: an object has no {field}", .file.display())]
    Shape { file: PathBuf, field: &'static str },
}

pub async fn apply(client: &Client, files: &[PathBuf]) -> Result<(), Error> {
    for file in files {
        let documents = yaml::read(file, &file.display().to_string()).map_err(Error::Refused)?;
        for document in documents {
            object(client, file, document.to_json()).await?;
        }
    }
    Ok(())
}

/// Applies an object of a file.
pub async fn object(client: &Client, file: &Path, object: Value) -> Result<(), Error> {
    let field = |pointer: &str, field: &'static str| {
        let found = object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| Error::Shape { file: file.to_owned(), field })
    };
    let (version, kind) = (field("/apiVersion", "apiVersion")?, field("/kind", "kind")?);
    let name = field("/metadata/name", "name")?;
    let what = format!("{kind} {name}");
    let failed =
        |source| Error::Apply { file: file.to_owned(), what: what.clone(), source: Box::new(source) };
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let (resource, capabilities) =
        pinned_kind(client, &GroupVersionKind::gvk(group, version, &kind)).await.map_err(failed)?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace =
                object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    let params = PatchParams::apply(FIELD_MANAGER);
    api.patch(&name, &params, &Patch::Apply(&object)).await.map_err(failed)?;
    Ok(())
}
