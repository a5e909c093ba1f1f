//! What is kept of a world for whoever looks for the cause: logs, sidecars' configuration and statistics, states.

use std::fs;
use std::path::Path;

use super::envoy::Admin;
use super::own::status::Status;
use super::verbs::Verbs;
use crate::event::Collected;

/// How many of a log's last lines go into the report.
const TAIL: usize = 20;
/// More of a log than this is left out; its end counts.
const LARGEST_LOG: u64 = 4 << 20;

/// Copies everything into the run's folder. What cannot be had is left out: this runs when things are broken.
pub async fn collect(verbs: &Verbs, folder: &Path) -> Vec<Collected> {
    let mut kept = Vec::new();
    let Ok(status) = verbs.status().await else { return kept };
    if let Ok(text) = serde_json::to_string_pretty(&status) {
        keep(&mut kept, folder, "status.json", text.as_bytes(), "pods and Deployments as they were", vec![]);
    }
    logs(&mut kept, folder, &status);
    for target in verbs.targets().await.unwrap_or_default() {
        let Some(socket) = target.admin else { continue };
        let Ok(admin) = Admin::new(&socket) else { continue };
        let pod = &target.pod;
        if let Ok(dump) = admin.config_dump().await {
            let text = serde_json::to_string_pretty(&without_secrets(dump)).unwrap_or_default();
            let name = format!("sidecars/{pod}.config.json");
            keep(&mut kept, folder, &name, text.as_bytes(), "configuration of the sidecar", vec![]);
        }
        if let Ok(stats) = admin.stats().await {
            let name = format!("sidecars/{pod}.stats.txt");
            keep(&mut kept, folder, &name, &stats, "statistics of the sidecar", vec![]);
        }
    }
    kept
}

fn logs(kept: &mut Vec<Collected>, folder: &Path, status: &Status) {
    let Ok(entries) = fs::read_dir(&status.logs) else { return };
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Ok(text) = end_of(&path) else { continue };
        // The tail is for those that are in trouble or gone.
        let well = status.pods.iter().any(|pod| pod.ready && name.contains(&pod.name));
        let lines = String::from_utf8_lossy(&text);
        let tail =
            lines.lines().rev().take(if well { 0 } else { TAIL }).map(str::to_owned).collect::<Vec<_>>();
        let tail = tail.into_iter().rev().collect();
        keep(kept, folder, &format!("logs/{name}"), &text, "log", tail);
    }
}

fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LARGEST_LOG)))?;
    let mut text = Vec::new();
    file.take(LARGEST_LOG).read_to_end(&mut text)?;
    Ok(text)
}

/// The folder can be shared: certificates may be in it, keys never. Envoy itself redacts them in its dump; this
/// makes sure of it.
fn without_secrets(mut dump: serde_json::Value) -> serde_json::Value {
    if let Some(configs) = dump.get_mut("configs").and_then(serde_json::Value::as_array_mut) {
        configs.retain(|config| !config["@type"].as_str().unwrap_or_default().ends_with("SecretsConfigDump"));
    }
    dump
}

fn keep(kept: &mut Vec<Collected>, folder: &Path, name: &str, bytes: &[u8], what: &str, tail: Vec<String>) {
    let path = folder.join(name);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
    match written {
        Ok(()) => kept.push(Collected { path: name.to_owned(), what: what.to_owned(), tail }),
        Err(error) => {
            // A part of it would look like all of it.
            let _gone = fs::remove_file(&path);
            tracing::warn!(%error, name, "could not be kept");
        }
    }
}
