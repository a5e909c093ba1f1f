//! The container engine under kind and k3d: whether it answers, how much it has to give, and which images it holds.

use std::fs::File;
use std::path::Path;

use serde::Deserialize;

use super::tool::{self, Tool, Which};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tool(#[from] tool::Error),
    #[error("Docker's engine does not answer: {why}; start it (`systemctl start docker`, or Docker Desktop)")]
    NotRunning { why: String },
    #[error("Docker's engine says something else than expected to `docker info`: {why}")]
    Answer { why: String },
}

/// What the engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Facts {
    #[serde(rename = "ServerVersion", default)]
    pub version: String,
    #[serde(rename = "NCPU", default)]
    pub cores: u64,
    #[serde(rename = "MemTotal", default)]
    pub memory: u64,
    #[serde(rename = "ServerErrors", default)]
    errors: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub struct Engine {
    docker: Tool,
}

impl Engine {
    pub fn find() -> Result<Self, Error> {
        Ok(Self::of(Tool::find(Which::Docker, "")?))
    }

    pub fn of(docker: Tool) -> Self {
        Self { docker }
    }

    /// Whether it answers, and what it is.
    pub async fn facts(&self) -> Result<Facts, Error> {
        let not_running = |why: &str| Error::NotRunning { why: why.trim().to_owned() };
        let text = match self.docker.ask(&["info", "--format", "{{json .}}"]).await {
            Ok(text) => text,
            Err(tool::Error::Failed { words, .. }) => {
                return Err(not_running(words.last().map_or("it gave no reason", String::as_str)));
            }
            Err(error) => return Err(error.into()),
        };
        let facts: Facts =
            serde_json::from_str(&text).map_err(|error| Error::Answer { why: error.to_string() })?;
        // Some versions answer with success and say inside that nobody is there.
        match facts.errors.as_ref().and_then(|errors| errors.first()) {
            Some(why) => Err(not_running(why)),
            None => Ok(facts),
        }
    }

    /// The id of an image that the engine has.
    pub async fn image(&self, name: &str) -> Option<String> {
        let id = self.docker.ask(&["image", "inspect", "--format", "{{.Id}}", name]).await.ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Which containers hold a port of this machine.
    pub async fn holders(&self, port: u16) -> Vec<String> {
        let filter = format!("publish={port}");
        let names = self.docker.ask(&["ps", "--filter", &filter, "--format", "{{.Names}}"]).await;
        names.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Runs a program within a container.
    pub async fn within(&self, container: &str, words: &[&str]) -> Result<String, tool::Error> {
        self.docker.ask(&[&["exec", container], words].concat()).await
    }

    /// Puts an archive of images into the runtime of a node that is a container.
    pub async fn import(&self, container: &str, archive: &Path) -> Result<(), tool::Error> {
        let words =
            ["exec", "--interactive", container, "ctr", "--namespace", "k8s.io", "images", "import", "-"];
        let command = || "docker exec ctr images import".to_owned();
        let file = File::open(archive).map_err(|source| tool::Error::Start { command: command(), source })?;
        self.docker.act(&words, Some(&file), &|_| {}).await.map(drop)
    }

    /// Any other of its commands.
    pub async fn ask(&self, words: &[&str]) -> Result<String, tool::Error> {
        self.docker.ask(words).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::fake;

    async fn facts(script: &str) -> Result<Facts, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        Engine::of(fake::tool(folder.path(), Which::Docker, script)).facts().await
    }

    #[tokio::test]
    async fn an_engine_that_is_off_says_so() {
        let script = "echo 'Cannot connect to the Docker daemon at unix:///x.sock.' >&2; exit 1";
        let error = facts(script).await.expect_err("off").to_string();
        assert!(error.starts_with("Docker's engine does not answer: Cannot connect"), "{error}");
        assert!(error.contains("start it"), "{error}");
        let script = r#"echo '{"ServerErrors":["permission denied"]}'"#;
        let error = facts(script).await.expect_err("off").to_string();
        assert!(error.contains("permission denied"), "{error}");
    }

    #[tokio::test]
    async fn it_says_what_it_has() {
        let found =
            facts(r#"echo '{"ServerVersion":"29.1","NCPU":4,"MemTotal":8000000000,"Extra":1}'"#).await;
        let found = found.expect("it answers");
        assert_eq!((found.version.as_str(), found.cores, found.memory), ("29.1", 4, 8_000_000_000));
    }
}
