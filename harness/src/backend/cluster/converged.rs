//! "Every proxy has it": a marker is written after the change, and has arrived when each proxy's route tables carry it.
//!
//! istiod computes what it sends from a snapshot of everything it knows, sends the kinds of configuration in a fixed
//! order with routes last, and numbers nothing that a change could be recognised by. So after a change a marker of our
//! own is changed as well: for sidecars an EnvoyFilter of the namespace that puts a number into the metadata of every
//! outbound route table, for gateways a route of a host that nobody calls. A proxy whose tables carry the number has
//! taken a snapshot that is younger than the change. See decision 6.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::proxies::{self, Proxy, Whose};
use super::world;
use crate::backend::objects::{self, Objects};
use crate::wait::{self, Seen};

const NAME: &str = "meshquake-converged";
/// The key of our number in Envoy's metadata.
const METADATA: &str = "meshquake.dev/converged";
const HOST: &str = "converged.meshquake.dev";
const TABLES: &str = "/config_dump?resource=dynamic_route_configs";
const WARMING: &str =
    "/stats?format=json&filter=(listener_manager.total_listeners_warming|cluster_manager.warming_clusters)";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the marker by which convergence is seen cannot be written")]
    Marker(#[from] objects::Error),
    #[error(transparent)]
    NotReached(#[from] wait::NotReached),
}

/// A Gateway of the world, as far as its marker needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub namespace: String,
    pub selector: BTreeMap<String, String>,
}

/// The Gateways of these objects.
pub fn gateways(objects: &[Value]) -> Vec<Gateway> {
    let all = objects.iter().filter(|object| {
        object["kind"] == "Gateway"
            && object["apiVersion"]
                .as_str()
                .is_some_and(|version| version.starts_with("networking.istio.io/"))
    });
    let mut found = Vec::new();
    for object in all {
        let selector = object["spec"]["selector"].as_object().into_iter().flatten();
        let selector: BTreeMap<String, String> = selector
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let gateway = Gateway { namespace, selector };
        // The empty selector chooses every proxy, and so no gateway in particular.
        if !gateway.selector.is_empty() && !found.contains(&gateway) {
            found.push(gateway);
        }
    }
    found
}

/// The markers with this number.
pub fn markers(whose: &Whose, gateways: &[Gateway], number: &str) -> Vec<Value> {
    let mut markers = Vec::new();
    for namespace in &whose.namespaces {
        let metadata = json!({"filter_metadata": {METADATA: {"number": number}}});
        markers.push(json!({
            "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": {"configPatches": [{
                "applyTo": "ROUTE_CONFIGURATION",
                "match": {"context": "SIDECAR_OUTBOUND"},
                "patch": {"operation": "MERGE", "value": {"metadata": metadata}},
            }]},
        }));
    }
    for (index, gateway) in gateways.iter().enumerate() {
        let name = format!("{NAME}-{index}");
        let host = format!("{index}.{HOST}");
        markers.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": gateway.namespace},
            "spec": {"selector": gateway.selector, "servers": [
                {"port": {"number": 80, "name": "http-meshquake", "protocol": "HTTP"}, "hosts": [host]}]},
        }));
        markers.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": gateway.namespace},
            "spec": {"hosts": [host], "gateways": [name], "http": [
                {"name": number_name(number), "directResponse": {"status": 204}}]},
        }));
    }
    for marker in &mut markers {
        world::label(&mut marker["metadata"], &whose.run);
    }
    markers
}

/// The name of the marker's route, which stands in a gateway's route table.
fn number_name(number: &str) -> String {
    format!("meshquake-{number}")
}

/// Writes the number and waits until every live proxy of the world has it.
pub async fn wait(
    client: &kube::Client,
    whose: &Whose,
    gateways: &[Gateway],
    number: &str,
    limit: Duration,
) -> Result<(), Error> {
    write(client, whose, gateways, number).await?;
    reached(client, whose, number, limit).await
}

/// Writes the number: whatever was applied before it is in force where it is seen.
pub async fn write(
    client: &kube::Client,
    whose: &Whose,
    gateways: &[Gateway],
    number: &str,
) -> Result<(), Error> {
    let objects = Objects::new(client.clone());
    for marker in markers(whose, gateways, number) {
        objects.apply(&marker).await?;
    }
    Ok(())
}

/// Waits until every live proxy of the world has the number.
pub async fn reached(
    client: &kube::Client,
    whose: &Whose,
    number: &str,
    limit: Duration,
) -> Result<(), Error> {
    wait::until("every proxy with the change", limit, async || {
        // A proxy that comes up meanwhile gets the newest in any case, and one that ends needs nothing.
        let proxies = match proxies::live(client, whose).await {
            Ok(proxies) => proxies,
            Err(error) => return Seen::NotYet(crate::error::chain(&error)),
        };
        match behind(client, &proxies, number).await {
            Ok(behind) if behind.is_empty() => Seen::Done(()),
            Ok(behind) => Seen::NotYet(behind.join("; ")),
            Err(error) => Seen::NotYet(crate::error::chain(&error)),
        }
    })
    .await?;
    Ok(())
}

/// Who does not have it yet, and why not.
async fn behind(
    client: &kube::Client,
    proxies: &[Proxy],
    number: &str,
) -> Result<Vec<String>, proxies::Error> {
    let mut behind = Vec::new();
    for (proxy, dump) in proxies::ask(client, proxies, TABLES).await? {
        let missing =
            if proxy.gateway { gateway_behind(&dump, number) } else { sidecar_behind(&dump, number) };
        behind.extend(missing.map(|why| format!("pod {}: {why}", proxy.pod)));
    }
    if !behind.is_empty() {
        return Ok(behind);
    }
    // Listeners and clusters come before routes; what is still warming has arrived and is not used yet.
    for (proxy, stats) in proxies::ask(client, proxies, WARMING).await? {
        let warming = stats["stats"].as_array().into_iter().flatten();
        let warming: u64 = warming.filter_map(|stat| stat["value"].as_u64()).sum();
        if warming > 0 {
            behind.push(format!("pod {}: {warming} listeners or clusters are warming", proxy.pod));
        }
    }
    Ok(behind)
}

fn tables(dump: &Value) -> impl Iterator<Item = &Value> {
    dump["configs"].as_array().into_iter().flatten().map(|config| &config["route_config"])
}

fn sidecar_behind(dump: &Value, number: &str) -> Option<String> {
    let old = tables(dump).filter(|table| {
        table.pointer("/metadata/filter_metadata").is_none_or(|data| data[METADATA]["number"] != number)
    });
    let old = old.map(|table| table["name"].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>();
    (!old.is_empty()).then(|| format!("route tables {} are older", old.join(", ")))
}

fn gateway_behind(dump: &Value, number: &str) -> Option<String> {
    let name = number_name(number);
    let has = tables(dump).any(|table| {
        let hosts = table["virtual_hosts"].as_array().into_iter().flatten();
        hosts
            .filter(|host| host["name"].as_str().is_some_and(|name| name.contains(HOST)))
            .flat_map(|host| host["routes"].as_array().into_iter().flatten())
            .any(|route| route["name"] == name.as_str())
    });
    (!has).then(|| "no route table has the change".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_behind_while_one_table_is() {
        let table = |name: &str, number: &str| json!({"route_config": {"name": name, "metadata": {"filter_metadata": {METADATA: {"number": number}}}}});
        let dump =
            json!({"configs": [table("8080", "7"), table("9080", "6"), {"route_config": {"name": "80"}}]});
        assert_eq!(sidecar_behind(&dump, "7").as_deref(), Some("route tables 9080, 80 are older"));
        assert_eq!(sidecar_behind(&json!({"configs": [table("8080", "7")]}), "7"), None);
    }

    #[test]
    fn a_gateway_shows_the_marker_by_its_route() {
        let dump = json!({"configs": [{"route_config": {"name": "http.8080", "virtual_hosts": [
            {"name": "0.converged.meshquake.dev:80", "routes": [{"name": "meshquake-7"}]}]}}]});
        assert_eq!(gateway_behind(&dump, "7"), None);
        assert!(gateway_behind(&dump, "8").is_some());
        assert!(gateway_behind(&json!({}), "8").is_some());
    }
}
