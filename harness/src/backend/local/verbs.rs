//! The client's side of the supervisor's own verbs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt as _;
use meshquake_xds::object::Object;
use meshquake_xds::source::Problems;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::status::problems_in;
use super::client::connect;
use super::journal::Intent;
use super::own::status::{Status, Target};
use super::own::{Apply, Behind, Stall, Wait, WriteDown};
use super::store::pack;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the supervisor behind {} does not answer", .socket.display())]
    Unreachable { socket: PathBuf, source: kube::Error },
    #[error("{verb}: {message}")]
    Failed { verb: String, message: String },
    #[error("{} problem(s) in the objects", .0.0.len())]
    Refused(Problems),
    #[error("{}", .0.message)]
    Behind(Behind),
}

/// The verbs of one supervisor. Cheap to clone.
#[derive(Clone)]
pub struct Verbs {
    socket: PathBuf,
    client: kube::Client,
}

/// Held by a client of a world that outlives it; when it is dropped, what the client wrote down is taken back.
#[must_use = "dropping it takes back what was written down under it"]
pub struct Lease {
    pub number: u64,
    _response: kube::client::Body,
}

impl Verbs {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), client: connect(socket) }
    }

    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn status(&self) -> Result<Status, Error> {
        self.ask("GET", "status", &Value::Null).await
    }

    pub async fn targets(&self) -> Result<Vec<Target>, Error> {
        self.ask("GET", "targets", &Value::Null).await
    }

    /// Waits until every live sidecar has what it should have.
    pub async fn converged(&self, limit: Duration) -> Result<(), Error> {
        let wait = Wait { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) };
        let (status, body) = self.send("POST", "converged", &wait).await?;
        if status == http::StatusCode::CONFLICT
            && let Ok(behind) = serde_json::from_slice::<Behind>(&body)
        {
            return Err(Error::Behind(behind));
        }
        self.read::<Value>("converged", status, &body).map(drop)
    }

    /// Applies several objects together, all or none.
    pub async fn apply(&self, objects: &[Object], manager: &str, force: bool) -> Result<(), Error> {
        self.change(objects, manager, force, false).await.map(drop)
    }

    /// Deletes several objects together; those that are not there are no mistake, and handed back by their titles.
    pub async fn delete(&self, objects: &[Object], manager: &str) -> Result<Vec<String>, Error> {
        let told = self.change(objects, manager, false, true).await?;
        let absent = told["absent"].as_array().into_iter().flatten();
        Ok(absent.filter_map(|title| title.as_str().map(str::to_owned)).collect())
    }

    async fn change(
        &self,
        objects: &[Object],
        manager: &str,
        force: bool,
        delete: bool,
    ) -> Result<Value, Error> {
        let objects = objects.iter().map(pack).collect();
        let apply = Apply { objects, manager: manager.to_owned(), force, delete };
        self.ask("POST", "apply", &apply).await
    }

    /// Writes down how something will be taken back; on disk when this returns.
    pub async fn write_down(&self, undo: Value, lease: Option<u64>) -> Result<Intent, Error> {
        self.ask("POST", "journal", &WriteDown { undo, lease }).await
    }

    /// It was taken back.
    pub async fn cross_off(&self, intent: Intent) -> Result<(), Error> {
        self.ask::<Value>("POST", &format!("journal/{}/done", intent.0), &json!({})).await.map(drop)
    }

    pub async fn lease(&self) -> Result<Lease, Error> {
        let mut body = self.response("POST", "lease", &json!({})).await?.into_body();
        let failed = |message: &str| Error::Failed { verb: "lease".to_owned(), message: message.to_owned() };
        let frame = body.frame().await.ok_or_else(|| failed("no answer"))?;
        let frame = frame.map_err(|error| failed(&error.to_string()))?;
        let text = frame.data_ref().map(|data| String::from_utf8_lossy(data).trim().to_owned());
        let number = text.and_then(|text| text.parse().ok()).ok_or_else(|| failed("not a number"))?;
        Ok(Lease { number, _response: body })
    }

    /// New certificates for every sidecar.
    pub async fn rotate(&self) -> Result<(), Error> {
        self.ask::<Value>("POST", "rotate", &json!({})).await.map(drop)
    }

    /// The ADS server answers nobody for a time.
    pub async fn stall(&self, time: Duration) -> Result<(), Error> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ask::<Value>("POST", "ads/stall", &Stall { millis }).await.map(drop)
    }

    /// Tells the supervisor to end its world; returns before it has.
    pub async fn down(&self) -> Result<(), Error> {
        self.ask::<Value>("POST", "down", &json!({})).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let (status, body) = self.send(method, verb, body).await?;
        self.read(verb, status, &body)
    }

    fn read<T: DeserializeOwned>(
        &self,
        verb: &str,
        status: http::StatusCode,
        body: &[u8],
    ) -> Result<T, Error> {
        let failed = |message: String| Error::Failed { verb: verb.to_owned(), message };
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|e| failed(e.to_string()));
        }
        match serde_json::from_slice::<kube::core::Status>(body) {
            Ok(told) => Err(problems_in(&told).map_or_else(|| failed(told.message.clone()), Error::Refused)),
            Err(_) => Err(failed(format!("{status} {}", String::from_utf8_lossy(body)))),
        }
    }

    async fn send(
        &self,
        method: &str,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<(http::StatusCode, bytes::Bytes), Error> {
        let response = self.response(method, verb, body).await?;
        let status = response.status();
        let collected = response.into_body().collect().await;
        let collected =
            collected.map_err(|source| Error::Unreachable { socket: self.socket.clone(), source })?;
        Ok((status, collected.to_bytes()))
    }

    async fn response(
        &self,
        method: &str,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<http::Response<kube::client::Body>, Error> {
        let failed = |message: String| Error::Failed { verb: verb.to_owned(), message };
        let body = serde_json::to_vec(body).map_err(|e| failed(e.to_string()))?;
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/meshquake/v1/{verb}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(kube::client::Body::from(body))
            .map_err(|e| failed(e.to_string()))?;
        let unreachable = |source| Error::Unreachable { socket: self.socket.clone(), source };
        self.client.send(request).await.map_err(unreachable)
    }
}
