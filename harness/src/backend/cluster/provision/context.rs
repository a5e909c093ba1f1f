//! A cluster that somebody else made: named, never guessed; looked at, never made or removed.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};

use super::Error;
use crate::backend::cluster::settings::Settings;
use crate::error::chain;
use crate::problem::nearest;

/// How long its API may take to answer at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// More nodes than a cluster for trying things has.
const MANY_NODES: usize = 5;
/// Words by which people call what matters.
const TELLING: [&str; 4] = ["live", "prd", "prod", "production"];
/// Namespaces that belong to the cluster itself, or to the mesh.
const OWN: [&str; 4] = ["istio-ingress", "istio-system", "local-path-storage", "meshquake-system"];

/// Connects to a context by its name; also which version of Kubernetes answers.
pub async fn connect(name: &str) -> Result<(Client, Config, String), Error> {
    let kubeconfig = Kubeconfig::read()?;
    check_name(name, &kubeconfig)?;
    let options = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let client = Client::try_from(config.clone()).map_err(Error::Api)?;
    let why = match tokio::time::timeout(ANSWER_LIMIT, client.apiserver_version()).await {
        Ok(Ok(server)) => {
            return Ok((client, config, server.git_version.trim_start_matches('v').to_owned()));
        }
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
    };
    Err(Error::Silent { name: name.to_owned(), server: config.cluster_url.to_string(), why })
}

/// The contexts that a kubeconfig has, for a message.
pub fn known() -> Result<String, Error> {
    Ok(listed(&Kubeconfig::read()?))
}

fn listed(kubeconfig: &Kubeconfig) -> String {
    let mut names: Vec<String> =
        kubeconfig.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn check_name(name: &str, kubeconfig: &Kubeconfig) -> Result<(), Error> {
    let names = || kubeconfig.contexts.iter().map(|context| context.name.as_str());
    if names().any(|known| known == name) {
        return Ok(());
    }
    let near = nearest(name, names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(Error::NoContext { name: name.to_owned(), known: listed(kubeconfig), near })
}

/// Why a cluster looks like one that people depend on; nothing where it does not.
pub async fn looks_like_production(client: &Client, context: &str) -> Result<Vec<String>, kube::Error> {
    let params = ListParams::default();
    let nodes: Api<Node> = Api::all(client.clone());
    let (deployments, sets, daemons): (Api<Deployment>, Api<StatefulSet>, Api<DaemonSet>) =
        (Api::all(client.clone()), Api::all(client.clone()), Api::all(client.clone()));
    let (nodes, deployments, sets, daemons) = tokio::try_join!(
        nodes.list_metadata(&params),
        deployments.list_metadata(&params),
        sets.list_metadata(&params),
        daemons.list_metadata(&params),
    )?;
    let mut foreign: Vec<String> = Vec::new();
    let mut collect = |namespace: Option<String>, name: String, ours: bool| {
        let namespace = namespace.unwrap_or_default();
        let own = namespace.starts_with("kube-") || OWN.contains(&namespace.as_str());
        if !own && !ours {
            foreign.push(format!("{namespace}/{name}"));
        }
    };
    let ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "meshquake")
    };
    deployments.iter().for_each(|one| collect(one.namespace(), one.name_any(), ours(one.labels())));
    sets.iter().for_each(|one| collect(one.namespace(), one.name_any(), ours(one.labels())));
    daemons.iter().for_each(|one| collect(one.namespace(), one.name_any(), ours(one.labels())));
    Ok(reasons(context, nodes.items.len(), &foreign))
}

fn reasons(context: &str, nodes: usize, foreign: &[String]) -> Vec<String> {
    let mut reasons = Vec::new();
    let lower = context.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphabetic());
    if let Some(word) = words.into_iter().find(|word| TELLING.contains(word)) {
        reasons.push(format!("its name has `{word}` in it"));
    }
    if nodes > MANY_NODES {
        reasons.push(format!("it has {nodes} nodes"));
    }
    if let Some(first) = foreign.first() {
        let more = match foreign.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        reasons.push(format!("workloads of others run in it ({first}{more})"));
    }
    reasons
}

/// Where the gateway is reached: as the settings say, else by the address that its Service was given.
pub async fn entry(client: &Client, settings: &Settings) -> Result<String, Error> {
    if let Some(entry) = &settings.entry {
        return Ok(entry.clone());
    }
    let services: Api<Service> = Api::all(client.clone());
    let params = ListParams::default().labels("istio=ingressgateway");
    let services = services.list(&params).await.map_err(Error::Api)?;
    services.items.iter().find_map(address).ok_or(Error::NoEntry)
}

fn address(service: &Service) -> Option<String> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
    let host = ingress.ip.as_ref().or(ingress.hostname.as_ref())?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Some(format!("http://{host}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kubeconfig() -> Kubeconfig {
        Kubeconfig::from_yaml(
            "apiVersion: v1\nkind: Config\ncurrent-context: prod\ncontexts:\n- {name: prod, context: {cluster: p}}\n\
             - {name: staging, context: {cluster: s}}\n",
        )
        .expect("a kubeconfig")
    }

    #[test]
    fn an_unknown_context_lists_those_that_are_there() {
        let error = check_name("stagin", &kubeconfig()).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "there is no context `stagin`; there are `prod`, `staging`; did you mean `staging`?"
        );
        check_name("staging", &kubeconfig()).expect("known");
    }

    #[test]
    fn what_people_depend_on_is_recognised() {
        assert_eq!(reasons("kind-products", 1, &[]), Vec::<String>::new());
        let foreign = ["shop/cart".to_owned(), "shop/web".to_owned()];
        assert_eq!(
            reasons("eu-PROD-1", 6, &foreign),
            [
                "its name has `prod` in it",
                "it has 6 nodes",
                "workloads of others run in it (shop/cart and 1 more)"
            ]
        );
    }

    #[test]
    fn the_gateways_address_is_read_off_its_service() {
        let service: Service =
            serde_json::from_value(json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.7"}]}}}))
                .expect("a Service");
        assert_eq!(address(&service).as_deref(), Some("http://10.0.0.7"));
        assert_eq!(address(&Service::default()), None);
    }
}
