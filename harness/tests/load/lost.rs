//! Workers that end before their time, or that nobody hears of any more.

use super::*;

/// A worker that was started by hand and has sent for a second.
async fn worker_under_way(
    server: &Server,
) -> (tokio::process::Child, tokio::io::Lines<impl tokio::io::AsyncBufRead + Unpin>) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut never = step("never", Method::Get, "/never");
    never.timeout = Some(SECOND * 60);
    let mut journeys = hello();
    journeys.push(Journey { weight: 1, ..journey("never", vec![never]) });
    let plan = LoadPlan { length: SECOND * 600, ..server.plan(open(50, 1000), journeys) };
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_meshquake"))
        .arg("load-worker")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let stdin = child.stdin.as_mut().expect("piped");
    let plan = serde_json::to_string(&plan).expect("serialises");
    stdin.write_all(format!("{plan}\n").as_bytes()).await.expect("written");
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("\"ready\""));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let start = format!("{{\"start\": {{\"at\": {}}}}}\n", now.as_millis());
    stdin.write_all(start.as_bytes()).await.expect("written");
    let line = lines.next_line().await.expect("a line").expect("a line");
    assert!(line.starts_with("{\"second\":"), "{line}");
    (child, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_worker_at_once_with_what_it_has() {
    let server = Server::start().await;
    let (mut child, mut lines) = worker_under_way(&server).await;
    let pid = rustix::process::Pid::from_raw(child.id().expect("alive") as i32).expect("a process");
    let asked = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.expect("readable") {
        last = line;
    }
    let status = child.wait().await.expect("ends");
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < SECOND * 3, "{:?}", asked.elapsed());
    assert!(last.starts_with("{\"cut-short\":"), "{last}");
    assert!(!last.contains("\"unfinished\":0"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_when_nobody_listens_any_more() {
    let server = Server::start().await;
    let (mut child, lines) = worker_under_way(&server).await;
    drop(child.stdin.take());
    drop(lines);
    let ended = tokio::time::timeout(SECOND * 10, child.wait()).await;
    assert!(ended.is_ok(), "it goes on for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_is_told_and_spoils_the_load() {
    for (signal, why) in [
        (rustix::process::Signal::KILL, "it ended before the load did"),
        // One that could still say goodbye is lost as well.
        (rustix::process::Signal::TERM, "somebody ended it before the load was over"),
    ] {
        lost_by(signal, why).await;
    }
}

async fn lost_by(signal: rustix::process::Signal, why: &str) {
    let server = Server::start().await;
    let plan = LoadPlan { length: SECOND * 3, ..server.plan(open(20, 40), hello()) };
    let mut running = Load::start(&plan, 2, &program()).await.expect("starts");
    let victim = rustix::process::Pid::from_raw(running.pids()[1] as i32).expect("a process");
    assert!(matches!(running.next().await, Some(LoadEvent::Second(_))));
    rustix::process::kill_process(victim, signal).expect("signalled");
    let mut died = Vec::new();
    while let Some(event) = running.next().await {
        if let LoadEvent::WorkerDied(death) = event {
            died.push(death);
        }
    }
    let summary = running.finish().await;
    assert_eq!(died.iter().map(|died| died.worker).collect::<Vec<_>>(), [1]);
    assert_eq!(summary.deaths, died);
    // The other one went on to the end with its half.
    assert!(summary.ok() >= 30, "{}", summary.ok());
    let health = summary.health(&Limits::default()).to_string();
    assert!(health.contains(&format!("load worker 1 was lost: {why}")), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_worker_is_lost_as_well() {
    let server = Server::start().await;
    let plan = LoadPlan { length: SECOND * 60, ..server.plan(open(20, 40), hello()) };
    let mut running = Load::start(&plan, 1, &program()).await.expect("starts");
    let victim = rustix::process::Pid::from_raw(running.pids()[0] as i32).expect("a process");
    assert!(matches!(running.next().await, Some(LoadEvent::Second(_))));
    rustix::process::kill_process(victim, rustix::process::Signal::STOP).expect("stopped");
    let death = loop {
        match running.next().await {
            Some(LoadEvent::WorkerDied(died)) => break died,
            Some(LoadEvent::Second(_)) => {}
            None => panic!("the load ended without a word about its worker"),
        }
    };
    assert!(death.why.starts_with("it said nothing for "), "{}", death.why);
    assert_eq!(running.finish().await.deaths.len(), 1);
}
