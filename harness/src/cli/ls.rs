//! `meshquake ls`: the worlds that are up, here and on clusters.

use clap::Args;
use serde_json::json;

use super::cluster::Where;
use super::on_cluster;
use super::print::{answer, fail, tell};
use crate::backend::Choice;
use crate::backend::local::own::status::Status;
use crate::backend::local::worlds;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Ls {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

impl Ls {
    pub async fn execute(self) -> Exit {
        let worlds = match worlds::up() {
            Ok(worlds) => worlds,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        let mut all = Vec::new();
        for world in &worlds {
            match world.status().await {
                Ok(status) => all.push(status),
                Err(why) => tell(&format!("world {} does not answer: {why}", world.header.run)),
            }
        }
        let (on_clusters, failed) = match self.on_clusters().await {
            Ok(found) => found,
            Err(exit) => return exit,
        };
        if self.json {
            let local = all.iter().map(|status| json!(status));
            let all = local.chain(on_clusters.into_iter().map(|(value, _)| value)).collect::<Vec<_>>();
            answer(&serde_json::to_string_pretty(&all).unwrap_or_default());
        } else if all.is_empty() && on_clusters.is_empty() {
            tell("no world is up; `meshquake up WORLD` brings one up");
        } else {
            all.iter().for_each(|status| answer(&listed(status)));
            on_clusters.iter().for_each(|(_, text)| answer(text));
        }
        if failed {
            return Exit::INTERNAL;
        }
        Exit::HELD
    }
}

impl Ls {
    /// Worlds on the cluster that is named, else on those that meshquake has made; whether one that is named failed.
    async fn on_clusters(&self) -> Result<(Vec<(serde_json::Value, String)>, bool), Exit> {
        let (choice, settings) = self.place.resolve()?;
        let named = choice != Choice::Local;
        let choices = if named { vec![choice] } else { vec![Choice::Kind, Choice::K3d] };
        let (mut found, mut failed) = (Vec::new(), false);
        for choice in choices {
            match on_cluster::ls(&choice, &settings).await {
                Ok(worlds) => found.extend(worlds),
                // Nobody asked for it: a machine without kind has no worlds on it.
                Err(_) if !named => {}
                Err(why) => {
                    tell(&format!("error: {why}"));
                    failed = true;
                }
            }
        }
        Ok((found, failed))
    }
}

fn listed(status: &Status) -> String {
    let urls = status.urls.values().flatten().cloned().collect::<Vec<_>>().join("  ");
    let mut text = format!("{}  {}  {urls}", status.run, status.world);
    for pod in &status.pods {
        let state = match (pod.ending, pod.ready) {
            (true, _) => "ending".to_owned(),
            (_, true) => "ready".to_owned(),
            (_, false) => format!("not ready: {}", pod.why),
        };
        let restarts = match pod.app_restarts + pod.sidecar_restarts {
            0 => String::new(),
            count => format!("  {count} restarts"),
        };
        let address = pod.address.as_deref().unwrap_or("–");
        text += &format!("\n  {:<44} {address:<16} {state}{restarts}", pod.name);
    }
    for refused in &status.refused {
        text += &format!("\n  refused by Envoy: {refused}");
    }
    text
}
