//! `meshquake logs`: what a pod has said, and says.

use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};

use super::cluster::Where;
use super::print::{answer, fail};
use super::{Which, on_cluster};
use crate::backend::Choice;
use crate::backend::local::worlds;
use crate::error::chain;
use crate::problem::{self};
use crate::verdict::Exit;

#[derive(Args)]
pub struct Logs {
    /// A pod, or the beginning of its name
    #[arg(value_name = "POD")]
    pod: String,
    /// Go on as the pod writes
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<i64>,
    /// The app, or `istio-proxy` for its sidecar
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Where,
}

impl Logs {
    fn params(&self) -> LogParams {
        LogParams {
            follow: self.follow,
            tail_lines: self.tail,
            container: self.container.clone(),
            ..LogParams::default()
        }
    }

    pub async fn execute(self) -> Exit {
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => {
                let which = on_cluster::Which { run: self.which.run.as_deref(), pod: &self.pod };
                return on_cluster::logs(&choice, &settings, which, self.params()).await;
            }
            Err(exit) => return exit,
        }
        let world = match worlds::choose(self.which.run.as_deref()).await {
            Ok(world) => world,
            Err(why) => return fail(Exit::USAGE, &why),
        };
        let status = match world.status().await {
            Ok(status) => status,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        let fits = |pod: &&_| {
            let pod: &crate::backend::local::own::status::Pod = pod;
            pod.name.starts_with(&self.pod)
        };
        let Some(pod) = status.pods.iter().find(fits) else {
            return no_pod(&self.pod, status.pods.iter().map(|pod| pod.name.as_str()));
        };
        let pods: Api<Pod> = Api::namespaced(world.verbs.client(), &pod.namespace);
        print(&pods, &pod.name, &self.params()).await
    }
}

/// There is no pod whose name begins with what was asked for.
pub fn no_pod<'n>(asked: &str, names: impl Iterator<Item = &'n str> + Clone) -> Exit {
    let near = problem::nearest(asked, names.clone());
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let known = names.collect::<Vec<_>>().join(", ");
    fail(Exit::USAGE, &format!("no pod `{asked}`{near}\n  pods are: {known}"))
}

/// A pod's log, to its end or to Ctrl-C.
pub async fn print(pods: &Api<Pod>, name: &str, params: &LogParams) -> Exit {
    let lines = match pods.log_stream(name, params).await {
        Ok(stream) => stream.lines(),
        Err(error) => return fail(Exit::USAGE, &chain(&error)),
    };
    let printed = lines.try_for_each(|line| async move {
        answer(&line);
        Ok(())
    });
    tokio::select! {
        printed = printed => match printed {
            Ok(()) => Exit::HELD,
            Err(error) => fail(Exit::INTERNAL, &chain(&error)),
        },
        _ = tokio::signal::ctrl_c() => Exit::INTERRUPTED,
    }
}
