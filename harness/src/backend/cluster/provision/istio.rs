//! Istio in a cluster: put there by `istioctl`, and found there whoever put it.

use std::path::PathBuf;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, ListParams};

use super::pins::PINS;
use super::tool::{self, Tool, Which};
use crate::backend::cluster::settings::Settings;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tool(#[from] tool::Error),
    #[error(
        "istioctl is {found}, and Istio {wanted} is wanted; {}, or say `version = \"{found}\"` under [istio] in meshquake.toml",
        Which::Istioctl.how(.wanted)
    )]
    Version { found: String, wanted: String },
    #[error("istioctl does not say its version: {answer:?}")]
    NoVersion { answer: String },
    #[error(
        "the cluster has no Istio: no Deployment `istiod` in any namespace; install it, for example with `istioctl install`"
    )]
    Absent,
    #[error(
        "no Istio in the cluster injects sidecars for `{wanted}`; it has {found}; say which by `revision` under [istio] in meshquake.toml"
    )]
    Revision { wanted: String, found: String },
    #[error("the cluster was asked for its Istio")]
    Ask(#[from] kube::Error),
}

/// The version to install.
pub fn wanted(settings: &Settings) -> &str {
    settings.istio.version.as_deref().unwrap_or(&PINS.istio)
}

/// istioctl of the wanted version: it installs what it is.
pub async fn istioctl(settings: &Settings) -> Result<Tool, Error> {
    checked(Tool::find(Which::Istioctl, wanted(settings))?, settings).await
}

/// The tool, if it installs what is wanted.
pub async fn checked(tool: Tool, settings: &Settings) -> Result<Tool, Error> {
    let wanted = wanted(settings);
    let found = version(&tool).await?;
    if found == wanted { Ok(tool) } else { Err(Error::Version { found, wanted: wanted.to_owned() }) }
}

pub async fn version(tool: &Tool) -> Result<String, Error> {
    let answer = tool.ask(&["version", "--remote=false", "--short", "--output", "json"]).await?;
    let parsed: Option<serde_json::Value> = serde_json::from_str(&answer).ok();
    let version = parsed.as_ref().and_then(|json| json.pointer("/clientVersion/version")?.as_str());
    version.map(str::to_owned).ok_or(Error::NoVersion { answer })
}

/// The words that install it into the cluster of a kubeconfig; later values win over earlier ones.
pub fn install(settings: &Settings, kubeconfig: &str, context: &str, ours: PathBuf) -> Vec<String> {
    let mut words: Vec<String> =
        ["install", "--skip-confirmation", "--kubeconfig", kubeconfig, "--context", context]
            .map(str::to_owned)
            .into();
    for file in std::iter::once(&ours).chain(&settings.istio.values) {
        words.extend(["--filename".to_owned(), file.display().to_string()]);
    }
    if let Some(revision) = &settings.istio.revision {
        words.extend(["--revision".to_owned(), revision.clone()]);
    }
    words
}

/// The images that an installation runs.
pub fn images(version: &str) -> [String; 2] {
    [format!("docker.io/istio/pilot:{version}"), format!("docker.io/istio/proxyv2:{version}")]
}

/// An Istio that is in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub version: String,
    /// The namespace's label that makes it inject sidecars.
    pub injection: (String, String),
}

/// The label that the settings ask for.
pub fn injection(settings: &Settings) -> (String, String) {
    match &settings.istio.revision {
        Some(revision) => ("istio.io/rev".to_owned(), revision.clone()),
        None => ("istio-injection".to_owned(), "enabled".to_owned()),
    }
}

/// Looks for Istio, and whether it answers to the label.
pub async fn find(client: &Client, settings: &Settings) -> Result<Found, Error> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let params = ListParams::default().labels("app=istiod");
    let istiods = deployments.list(&params).await?.items;
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = webhooks.list(&ListParams::default().labels("app=sidecar-injector")).await?.items;
    let injection = injection(settings);
    check(&istiods, &webhooks, &injection)
}

fn check(
    istiods: &[Deployment],
    webhooks: &[MutatingWebhookConfiguration],
    injection: &(String, String),
) -> Result<Found, Error> {
    if istiods.is_empty() {
        return Err(Error::Absent);
    }
    let revision_of = |deployment: &Deployment| {
        let labels = deployment.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("istio.io/rev")).cloned().unwrap_or_else(|| "default".into())
    };
    let selects = |webhook: &&MutatingWebhookConfiguration| {
        let selectors = webhook.webhooks.iter().flatten().filter_map(|hook| hook.namespace_selector.as_ref());
        selectors.flat_map(|selector| selector.match_expressions.iter().flatten()).any(|expression| {
            let values = expression.values.as_deref().unwrap_or_default();
            expression.key == injection.0 && expression.operator == "In" && values.contains(&injection.1)
        })
    };
    let Some(webhook) = webhooks.iter().find(selects) else {
        let mut found: Vec<String> =
            istiods.iter().map(|one| format!("revision `{}`", revision_of(one))).collect();
        found.sort();
        found.dedup();
        let wanted = format!("{}={}", injection.0, injection.1);
        return Err(Error::Revision { wanted, found: found.join(", ") });
    };
    let labels = webhook.metadata.labels.as_ref();
    let revision = labels.and_then(|labels| labels.get("istio.io/rev")).map_or("default", String::as_str);
    let behind = istiods.iter().find(|one| revision_of(one) == revision).unwrap_or(&istiods[0]);
    let image = behind
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref()?.containers.first()?.image.clone())
        .unwrap_or_default();
    Ok(Found { version: tag(&image), injection: injection.clone() })
}

/// `docker.io/istio/pilot:1.31.1-distroless@sha256:…` → `1.31.1-distroless`
fn tag(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("unknown", |(_, tag)| tag).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::cluster::provision::fake;

    fn istiod(revision: &str) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "istiod", "labels": {"app": "istiod", "istio.io/rev": revision}},
            "spec": {"selector": {}, "template": {"spec": {"containers": [
                {"name": "discovery", "image": "docker.io/istio/pilot:1.31.1@sha256:0"}]}}},
        }))
        .expect("a Deployment")
    }

    fn webhook(key: &str, value: &str) -> MutatingWebhookConfiguration {
        serde_json::from_value(json!({
            "metadata": {"labels": {"istio.io/rev": "default"}},
            "webhooks": [{"name": "x", "admissionReviewVersions": ["v1"], "clientConfig": {}, "sideEffects": "None",
                "namespaceSelector": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}}],
        }))
        .expect("a webhook")
    }

    #[test]
    fn the_label_must_fit_the_istio_that_is_there() {
        let enabled = ("istio-injection".to_owned(), "enabled".to_owned());
        let found = check(&[istiod("default")], &[webhook("istio-injection", "enabled")], &enabled);
        assert_eq!(found.expect("it fits").version, "1.31.1");
        let error = check(&[istiod("canary")], &[webhook("istio.io/rev", "canary")], &enabled);
        assert_eq!(
            error.expect_err("another revision").to_string(),
            "no Istio in the cluster injects sidecars for `istio-injection=enabled`; it has revision `canary`; say which \
             by `revision` under [istio] in meshquake.toml"
        );
        assert!(matches!(check(&[], &[], &enabled), Err(Error::Absent)));
    }

    #[test]
    fn values_of_the_person_come_after_ours() {
        let mut settings = Settings::default();
        settings.istio.values = vec!["/v.yaml".into()];
        let words = install(&settings, "/k", "kind-x", "/ours.yaml".into()).join(" ");
        assert_eq!(
            words,
            "install --skip-confirmation --kubeconfig /k --context kind-x --filename /ours.yaml --filename /v.yaml"
        );
    }

    #[tokio::test]
    async fn istioctl_says_its_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"echo '{"clientVersion": {"version": "1.31.1"}}'"#;
        let tool = fake::tool(folder.path(), Which::Istioctl, script);
        assert_eq!(version(&tool).await.expect("said"), "1.31.1");
    }
}
