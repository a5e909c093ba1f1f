//! What is there for clusters and what is missing, for `doctor`: asked and told, nothing is started, made or changed.

use super::engine::{self, Engine, Facts};
use super::load::Loader;
use super::made::{Found, Shop};
use super::maker::Maker;
use super::tool::{self, Tool, Which};
use super::{Error, context, istio, machine, node_names};
use crate::backend::Choice;
use crate::backend::cluster::settings::Settings;
use crate::error::chain;
use crate::finding::Finding;

/// Everything that a backend on a cluster needs of this machine and of the cluster.
pub async fn look(choice: &Choice, settings: &Settings) -> Vec<Finding> {
    match choice {
        Choice::Local => vec![],
        Choice::Kind => made(Tools::find(Maker::Kind, settings), settings).await,
        Choice::K3d => made(Tools::find(Maker::K3d, settings), settings).await,
        Choice::Context { name, yes_really } => given(name, *yes_really, settings).await,
    }
}

/// The tools for a cluster of ours, each found or not.
struct Tools {
    maker: Maker,
    tool: Result<Tool, tool::Error>,
    engine: Result<Engine, engine::Error>,
    istioctl: Result<Tool, tool::Error>,
}

impl Tools {
    fn find(maker: Maker, settings: &Settings) -> Self {
        Self {
            maker,
            tool: Tool::find(maker.which(), maker.version()),
            engine: Engine::find(),
            istioctl: Tool::find(Which::Istioctl, istio::wanted(settings)),
        }
    }
}

async fn made(tools: Tools, settings: &Settings) -> Vec<Finding> {
    let maker = tools.maker;
    let mut findings = Vec::new();
    let facts = match &tools.engine {
        Ok(engine) => engine.facts().await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(error)),
    };
    match &facts {
        Ok(facts) => {
            findings.push(Finding::good("engine", format!("Docker {}", facts.version)));
            findings.extend(size(facts, settings));
        }
        Err(why) => findings.push(Finding::missing("engine", why)),
    }
    findings.push(match &tools.tool {
        Ok(tool) => version(maker, tool).await,
        Err(error) => Finding::missing(maker.name(), chain(error)),
    });
    findings.push(match tools.istioctl {
        Ok(tool) => {
            let at = tool.program.display().to_string();
            match istio::checked(tool, settings).await {
                Ok(_) => Finding::good("istioctl", format!("{} at {at}", istio::wanted(settings))),
                Err(error) => Finding::missing("istioctl", chain(&error)),
            }
        }
        Err(error) => Finding::missing("istioctl", chain(&error)),
    });
    // Of what stands behind a tool or an engine that is not there, nothing can be said.
    let (Ok(engine), Ok(_), Ok(_)) = (tools.engine, tools.tool, facts) else { return findings };
    findings.push(images(&engine, maker, settings).await);
    findings.extend(cluster(&engine, maker, settings).await);
    findings
}

fn size(facts: &Facts, settings: &Settings) -> [Finding; 2] {
    let cores = match machine::check_cores(facts) {
        Ok(()) => Finding::good("processors", format!("{} for the engine", facts.cores)),
        Err(error) => Finding::missing("processors", error.to_string()),
    };
    let memory = match machine::check_memory(facts, settings) {
        Ok(()) => Finding::good("memory", format!("{} for the engine", machine::gib(facts.memory))),
        Err(error) => Finding::missing("memory", error.to_string()),
    };
    [cores, memory]
}

async fn version(maker: Maker, tool: &Tool) -> Finding {
    let (name, wanted) = (maker.name(), maker.version());
    match maker.found(tool).await {
        Ok((found, order)) if order.is_lt() => {
            let how = maker.which().how(wanted);
            Finding::missing(name, format!("{found} is older than {wanted}; {how}"))
        }
        Ok((found, order)) if order.is_gt() => {
            Finding::note(name, format!("{found}; meshquake was tried with {wanted}"))
        }
        Ok((found, _)) => Finding::good(name, format!("{found} at {}", tool.program.display())),
        Err(error) => Finding::missing(name, chain(&error)),
    }
}

/// Which of the images that a cluster is made of the engine has already.
async fn images(engine: &Engine, maker: Maker, settings: &Settings) -> Finding {
    let [pilot, proxy] = istio::images(istio::wanted(settings));
    let mut pulled = Vec::new();
    for image in [maker.node_image(settings).to_owned(), pilot, proxy] {
        if engine.image(&image).await.is_none() {
            pulled.push(image);
        }
    }
    match pulled.as_slice() {
        [] => Finding::good("images", "the engine has those of the node and of Istio"),
        pulled => Finding::note(
            "images",
            format!("not in the engine, so the first run pulls {}", pulled.join(", ")),
        ),
    }
}

/// The cluster itself, and the port that leads to it.
async fn cluster(engine: &Engine, maker: Maker, settings: &Settings) -> Vec<Finding> {
    let name = &settings.cluster.name;
    let condition = match Shop::open(maker, settings) {
        Ok(shop) => shop.condition().await,
        Err(error) => Err(error),
    };
    let (finding, holds_port) = match condition {
        Ok(None) => {
            (Finding::good("cluster", format!("`{name}` is not there; the first run makes it")), false)
        }
        Ok(Some(Found::Usable { complete: true, .. })) => {
            (Finding::good("cluster", format!("`{name}` is there, with Istio")), true)
        }
        Ok(Some(Found::Usable { .. })) => (
            Finding::note("cluster", format!("`{name}` has no Istio yet; the next run goes on with it")),
            true,
        ),
        Ok(Some(Found::Remake(why))) => {
            (Finding::note("cluster", format!("`{name}` {why}; the next run makes it anew")), true)
        }
        Err(error @ Error::NotOurs { .. }) => (Finding::missing("cluster", chain(&error)), false),
        Err(error) => (Finding::note("cluster", chain(&error)), false),
    };
    let port = settings.cluster.port;
    let held = if holds_port { Ok(()) } else { machine::check_port(engine, port).await };
    let port = match held {
        Ok(()) if holds_port => Finding::good("port", format!("{port}, held by the cluster")),
        Ok(()) => Finding::good("port", format!("{port} is free")),
        Err(error) => Finding::missing("port", chain(&error)),
    };
    vec![finding, port]
}

/// A cluster that somebody else made.
async fn given(name: &str, yes_really: bool, settings: &Settings) -> Vec<Finding> {
    let (client, version) = match context::connect(name).await {
        Ok((client, _, version)) => (client, version),
        Err(error) => return vec![Finding::missing("context", chain(&error))],
    };
    let mut findings =
        vec![Finding::good("context", name), Finding::good("cluster", format!("Kubernetes {version}"))];
    findings.push(match context::looks_like_production(&client, name).await {
        Ok(reasons) if reasons.is_empty() => Finding::good("whose", "it does not look like production"),
        Ok(reasons) if yes_really => Finding::note("whose", reasons.join("; ")),
        Ok(reasons) => {
            let reasons = reasons.join("; ");
            Finding::missing("whose", format!("{reasons}; `--yes-really` says that it may be shaken"))
        }
        Err(error) => Finding::missing("whose", chain(&error)),
    });
    findings.push(match istio::find(&client, settings).await {
        Ok(found) => {
            let (label, value) = found.injection;
            Finding::good("istio", format!("{}, injects where {label}={value}", found.version))
        }
        Err(error) => Finding::missing("istio", chain(&error)),
    });
    findings.push(match context::entry(&client, settings).await {
        Ok(entry) => Finding::good("gateway", entry),
        Err(error) => Finding::missing("gateway", chain(&error)),
    });
    findings.push(way(node_names(&client).await.unwrap_or_default(), settings).await);
    findings
}

/// How images that are built here come into a cluster of somebody else's.
async fn way(nodes: Vec<String>, settings: &Settings) -> Finding {
    match (&settings.images.registry, Engine::find()) {
        (Some(registry), Ok(_)) => {
            Finding::good("images", format!("pushed to {registry} by the engine here"))
        }
        (Some(_), Err(error)) => Finding::missing("images", chain(&error)),
        (None, _) if Loader::of_nodes(nodes).await.is_some() => {
            Finding::good("images", "loaded: the nodes are containers of the engine here")
        }
        (None, _) => {
            let text = "worlds that build theirs need a place to push them to: `registry` under [images] in meshquake.toml";
            Finding::note("images", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::fake;
    use crate::finding::State;

    fn tools(folder: &std::path::Path, kind: &str, docker: &str, istioctl: &str) -> Tools {
        Tools {
            maker: Maker::Kind,
            tool: Ok(fake::tool(folder, Which::Kind, kind)),
            engine: Ok(Engine::of(fake::tool(folder, Which::Docker, docker))),
            istioctl: Ok(fake::tool(folder, Which::Istioctl, istioctl)),
        }
    }

    async fn told(tools: Tools) -> Vec<(String, State)> {
        let findings = made(tools, &Settings::default()).await;
        findings.into_iter().map(|one| (format!("{}: {}", one.what, one.text), one.state)).collect()
    }

    #[tokio::test]
    async fn what_is_old_off_or_small_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let istioctl = r#"echo '{"clientVersion": {"version": "1.20.0"}}'"#;
        let docker = "echo 'Cannot connect' >&2; exit 1";
        let found =
            told(tools(folder.path(), "echo kind v0.20.0 go1.20 linux/amd64", docker, istioctl)).await;
        assert!(found.iter().all(|(_, state)| *state == State::Missing), "{found:?}");
        let texts = found.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>();
        assert!(texts[0].starts_with("engine: Docker's engine does not answer: Cannot connect; start it"));
        assert!(
            texts[1].starts_with("kind: 0.20.0 is older than 0.33.0; get it with `go install"),
            "{texts:?}"
        );
        assert!(
            texts[2].starts_with("istioctl: istioctl is 1.20.0, and Istio 1.31.1 is wanted"),
            "{texts:?}"
        );

        let docker = r#"echo '{"ServerVersion":"29.1","NCPU":1,"MemTotal":1000000000}'"#;
        let istioctl = r#"echo '{"clientVersion": {"version": "1.31.1"}}'"#;
        let mut tools = tools(folder.path(), "", docker, istioctl);
        let nowhere = tool::Error::Missing {
            name: "kind",
            variable: "MESHQUAKE_KIND",
            found: None,
            how: Which::Kind.how("0.33.0"),
        };
        tools.tool = Err(nowhere);
        let found = told(tools).await;
        let missing =
            |what: &str| found.iter().any(|(text, state)| text.starts_with(what) && *state == State::Missing);
        assert!(missing("processors: the engine has 1 processor, and"), "{found:?}");
        assert!(missing("memory: the engine has 0.9 GiB of memory, and one node"), "{found:?}");
        assert!(missing("kind: `kind` is not here: it is not on PATH"), "{found:?}");
        assert!(
            found
                .iter()
                .any(|(text, state)| text.starts_with("istioctl: 1.31.1 at") && *state == State::Good)
        );
    }

    #[tokio::test]
    async fn images_that_have_to_be_pulled_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let docker = r#"case "$5" in *pilot*) echo sha256:1 ;; *) exit 1 ;; esac"#;
        let engine = Engine::of(fake::tool(folder.path(), Which::Docker, docker));
        let found = images(&engine, Maker::Kind, &Settings::default()).await;
        assert_eq!(found.state, State::Note);
        assert!(found.text.contains("kindest/node") && found.text.contains("istio/proxyv2"), "{found:?}");
        assert!(!found.text.contains("pilot"), "{found:?}");
    }
}
