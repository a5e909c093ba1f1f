//! The supervisor's own verbs beside the Kubernetes API: `/meshquake/v1/…`.
//!
//! | verb | what |
//! | --- | --- |
//! | `GET status` | pods, Deployments, addresses, sidecars |
//! | `GET targets` | where metrics are scraped |
//! | `POST converged` | waits until all live sidecars have what they should have |
//! | `POST apply` | several objects in one transaction |
//! | `POST journal`, `POST journal/{id}/done` | how to take something back, before it is done |
//! | `POST lease` | open as long as the client lives; when it closes, what this client wrote down is taken back |
//! | `POST rotate`, `POST ads/stall` | new certificates; an ADS server that does not answer |
//! | `POST down` | the world ends |

mod lease;
pub mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::lease::take_back_by;
use self::status::{Status, Target};
use super::api::status::Failure;
use super::deployment::is_ending;
use super::journal::Intent;
use super::mesh;
use super::site::Site;
use super::store::kind::POD;
use super::store::{Error, unpack};
use crate::error::chain;

/// What the verbs need.
#[derive(Clone)]
pub struct Own {
    pub site: Arc<Site>,
    pub world: String,
    pub urls: BTreeMap<u16, Vec<String>>,
    pub remarks: Vec<String>,
    /// Undos that end with a client, by lease.
    leases: Arc<Mutex<BTreeMap<u64, BTreeSet<Intent>>>>,
}

impl Own {
    pub fn new(
        site: Arc<Site>,
        world: String,
        urls: BTreeMap<u16, Vec<String>>,
        remarks: Vec<String>,
    ) -> Self {
        Self { site, world, urls, remarks, leases: Arc::default() }
    }
}

pub fn router(own: Own) -> Router {
    Router::new()
        .route("/status", get(show))
        .route("/targets", get(targets))
        .route("/converged", post(converged))
        .route("/apply", post(apply))
        .route("/journal", post(write_down))
        .route("/journal/{id}/done", post(cross_off))
        .route("/lease", post(lease::hold))
        .route("/rotate", post(rotate))
        .route("/ads/stall", post(stall))
        .route("/down", post(down))
        .with_state(own)
}

async fn show(State(own): State<Own>) -> Json<Status> {
    Json(status::of(&own))
}

async fn targets(State(own): State<Own>) -> Json<Vec<Target>> {
    Json(status::targets(&own.site))
}

/// How long to wait, and what for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Wait {
    pub limit_ms: u64,
}

/// Why not all sidecars have what they should have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Behind {
    /// The whole story, for people.
    pub message: String,
    pub nacks: Vec<Refusal>,
}

/// A NACK in Envoy's words, with the line behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub node: String,
    pub kind: String,
    pub resource: String,
    pub message: String,
    /// Where it was written, as `file:line`; several where it may have been any of them.
    pub places: Vec<String>,
}

async fn converged(State(own): State<Own>, Json(wait): Json<Wait>) -> Response {
    let Some(mesh) = &own.site.mesh else { return Json(json!({"version": 0})).into_response() };
    let version = own.site.store.version();
    let limit = Duration::from_millis(wait.limit_ms);
    let begun = tokio::time::Instant::now();
    if tokio::time::timeout(limit, mesh.reflects(version)).await.is_err() {
        let message = format!("the objects were not translated within {limit:?}");
        return (StatusCode::CONFLICT, Json(Behind { message, nacks: Vec::new() })).into_response();
    }
    // A sidecar that is only starting gets the newest anyway, so nobody waits for it.
    let pods = own.site.store.all(&POD);
    let live = pods.iter().filter(|pod| !is_ending(pod) && status::has_live_sidecar(pod));
    let nodes: Vec<String> = live.filter_map(|pod| mesh::node_of(pod)).collect();
    match mesh.ads.converged(nodes, None, limit.saturating_sub(begun.elapsed())).await {
        Ok(_) => Json(json!({"version": version})).into_response(),
        Err(behind) => {
            let mut message = behind.to_string();
            let refusal = |nack: &meshquake_xds::ads::Nack| Refusal {
                node: nack.node.clone(),
                kind: nack.kind.to_string(),
                resource: nack.resource.clone(),
                message: nack.message.clone(),
                places: mesh.places_of(nack).iter().map(ToString::to_string).collect(),
            };
            let nacks: Vec<Refusal> = behind.nacks().map(refusal).collect();
            // All proxies refuse the same for the same reason.
            let told: BTreeSet<String> = nacks
                .iter()
                .filter(|nack| !nack.places.is_empty())
                .map(|nack| {
                    format!("\n  {} `{}` comes from {}", nack.kind, nack.resource, nack.places.join(" or "))
                })
                .collect();
            message.extend(told);
            (StatusCode::CONFLICT, Json(Behind { message, nacks })).into_response()
        }
    }
}

/// Objects to apply or delete together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Apply {
    /// With their places, see `store::pack`.
    pub objects: Vec<Value>,
    pub manager: String,
    pub force: bool,
    pub delete: bool,
}

async fn apply(State(own): State<Own>, Json(asked): Json<Apply>) -> Result<Json<Value>, Failure> {
    let objects: Vec<_> = asked.objects.into_iter().map(|value| unpack(value, &asked.manager)).collect();
    let (absent, version) = own.site.store.transact(|draft| {
        let mut absent = Vec::new();
        for object in &objects {
            let key = draft.key_of(object, None)?;
            if asked.delete {
                match draft.delete(&key) {
                    Ok(_) => {}
                    Err(Error::NotFound(_)) => absent.push(object.title()),
                    Err(error) => return Err(error),
                }
            } else {
                draft.apply(key, object, &asked.manager, asked.force)?;
            }
        }
        Ok(absent)
    })?;
    Ok(Json(json!({"version": version, "absent": absent})))
}

/// An undo to write down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteDown {
    pub undo: Value,
    /// The lease of the client that will take it back, if it holds one.
    pub lease: Option<u64>,
}

async fn write_down(State(own): State<Own>, Json(asked): Json<WriteDown>) -> Result<Json<Intent>, Failure> {
    let journal = own.site.journal.clone();
    // It syncs, which blocks.
    let written = tokio::task::spawn_blocking(move || journal.intent(&asked.undo)).await;
    let intent = written.map_err(|e| internal(&e))?.map_err(|e| internal(&e))?;
    if let Some(lease) = asked.lease {
        lease::leases(&own).entry(lease).or_default().insert(intent);
    }
    Ok(Json(intent))
}

async fn cross_off(State(own): State<Own>, Path(id): Path<u64>) -> Result<Json<Value>, Failure> {
    let journal = own.site.journal.clone();
    let done = tokio::task::spawn_blocking(move || journal.done(Intent(id))).await;
    done.map_err(|e| internal(&e))?.map_err(|e| internal(&e))?;
    for intents in lease::leases(&own).values_mut() {
        intents.remove(&Intent(id));
    }
    Ok(Json(json!({})))
}

fn internal(error: &dyn std::error::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", chain(error))
}

async fn rotate(State(own): State<Own>) -> Json<Value> {
    if let Some(mesh) = &own.site.mesh {
        mesh.rotate();
    }
    Json(json!({}))
}

/// For how long the ADS server answers nobody.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Stall {
    pub millis: u64,
}

async fn stall(State(own): State<Own>, Json(stall): Json<Stall>) -> Json<Value> {
    if let Some(mesh) = &own.site.mesh {
        mesh.ads.stall(Duration::from_millis(stall.millis));
    }
    Json(json!({}))
}

async fn down(State(own): State<Own>) -> Json<Value> {
    own.site.stop.cancel();
    Json(json!({}))
}
