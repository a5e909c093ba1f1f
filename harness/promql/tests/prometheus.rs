//! The same samples and the same queries, asked of a real Prometheus in a container: the answers must be equal.
//!
//! Needs a Docker engine and the image. Where one of them cannot be had the test is skipped and says so;
//! `MESHQUAKE_REQUIRE=docker` makes that a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use meshquake_promql::{Labels, METRIC_NAME, Query, Sample, Store, Value};
use testcontainers::core::error::{ClientError, TestcontainersError};
use testcontainers::core::{IntoContainerPort, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

const IMAGE: (&str, &str) = ("prom/prometheus", "v3.5.0");
/// The beginning of the samples, in seconds since the epoch; any time will do, since the samples are backfilled.
const START_S: i64 = 1_700_000_000;
const LENGTH_S: i64 = 120;

fn main() {
    let arguments = Arguments::from_args();
    let trial =
        Trial::ignorable_test("docker::a_real_prometheus_gives_the_same_answers", || match engine() {
            Ok(()) => compare(),
            Err(reason) => cannot_run(reason),
        });
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn cannot_run(reason: String) -> Result<Completion, Failed> {
    let tiers = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
    match tiers.split(',').any(|tier| tier.trim() == "docker") {
        true => Err(Failed::from(reason)),
        false => Ok(Completion::ignored_with(reason)),
    }
}

/// Whether a Docker engine answers a ping, at the places where testcontainers looks for it.
fn engine() -> Result<(), String> {
    let host = std::env::var("DOCKER_HOST").ok();
    let limit = Duration::from_secs(5);
    if let Some(address) = host.as_deref().and_then(|host| host.strip_prefix("tcp://")) {
        let stream = std::net::TcpStream::connect(address)
            .map_err(|error| format!("no Docker engine answers at {address}: {error}"))?;
        stream.set_read_timeout(Some(limit)).map_err(|error| error.to_string())?;
        return ping(stream, address);
    }
    let mut sockets: Vec<PathBuf> = Vec::new();
    match host.as_deref().and_then(|host| host.strip_prefix("unix://")) {
        Some(path) => sockets.push(path.into()),
        None => {
            sockets.push("/var/run/docker.sock".into());
            sockets.extend(
                std::env::var_os("XDG_RUNTIME_DIR")
                    .map(|dir| PathBuf::from(dir).join(".docker/run/docker.sock")),
            );
            sockets.extend(
                std::env::var_os("HOME").map(|dir| PathBuf::from(dir).join(".docker/run/docker.sock")),
            );
            sockets.extend(
                std::env::var_os("HOME").map(|dir| PathBuf::from(dir).join(".docker/desktop/docker.sock")),
            );
        }
    }
    let mut tried = Vec::new();
    for socket in sockets {
        let shown = socket.display().to_string();
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(limit)).map_err(|error| error.to_string())?;
                return ping(stream, &shown);
            }
            Err(error) => tried.push(format!("{shown}: {error}")),
        }
    }
    Err(format!("no Docker engine answers ({})", tried.join("; ")))
}

fn ping(mut stream: impl Read + std::io::Write, address: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("no Docker engine answers at {address}: {error}");
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let status = answer.lines().next().unwrap_or_default();
    if status.contains(" 200 ") {
        Ok(())
    } else {
        Err(format!("the Docker engine at {address} answers `{status}`"))
    }
}

/// Counters with a reset, with gaps and with a late start, a gauge, and a histogram, every second.
fn store() -> Store {
    let mut store = Store::new();
    let mut add = |labels: &Labels, second: i64, value: f64| {
        store.append(labels, Sample { at: (START_S + second) * 1000, value }).expect("in order");
    };
    let requests =
        |pod: &str, code: &str| Labels::named("requests_total").with("pod", pod).with("code", code);
    for second in 0..=LENGTH_S {
        let seconds = second as f64;
        add(&requests("a", "200"), second, 3.0 * seconds);
        add(&requests("b", "200"), second, if second < 70 { 5.0 * seconds } else { 5.0 * (seconds - 70.0) });
        if second >= 40 {
            add(&requests("a", "500"), second, ((second - 40) / 7) as f64);
        }
        if second % 10 != 3 {
            add(&Labels::named("temperature").with("pod", "a"), second, (seconds / 9.0).sin() * 20.0);
        }
        add(&Labels::named("info").with("pod", "a").with("version", "v1"), second, 1.0);
        add(&Labels::named("info").with("pod", "b").with("version", "v2"), second, 1.0);
        for (edge, share) in [("0.1", 0.5), ("0.5", 0.9), ("1", 0.95), ("+Inf", 1.0)] {
            let bucket = Labels::named("duration_bucket").with("pod", "a").with("le", edge);
            add(&bucket, second, (10.0 * seconds * share).floor());
        }
    }
    store
}

const QUERIES: [&str; 44] = [
    "requests_total",
    "requests_total{code=~\"5..\"}",
    "requests_total offset 30s",
    "rate(requests_total[30s])",
    "rate(requests_total[31500ms])",
    "rate(requests_total[5m])",
    "increase(requests_total[1m])",
    "increase(requests_total{code=\"500\"}[2m])",
    "irate(requests_total[10s])",
    "delta(temperature[45s])",
    "avg_over_time(temperature[1m])",
    "min_over_time(temperature[1m])",
    "max_over_time(temperature[1m])",
    "sum_over_time(temperature[1m])",
    "count_over_time(temperature[20s])",
    "last_over_time(temperature[20s])",
    "present_over_time(temperature[20s])",
    "quantile_over_time(0.9, temperature[1m])",
    "stddev_over_time(temperature[1m])",
    "absent_over_time(nothing{pod=\"x\"}[1m])",
    "sum by (code) (rate(requests_total[30s]))",
    "sum without (pod) (requests_total)",
    "avg(requests_total)",
    "count by (pod) (requests_total)",
    "topk(2, requests_total)",
    "bottomk(1, requests_total)",
    "quantile(0.3, requests_total)",
    "stddev(requests_total)",
    "requests_total{code=\"500\"} / on (pod) requests_total{code=\"200\"}",
    "requests_total / on (pod) group_left () requests_total{code=\"200\"}",
    "requests_total * on (pod) group_left (version) info",
    "requests_total > 100",
    "requests_total > bool 100",
    "requests_total{code=\"200\"} and on (pod) requests_total{code=\"500\"}",
    "requests_total unless on (pod) requests_total{code=\"500\"}",
    "sum(rate(nothing[1m])) or vector(0)",
    "absent(nothing{pod=\"x\"})",
    "label_replace(info, \"short\", \"$1\", \"version\", \"v(.*)\")",
    "label_join(info, \"both\", \"-\", \"pod\", \"version\")",
    "histogram_quantile(0.93, sum by (le) (rate(duration_bucket[30s])))",
    "histogram_quantile(0.99, duration_bucket)",
    "clamp(temperature, -1, 1) + abs(temperature) - round(temperature, 0.5)",
    "-temperature ^ 2 % 3",
    "requests_total / on (code) requests_total",
];

fn compare() -> Result<Completion, Failed> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = store();
        let load = "promtool tsdb create-blocks-from openmetrics /tmp/samples.om /data && exec prometheus \
            --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/data \
            --storage.tsdb.retention.time=100y";
        let container = GenericImage::new(IMAGE.0, IMAGE.1)
            .with_entrypoint("/bin/sh")
            .with_exposed_port(9090.tcp())
            .with_wait_for(WaitFor::message_on_either_std("Server is ready to receive web requests"))
            .with_cmd(["-c", load])
            .with_copy_to("/tmp/samples.om", openmetrics(&store).into_bytes())
            // Whoever it runs as may write there.
            .with_mount(Mount::tmpfs_mount("/data"))
            .with_startup_timeout(Duration::from_secs(180))
            .start()
            .await;
        let container = match container {
            Err(TestcontainersError::Client(error @ ClientError::PullImage { .. })) => {
                return cannot_run(error.to_string());
            }
            other => other?,
        };
        let base =
            format!("http://{}:{}", container.get_host().await?, container.get_host_port_ipv4(9090).await?);
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        // An image by that name may hold another one, and 2.x counts a sample at the very beginning of a range.
        let version = version(&client, &base).await?;
        if !version.starts_with("3.") {
            return cannot_run(format!("the image {}:{} is Prometheus {version}, not 3", IMAGE.0, IMAGE.1));
        }
        let mut differences = Vec::new();
        for text in QUERIES {
            for second in [0, 33, 75, LENGTH_S] {
                let at_s = START_S + second;
                let theirs = ask(&client, &base, text, at_s).await?;
                let ours = Query::parse(text)?.evaluate(&store, at_s * 1000);
                let ours = ours.map(|value| answer(&value)).map_err(|error| error.to_string());
                if !agree(&ours, &theirs) {
                    differences
                        .push(format!("{text} at {second} s\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
                }
            }
        }
        if differences.is_empty() {
            Ok(Completion::Completed)
        } else {
            Err(Failed::from(differences.join("\n")))
        }
    })
}

fn openmetrics(store: &Store) -> String {
    let mut text = String::new();
    for (labels, samples) in store.series() {
        let pairs: Vec<_> = labels
            .iter()
            .filter(|(name, _)| *name != METRIC_NAME)
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        for sample in samples {
            let (metric, pairs) = (labels.metric(), pairs.join(","));
            writeln!(text, "{metric}{{{pairs}}} {} {}", sample.value, sample.at / 1000)
                .expect("a string takes all");
        }
    }
    text + "# EOF\n"
}

/// By labels, so that order does not matter.
type Answer = BTreeMap<Labels, f64>;

fn answer(value: &Value) -> Answer {
    match value {
        Value::Scalar(number) => [(Labels::new(), *number)].into(),
        Value::Vector(elements) => elements.iter().cloned().collect(),
    }
}

async fn version(client: &reqwest::Client, base: &str) -> Result<String, Failed> {
    let told = client.get(format!("{base}/api/v1/status/buildinfo")).send().await?;
    let told: serde_json::Value = told.json().await?;
    let version = told["data"]["version"].as_str();
    version.map(str::to_owned).ok_or_else(|| Failed::from(format!("no version: {told}")))
}

async fn ask(
    client: &reqwest::Client,
    base: &str,
    query: &str,
    at_s: i64,
) -> Result<Result<Answer, String>, Failed> {
    let mut url = reqwest::Url::parse(&format!("{base}/api/v1/query"))?;
    url.query_pairs_mut().append_pair("query", query).append_pair("time", &at_s.to_string());
    let answer: serde_json::Value = client.get(url).send().await?.json().await?;
    if answer["status"] != "success" {
        return Ok(Err(answer["error"].as_str().unwrap_or("no reason given").to_owned()));
    }
    let number = |value: &serde_json::Value| {
        value[1]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok())
            .ok_or_else(|| Failed::from(format!("no number: {value}")))
    };
    let result = &answer["data"]["result"];
    if answer["data"]["resultType"] == "scalar" {
        return Ok(Ok([(Labels::new(), number(result)?)].into()));
    }
    let mut elements = Answer::new();
    for element in result.as_array().ok_or("no vector")? {
        let labels = element["metric"].as_object().ok_or("no labels")?;
        let labels =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect();
        elements.insert(labels, number(&element["value"])?);
    }
    Ok(Ok(elements))
}

/// Equal labels and, but for rounding, equal numbers; what is an error there must be one here.
fn agree(ours: &Result<Answer, String>, theirs: &Result<Answer, String>) -> bool {
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(labels, value)| theirs.get(labels).is_some_and(|other| close(*value, *other)))
        }
        (Err(_), Err(_)) => true,
        _ => false,
    }
}
