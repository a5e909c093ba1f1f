//! Several workers of one load: what they saw together is what each of them saw.

use meshquake::load::Latencies;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_merged_histogram_is_that_of_the_joined_raw_samples() {
    const WORKERS: u32 = 2;
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let raw = Some(folder.path().to_owned());
    // Answers of two kinds, so that one kind cannot pass for all.
    let journeys = vec![
        journey("hello", vec![step("hi", Method::Get, "/hi")]),
        journey("broken", vec![step("broken", Method::Get, "/broken")]),
    ];
    let plan = LoadPlan { length: SECOND * 3, raw, ..server.plan(open(500, 1000), journeys) };
    let summary = run(&plan, WORKERS).await;
    agree(&summary, &server);
    assert_eq!((summary.intended(), summary.begun()), (1500, 1500));

    let mut joined = BTreeMap::<Kind, Latencies>::new();
    for worker in 0..WORKERS {
        let text = std::fs::read_to_string(folder.path().join(worker.to_string())).expect("its samples");
        assert_eq!(text.lines().count(), 750, "worker {worker} has the half of it");
        for line in text.lines() {
            let (kind, latency) = sample(line);
            joined.entry(kind).or_default().record(latency);
        }
    }
    assert_eq!(joined.len(), 2);
    let joined: Vec<Row> = joined.into_iter().map(|(kind, latency)| Row { kind, latency }).collect();
    // Equal histograms have the same count in every bucket.
    assert_eq!(summary.rows(), joined);
}

fn sample(line: &str) -> (Kind, Duration) {
    let parts: Vec<&str> = line.split('\t').collect();
    let [journey, request, status, ok, nanos] = parts[..] else { panic!("no sample: {line}") };
    let (journey, request, status) = (journey.to_owned(), request.to_owned(), status.to_owned());
    let ok = ok.parse().expect("whether it passed");
    (Kind { journey, request, status, ok }, Duration::from_nanos(nanos.parse().expect("a time")))
}
