//! The scraper against real sockets: pages that change, fail and go away.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use meshquake_promql::is_stale;

use super::super::target::{Address, Kind};
use super::*;

/// A page on a Unix socket that the test can change.
struct Page {
    text: Arc<Mutex<Option<&'static str>>>,
    target: Target,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Page {
    fn serve(name: &str, first: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&socket).expect("bound");
        let text = Arc::new(Mutex::new(Some(first)));
        let shown = Arc::clone(&text);
        let page = move || {
            let page = shown
                .lock()
                .expect("not poisoned")
                .map_or((StatusCode::SERVICE_UNAVAILABLE, ""), |page| (StatusCode::OK, page));
            async move { page }
        };
        let router = Router::new().route("/stats/prometheus", get(page));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        let target = Target {
            name: name.to_owned(),
            kind: Kind::Sidecar,
            address: Address::Unix { socket, path: "/stats/prometheus".to_owned() },
            labels: [("namespace".to_owned(), "shop".to_owned())].into(),
        };
        Self { text, target, server, _folder: folder }
    }

    fn show(&self, page: Option<&'static str>) {
        *self.text.lock().expect("not poisoned") = page;
    }
}

/// A scraper that makes a first round at once and then only those that the test asks for.
fn scraper(targets: &watch::Sender<Vec<Target>>, samples: &Samples) -> Scraper {
    Scraper::start(targets.subscribe(), samples.clone(), Duration::from_secs(3600))
}

fn labels(name: &str, pod: &str) -> Labels {
    Labels::named(name).with("pod", pod).with("namespace", "shop").with("container", "istio-proxy")
}

/// The values of a series; `end` for its end.
fn values(samples: &Samples, labels: &Labels) -> Vec<String> {
    let word = |value: f64| if is_stale(value) { "end".to_owned() } else { value.to_string() };
    samples.read(|store| store.samples(labels).iter().map(|sample| word(sample.value)).collect())
}

#[tokio::test]
async fn a_targets_life_from_first_page_to_last() {
    let page = Page::serve("a", "# TYPE x counter\nx 5\n");
    let samples = Samples::in_memory();
    let (targets, _kept) = watch::channel(vec![page.target.clone()]);
    let scraper = scraper(&targets, &samples);
    scraper.refresh().await;
    // A counter that comes later began at zero, at the round before.
    page.show(Some("# TYPE x counter\nx 6\n# TYPE y counter\ny{pod=\"own\"} 2\n"));
    scraper.refresh().await;
    page.show(None);
    scraper.refresh().await;
    // After a failed round nobody knows when a new counter began.
    page.show(Some("# TYPE x counter\nx 8\n# TYPE z counter\nz 9\n"));
    scraper.refresh().await;
    targets.send(Vec::new()).expect("received");
    let gaps = scraper.stop().await.expect("written");

    let x = values(&samples, &labels("x", "a"));
    assert_eq!(x, ["5", "5", "6", "end", "8", "end"]);
    let y = labels("y", "a").with("exported_pod", "own");
    assert_eq!(values(&samples, &y), ["0", "2", "end"]);
    assert_eq!(values(&samples, &labels("z", "a")), ["9", "end"]);
    assert_eq!(values(&samples, &labels("up", "a")), ["1", "1", "1", "0", "1", "end"]);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].target.as_str(), gaps[0].reason.as_str()), ("a", "answered 503"));
    assert!(gaps[0].to.is_some_and(|to| to > gaps[0].from));
}

#[tokio::test]
async fn a_page_with_equal_labels_twice_is_a_gap_and_other_targets_go_on() {
    let bad = Page::serve("bad", "x{a=\"1\"} 5\nx{a=\"1\"} 6\n");
    let good = Page::serve("good", "x 5\n");
    let gone = Target {
        name: "gone".to_owned(),
        address: Address::Http("http://127.0.0.1:1/metrics".to_owned()),
        ..good.target.clone()
    };
    let samples = Samples::in_memory();
    let (targets, _kept) = watch::channel(vec![bad.target.clone(), good.target.clone(), gone]);
    let scraper = scraper(&targets, &samples);
    let gaps = scraper.stop().await.expect("written");
    assert_eq!(values(&samples, &labels("x", "good")).first().map(String::as_str), Some("5"));
    let reasons: Vec<_> = gaps.iter().map(|gap| (gap.target.as_str(), gap.reason.as_str())).collect();
    let twice = "line 2: the labels x{a=\"1\"} are on the page twice";
    assert_eq!(reasons.first(), Some(&("bad", twice)), "{reasons:?}");
    assert_eq!(reasons.get(1).map(|(target, _)| *target), Some("gone"), "{reasons:?}");
}

#[tokio::test]
async fn rounds_come_by_themselves_and_note_their_real_interval() {
    let page = Page::serve("a", "x 5\n");
    let samples = Samples::in_memory();
    let (targets, _kept) = watch::channel(vec![page.target.clone()]);
    let scraper = Scraper::start(targets.subscribe(), samples.clone(), Duration::from_millis(20));
    let seen = crate::wait::until("three rounds", Duration::from_secs(30), async || {
        match values(&samples, &labels("x", "a")).len() {
            few @ 0..3 => crate::wait::Seen::NotYet(format!("{few} rounds")),
            _ => crate::wait::Seen::Done(()),
        }
    });
    seen.await.expect("rounds");
    scraper.stop().await.expect("written");
    samples.read(|store| {
        let rounds: Vec<_> = store.samples(&labels("x", "a")).iter().map(|sample| sample.at).collect();
        let intervals: Vec<_> =
            store.samples(&Labels::named(INTERVAL)).iter().map(|sample| sample.value).collect();
        let expected: Vec<_> = rounds.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1000.0).collect();
        assert_eq!(intervals, expected);
    });
}
