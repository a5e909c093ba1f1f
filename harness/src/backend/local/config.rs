//! What a supervisor is told at its start, and what it answers: one line of JSON each way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use meshquake_xds::source::{Place, Problem, Problems};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kubelet::env::Image;
use super::site::Settings;

/// The first line on a supervisor's standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub version: String,
    pub run: String,
    /// The world as the person named it.
    pub world: String,
    /// With their places, see `store::pack`.
    pub objects: Vec<Value>,
    pub images: BTreeMap<String, Image>,
    /// Port of the gateway to port on this machine.
    pub publish: BTreeMap<u16, u16>,
    /// Also listen on 127.0.0.1, if nobody else does.
    pub on_localhost: bool,
    /// None for a world without sidecars.
    pub envoy: Option<PathBuf>,
    pub settings: Settings,
    /// Keep a warden that cleans up when the supervisor is killed. Off only where tests run one in their own process.
    pub warden: bool,
}

/// The second line on standard input: from here on the world does not end with its client.
pub const KEEP: &str = "keep";

/// What is read of that line first: another version may have written the rest in another form.
#[derive(Debug, Deserialize)]
pub struct Speaker {
    pub version: String,
}

/// The line that a supervisor answers with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The API is there and processes are being started.
    Serving { socket: PathBuf, pid: u32, urls: BTreeMap<u16, Vec<String>>, remarks: Vec<String> },
    /// Objects were refused, nothing was started.
    Refused { problems: Vec<Told> },
    /// The client is of another version than this supervisor; nothing was started.
    OtherVersion { own: String },
    /// Something else is wrong, nothing was started or all is ended again.
    Failed { message: String },
}

/// A problem as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    place: String,
    title: String,
    found: Option<Box<str>>,
    allowed: Option<Box<str>>,
    help: Option<Box<str>>,
}

impl From<&Problem> for Told {
    fn from(problem: &Problem) -> Self {
        // It is told by `local` itself: what is only beyond that is as wrong as the rest.
        let Problem { place, title, found, allowed, help, beyond_local: _ } = problem.clone();
        Self { place: place.to_string(), title, found, allowed, help }
    }
}

/// The problems as the client shows them.
pub fn problems(told: Vec<Told>) -> Problems {
    let read = |Told { place, title, found, allowed, help }| {
        let place = Place::parse(&place).unwrap_or_else(|| Place::new(place, 1));
        Problem { place, title, found, allowed, help, beyond_local: false }
    };
    Problems(told.into_iter().map(read).collect())
}
