//! When and with what versions what was agreed on was last seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::stage::Stage;
use crate::table::{folder, write};

/// By backend: date and versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran(pub BTreeMap<String, BTreeMap<String, String>>);

impl Ran {
    fn file() -> PathBuf {
        folder().join("ran.json")
    }

    pub fn read() -> Self {
        let text = std::fs::read_to_string(Self::file()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn write(&self) -> Result<(), String> {
        write(&Self::file(), &(serde_json::to_string_pretty(self).map_err(|error| error.to_string())? + "\n"))
    }

    pub async fn note(&mut self, backend: &str, stage: &Stage) {
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let mut facts = BTreeMap::from([("date".to_owned(), today)]);
        let versions = stage.backend.facts().versions;
        facts.extend(versions.into_iter().map(|(what, version)| (what.to_lowercase(), version)));
        facts.extend(stage.sidecars_envoy().await.map(|version| ("envoy".to_owned(), version)));
        if backend == "local"
            && let Ok(found) = meshquake::parts::find(meshquake::parts::Part::Envoy, &|_| {})
        {
            facts.insert("envoy".to_owned(), found.version);
        }
        self.0.insert(backend.to_owned(), facts);
    }
}
