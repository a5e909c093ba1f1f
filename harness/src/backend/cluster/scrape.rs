//! What a cluster's pods count: each pod's merged page on port 15020, through the API server's proxy, or by port-forward
//! where that is closed, under the labels that the configuration's relabel rules make of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use http::Request;
use meshquake_promql::Labels;
use tokio::sync::watch;

use super::forward::Forward;
use super::proxies::{self, Proxy, Whose};
use super::settings::Relabel;
use crate::judge::target::{self, Kind};
use crate::judge::{Address, Page, Target, Way};

/// Where pilot-agent serves the metrics of Envoy, of itself and of the app together.
const MERGED: u16 = 15020;
const PATH: &str = "/stats/prometheus";
/// At least so long between two looks at which pods there are to scrape.
const LOOK: Duration = Duration::from_millis(500);
/// How many pages a second cost no more of the harness than is good for what it measures.
const A_SECOND: usize = 30;

/// How the pages of a cluster are read.
#[derive(Clone)]
pub struct Reader {
    pub client: kube::Client,
    pub relabel: Arc<[Relabel]>,
    /// The API server's proxy is closed: it answered 403 or 404 though the pod was there.
    closed: Arc<AtomicBool>,
}

impl Reader {
    pub fn new(client: kube::Client, relabel: &[Relabel]) -> Self {
        Self { client, relabel: relabel.into(), closed: Arc::new(AtomicBool::new(false)) }
    }
}

/// As often as the number of pages allows, and never more often than is asked for.
pub fn interval(asked: Duration, pages: usize) -> Duration {
    let seconds = u64::try_from(pages.div_ceil(A_SECOND)).unwrap_or(u64::MAX);
    asked.max(Duration::from_secs(seconds))
}

struct PodPage {
    name: String,
    reader: Reader,
    namespace: String,
    pod: String,
}

impl Page for PodPage {
    fn name(&self) -> &str {
        &self.name
    }

    fn text(&self, limit: Duration) -> BoxFuture<'_, Result<String, target::Error>> {
        Box::pin(self.page(limit))
    }

    fn keeps(&self, metric: &str) -> bool {
        is_kept(metric)
    }

    fn relabel(&self, labels: &mut Labels) {
        relabel(labels, &self.reader.relabel);
    }
}

impl PodPage {
    async fn page(&self, limit: Duration) -> Result<String, target::Error> {
        let missing = |why: String| target::Error::NotThere(why);
        if !self.reader.closed.load(Ordering::Relaxed) {
            let path =
                format!("/api/v1/namespaces/{}/pods/{}:{MERGED}/proxy{PATH}", self.namespace, self.pod);
            let request = Request::get(path).body(vec![]).map_err(|error| missing(error.to_string()))?;
            let asked = tokio::time::timeout(limit, self.reader.client.request_text(request)).await;
            match asked {
                Err(_) => return Err(missing(format!("no answer within {} ms", limit.as_millis()))),
                Ok(Ok(page)) => return Ok(page),
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {}
                Ok(Err(error)) => return Err(missing(crate::error::chain(&error))),
            }
        }
        let forward = Forward::new(self.reader.client.clone(), &self.namespace, &self.pod, MERGED);
        let page = forward.get(PATH, limit).await.map_err(|error| missing(crate::error::chain(&error)))?;
        // The pod answers, so it was the proxy that did not: no need to try it each time.
        self.reader.closed.store(true, Ordering::Relaxed);
        String::from_utf8(page.into()).map_err(|_| target::Error::NotText)
    }
}

/// Of what Envoy and the agent count of themselves only what tells how calls went is kept: the rest is nine tenths of
/// a page. What the app counts is kept whole.
fn is_kept(name: &str) -> bool {
    const OF_CALLS: [&str; 6] = [
        "envoy_cluster_circuit_breakers_",
        "envoy_cluster_membership_",
        "envoy_cluster_outlier_detection_",
        "envoy_cluster_upstream_",
        // Under which policy: connections of before a change go on until they are drained.
        "envoy_listener_manager_total_filter_chains_draining",
        "envoy_listener_manager_total_listeners_draining",
    ];
    if name.starts_with("envoy_istio_") {
        return true;
    }
    if name.starts_with("envoy_") {
        return OF_CALLS.iter().any(|start| name.starts_with(start)) && !name.ends_with("_bucket");
    }
    !name.starts_with("istio_agent_")
}

fn relabel(labels: &mut Labels, rules: &[Relabel]) {
    for rule in rules {
        let value = rule.value(|name| Some(labels.get(name)).filter(|value| !value.is_empty()));
        match value {
            Some(value) if value.is_empty() => labels.remove(rule.target()),
            Some(value) => labels.set(rule.target(), &value),
            None => {}
        }
    }
}

/// The pages of those pods that may be read.
pub fn targets(reader: &Reader, proxies: &[Proxy]) -> Vec<Target> {
    let target = |proxy: &Proxy| {
        let page = PodPage {
            name: format!("{}/{} ({})", proxy.namespace, proxy.pod, proxy.uid),
            reader: reader.clone(),
            namespace: proxy.namespace.clone(),
            pod: proxy.pod.clone(),
        };
        Target {
            name: proxy.pod.clone(),
            kind: Kind::Sidecar,
            address: Address::By(Way::to(page)),
            labels: BTreeMap::from([("namespace".to_owned(), proxy.namespace.clone())]),
        }
    };
    proxies.iter().filter(|proxy| proxy.scraped).map(target).collect()
}

/// Keeps the targets as the pods come and go.
pub async fn follow(reader: Reader, whose: Whose, tell: watch::Sender<Vec<Target>>) {
    let changes = proxies::changes(&reader.client, &whose);
    tokio::pin!(changes);
    loop {
        // While nobody answers, what was there is still asked: its silence is part of the samples.
        let live = proxies::live(&reader.client, &whose).await;
        let looked = live.is_ok();
        if let Ok(proxies) = live {
            let targets = targets(&reader, &proxies);
            tell.send_if_modified(|known| {
                let changed = *known != targets;
                *known = targets;
                changed
            });
        }
        tokio::time::sleep(LOOK).await; // pacing
        // To look costs more than to be told that there is nothing to see.
        if looked && changes.next().await.is_none() {
            return;
        }
        while let Some(Some(())) = changes.next().now_or_never() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::exposition;

    #[test]
    fn what_tells_how_calls_went_is_kept() {
        let kept = [
            "envoy_istio_requests_total",
            "istio_requests_total",
            "shop_requests_total",
            "go_goroutines",
            "envoy_cluster_upstream_rq_pending_overflow",
            "envoy_listener_manager_total_filter_chains_draining",
        ];
        let dropped =
            ["envoy_server_uptime", "istio_agent_pilot_xds_expired", "envoy_cluster_upstream_rq_time_bucket"];
        assert!(kept.iter().all(|name| is_kept(name)));
        assert!(!dropped.iter().any(|name| is_kept(name)));
    }

    #[tokio::test]
    async fn a_pod_that_is_not_to_be_read_has_no_page() {
        // Nobody is asked before a page is.
        let config = kube::Config::new("http://127.0.0.1:1".parse().expect("an address"));
        let reader = Reader::new(config.try_into().expect("a client"), &[]);
        let proxy = |pod: &str, scraped| Proxy {
            namespace: "shop".into(),
            pod: pod.into(),
            gateway: false,
            scraped,
            uid: pod.into(),
        };
        let pages = targets(&reader, &[proxy("web", true), proxy("till", false)]);
        assert_eq!(pages.iter().map(|page| page.name.as_str()).collect::<Vec<_>>(), ["web"]);
    }

    #[test]
    fn many_pods_are_read_less_often() {
        let second = Duration::from_secs(1);
        assert_eq!(interval(second, 12), second);
        assert_eq!(interval(second, 31), 2 * second);
        assert_eq!(interval(15 * second, 12), 15 * second);
    }

    #[test]
    fn a_label_is_taken_apart_by_rules() {
        let page = "# TYPE envoy_istio_requests_total counter\n\
                    envoy_istio_requests_total{destination_raw=\"b-v1;shop;b;v1;Kubernetes\"} 3\n";
        let mut readings = exposition::read(page).expect("a page");
        let rule = Relabel::new(
            &["destination_raw"],
            "^([^;]*);([^;]*);([^;]*);([^;]*);.*$",
            "destination_version",
            "$4",
        );
        relabel(&mut readings[0].labels, &[rule.expect("a rule")]);
        assert_eq!(readings[0].labels.metric(), "istio_requests_total");
        assert_eq!(readings[0].labels.get("destination_version"), "v1");
        assert!(readings[0].counts);
    }
}
