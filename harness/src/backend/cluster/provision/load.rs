//! Images onto nodes: what a node has is asked of the node itself, so nothing is loaded twice, nor believed to be there.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Tell;
use super::engine::Engine;
use super::maker::Maker;
use super::tool::{self, Tool};
use crate::backend::cluster::image::name;
use crate::backend::cluster::settings::Settings;
use crate::wait::{self, Seen};

/// How long a node that is being made may take until its runtime answers: its image may have to be pulled.
const RUNTIME_LIMIT: Duration = Duration::from_secs(60);

/// The way for images into a cluster.
#[derive(Clone, Debug)]
pub struct Loader {
    pub(super) way: Way,
    pub(super) engine: Engine,
    pub(super) nodes: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Way {
    /// By the tool that made it.
    Maker { maker: Maker, tool: Tool, settings: Box<Settings> },
    /// By each node's own runtime, where the nodes are containers of the local engine.
    Nodes,
}

impl Loader {
    /// For a cluster that somebody else made, if its nodes are containers here.
    pub(super) async fn of_nodes(nodes: Vec<String>) -> Option<Self> {
        let loader = Self { way: Way::Nodes, engine: Engine::find().ok()?, nodes };
        for node in &loader.nodes {
            loader.engine.within(node, &["ctr", "version"]).await.ok()?;
        }
        (!loader.nodes.is_empty()).then_some(loader)
    }

    /// What every node has: ids and names of images.
    pub async fn present(&self) -> BTreeSet<String> {
        let asked = self
            .nodes
            .iter()
            .map(|node| self.engine.within(node, &["ctr", "--namespace", "k8s.io", "images", "list"]));
        let answers = futures::future::join_all(asked).await;
        let mut each = answers.into_iter().map(|answer| answer.map(|text| images(&text)).unwrap_or_default());
        let first = each.next().unwrap_or_default();
        each.fold(first, |all, one| all.intersection(&one).cloned().collect())
    }

    /// Writes images of the engine into an archive.
    pub async fn save(&self, images: &[String], archive: &Path) -> Result<(), tool::Error> {
        save(&self.engine, images, archive).await
    }

    /// Puts an archive onto every node. The lock is that of whoever makes the cluster at present.
    pub async fn import(&self, archive: &Path, lock: Option<&File>) -> Result<(), tool::Error> {
        match &self.way {
            Way::Maker { maker, tool, settings } => {
                tool.act(&maker.import(settings, archive), lock, &|_| {}).await.map(drop)
            }
            Way::Nodes => {
                for node in &self.nodes {
                    self.engine.import(node, archive).await?;
                }
                Ok(())
            }
        }
    }

    /// Sees to it that every node has an image of the engine; whether the engine has it at all.
    pub async fn bring(
        &self,
        image: &str,
        present: &BTreeSet<String>,
        lock: Option<&File>,
        tell: Tell<'_>,
    ) -> Result<bool, tool::Error> {
        match lacks(&self.engine, image, present).await {
            None => return Ok(false),
            Some(false) => return Ok(true),
            Some(true) => {}
        }
        tell(format!("loading {image}"));
        let folder = tempfile::tempdir()
            .map_err(|source| tool::Error::Start { command: "docker save".to_owned(), source })?;
        let archive = archive(&folder, "image");
        self.save(&[image.to_owned()], &archive).await?;
        self.import(&archive, lock).await?;
        Ok(true)
    }
}

pub(super) async fn save(engine: &Engine, images: &[String], archive: &Path) -> Result<(), tool::Error> {
    let file = archive.display().to_string();
    let mut words = vec!["save", "--output", file.as_str()];
    words.extend(images.iter().map(String::as_str));
    engine.ask(&words).await.map(drop)
}

/// Whether a node lacks what the engine has; `None` where the engine cannot give it.
async fn lacks(engine: &Engine, image: &str, present: &BTreeSet<String>) -> Option<bool> {
    if name::by_digest(image) {
        return None;
    }
    let id = engine.image(image).await?;
    // The same name may be another image there, and the same image may lack this name.
    Some(!present.contains(&id) || !present.contains(&name::written_out(image)))
}

/// Puts images of the engine onto nodes that are just being made: their runtime answers long before their API does.
///
/// What does not get there, for whatever reason, is brought when the cluster is up.
pub(super) async fn feed(
    engine: &Engine,
    images: &[String],
    nodes: &[String],
    made: &AtomicBool,
) -> Result<(), tool::Error> {
    if nodes.is_empty() {
        return Ok(());
    }
    let folder = tempfile::tempdir()
        .map_err(|source| tool::Error::Start { command: "docker save".to_owned(), source })?;
    let mut archives = Vec::new();
    for (n, image) in images.iter().enumerate() {
        if engine.image(image).await.is_some() {
            let archive = archive(&folder, &n.to_string());
            save(engine, std::slice::from_ref(image), &archive).await?;
            archives.push(archive);
        }
    }
    for node in nodes {
        let answers = wait::until(format!("the runtime of {node}"), RUNTIME_LIMIT, async || {
            match engine.within(node, &["ctr", "version"]).await {
                Ok(_) => Seen::Done(()),
                // Then it is called otherwise than we think.
                Err(error) if made.load(Ordering::Relaxed) => Seen::Never(error.to_string()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        if let Err(error) = answers.await {
            tracing::debug!(%error, "images wait for the cluster");
            return Ok(());
        }
        for archive in &archives {
            engine.import(node, archive).await?;
        }
    }
    Ok(())
}

/// Names, ids and digests in the table that `ctr images list` prints; the runtime lists each image by its id as well.
fn images(table: &str) -> BTreeSet<String> {
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let cells = rows.flat_map(|row| [row.first().copied(), row.get(2).copied()]);
    cells.flatten().map(str::to_owned).collect()
}

/// Where an archive is put while it is on its way.
pub(super) fn archive(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(format!("{name}.tar"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::fake;
    use crate::backend::cluster::provision::tool::Which;

    #[tokio::test]
    async fn only_what_every_node_has_is_present() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"echo 'REF TYPE DIGEST SIZE PLATFORMS LABELS'
        echo 'docker.io/x:1 application/manifest+json sha256:m 1.2 MiB linux/amd64 -'
        test $2 = two || echo 'sha256:b application/manifest+json sha256:n 1.2 MiB linux/amd64 -'
        test $2 != gone"#;
        let docker = fake::tool(folder.path(), Which::Docker, script);
        let loader = |nodes: &[&str]| Loader {
            way: Way::Nodes,
            engine: Engine::of(docker.clone()),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        };
        let found = loader(&["one", "two"]).present().await;
        assert_eq!(found, BTreeSet::from(["sha256:m".to_owned(), "docker.io/x:1".to_owned()]));
        assert!(loader(&["one"]).present().await.contains("sha256:b"));
        assert!(
            loader(&["one", "gone"]).present().await.is_empty(),
            "a node that cannot be asked has nothing"
        );
    }

    #[tokio::test]
    async fn a_node_is_fed_as_soon_as_its_runtime_answers() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"case "$1 $4" in
            "exec version") test -e up || { touch up; exit 1; } ;;
            "image {{.Id}}") test "$5" = a:1 || exit 1; echo sha256:a ;;
            "save "*) echo archive >"$3" ;;
        esac"#;
        let engine = Engine::of(fake::tool(folder.path(), Which::Docker, script));
        let images = ["a:1".to_owned(), "b:1".to_owned()];
        feed(&engine, &images, &["node".into()], &AtomicBool::new(false)).await.expect("fed");
        let calls = fake::calls(folder.path());
        let count = |what: &str| calls.iter().filter(|call| call.contains(what)).count();
        assert_eq!(count("exec node ctr version"), 2, "asked until it answered: {calls:?}");
        assert_eq!(count("docker save"), 1, "the engine has but one: {calls:?}");
        assert_eq!(count("images import"), 1, "{calls:?}");
        std::fs::remove_file(folder.path().join("up")).expect("down again");
        let fed = feed(&engine, &images, &["node".into()], &AtomicBool::new(true)).await;
        fed.expect("a cluster that is made without a node of that name is not waited for");
    }
}
