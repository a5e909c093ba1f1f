//! The load worker as a process, against a small server in this one, over real sockets.
//!
//! What is asserted are counts, contents and orders; times only where a bound holds on any machine.

mod lost;
mod server;
mod shared;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use meshquake::load::journey::{Body, BodyCheck, Capture, Check, Draw, Journey, Method, Step};
use meshquake::load::plan::{Hinder, LoadPlan, Mode, Pattern, Rate};
use meshquake::load::second::{Kind, Row};
use meshquake::load::{GeneratorHealth, Limits, Load, LoadEvent, Program, Summary};

use self::server::Server;

const SECOND: Duration = Duration::from_secs(1);

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_meshquake"))
}

fn step(name: &str, method: Method, path: &str) -> Step {
    Step {
        name: name.into(),
        method,
        path: path.into(),
        headers: BTreeMap::new(),
        body: None,
        capture: BTreeMap::new(),
        check: Check::default(),
        think: None,
        timeout: None,
    }
}

fn journey(name: &str, steps: Vec<Step>) -> Journey {
    Journey { name: name.into(), weight: 1, steps, ..Journey::default() }
}

fn hello() -> Vec<Journey> {
    vec![journey("hello", vec![step("hi", Method::Get, "/hi")])]
}

fn open(rate: u32, max_in_flight: u32) -> Mode {
    Mode::Open { rate: Rate::every_second(rate), pattern: Pattern::Even, max_in_flight }
}

async fn run(plan: &LoadPlan, workers: u32) -> Summary {
    Load::start(plan, workers, &program()).await.expect("starts").finish().await
}

fn count(rows: &[Row], status: &str) -> u64 {
    rows.iter().filter(|row| row.kind.status == status).map(|row| row.latency.len()).sum()
}

/// What nobody lost: reports, workers' own counts and the server agree.
#[track_caller]
fn agree(summary: &Summary, server: &Server) {
    assert_eq!(summary.deaths, []);
    assert_eq!(summary.totals.requests, summary.requests(), "no line was lost");
    assert_eq!(summary.totals.unfinished, 0);
    assert_eq!(server.requests().len() as u64, summary.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_sends_exactly_what_the_schedule_says() {
    let server = Server::start().await;
    let plan = LoadPlan { length: SECOND * 2, ..server.plan(open(50, 100), hello()) };
    let summary = run(&plan, 1).await;
    agree(&summary, &server);
    assert_eq!((summary.begun(), summary.intended(), summary.ok()), (100, 100, 100));
    assert_eq!(count(&summary.rows(), "200"), 100);
    // Seconds come in order, whole ones, from the start.
    let times: Vec<_> = summary.seconds.iter().map(|second| second.at - summary.started).collect();
    assert!(
        times.len() >= 2 && times.iter().enumerate().all(|(index, at)| *at == index as i64 * 1000),
        "{times:?}"
    );
    assert_eq!(summary.seconds.iter().map(|second| second.send_lag.len()).sum::<u64>(), 100);
    let event = summary.to_event(&Limits::default());
    assert_eq!((event.intended, event.sent, event.ok, event.failed), (100, 100, 100, 0));
    assert_eq!(event.requests[0].buckets.iter().map(|(_, count)| count).sum::<u64>(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_send_the_same_requests_as_one() {
    let variables = BTreeMap::from([("user".to_owned(), Draw::Int(1, 1_000_000))]);
    let journeys =
        vec![Journey { variables, ..journey("users", vec![step("look", Method::Get, "/users/{user}")]) }];
    let mut seen = Vec::new();
    for workers in [1, 2] {
        let server = Server::start().await;
        let summary = run(&server.plan(open(40, 80), journeys.clone()), workers).await;
        agree(&summary, &server);
        assert_eq!(summary.ok(), 40);
        // One second's reports of both are one second.
        let times: Vec<_> = summary.seconds.iter().map(|second| second.at).collect();
        assert!(times.is_sorted_by(|one, other| one < other), "{times:?}");
        seen.push(server.requests());
    }
    assert_eq!(seen[0], seen[1], "paths, trace ids and request ids come from the seed");
    let ids: std::collections::BTreeSet<_> = seen[0].iter().map(|request| &request.id).collect();
    assert_eq!(ids.len(), 40);
    assert!(
        seen[0]
            .iter()
            .all(|request| request.traceparent.starts_with("00-") && request.traceparent.len() == 55)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_in_the_latency_of_all_who_were_due_in_it() {
    let server = Server::start().await;
    let plan = LoadPlan { length: SECOND * 2, ..server.plan(open(50, 10), hello()) };
    let mut running = Load::start(&plan, 1, &program()).await.expect("starts");
    *server.seen.stalled_until.lock().expect("not poisoned") = Some(Instant::now() + SECOND);
    while running.next().await.is_some() {}
    let summary = running.finish().await;
    agree(&summary, &server);
    assert_eq!((summary.begun(), summary.ok()), (100, 100));
    // Ten were under way in the stall. A generator that waits for its answers would see ten slow ones; of the about
    // 47 that were due in it, those of its first 700 ms had to wait for more than a quarter of a second.
    let slow: u64 =
        summary.rows().iter().map(|row| row.latency.len() - row.latency.count_at_most(SECOND / 4)).sum();
    assert!(slow >= 30, "{slow} of 100 were slow");
    // And the system is blamed for it, not the generator.
    let waited: u64 = summary.seconds.iter().map(|second| second.slot_wait.len()).sum();
    assert!(waited >= 20, "{waited} waited for a slot");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_without_a_slot_fail_and_are_counted() {
    let server = Server::start().await;
    let mut never = step("never", Method::Get, "/never");
    never.timeout = Some(SECOND * 2);
    let plan = LoadPlan {
        timeout: SECOND / 2,
        drain: SECOND * 10,
        ..server.plan(open(20, 2), vec![journey("stuck", vec![never])])
    };
    let summary = run(&plan, 1).await;
    assert_eq!(summary.deaths, []);
    assert_eq!((summary.begun(), summary.ok()), (20, 0));
    let rows = summary.rows();
    assert_eq!((count(&rows, "timeout"), count(&rows, "no-slot")), (2, 18));
    assert_eq!(summary.seconds.iter().map(|second| second.no_slot).sum::<u64>(), 18);
    let no_slot = rows.iter().find(|row| row.kind.status == "no-slot").expect("there are some");
    assert_eq!(
        no_slot.latency.count_at_most(SECOND / 2 - SECOND / 100),
        0,
        "they waited for the whole timeout"
    );
    assert_eq!((no_slot.kind.journey.as_str(), no_slot.kind.request.as_str()), ("stuck", "never"));
    assert_eq!(server.seen.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_loop_keeps_its_users_busy_and_no_more() {
    let server = Server::start().await;
    let plan = server.plan(Mode::Closed { users: 3 }, hello());
    let summary = run(&plan, 2).await;
    agree(&summary, &server);
    assert!(summary.ok() >= 3 && summary.ok() == summary.begun(), "{summary:?}");
    assert!(server.seen.most_at_once.load(Ordering::SeqCst) <= 3);
    let ids: std::collections::BTreeSet<_> =
        server.requests().into_iter().map(|request| request.id).collect();
    assert_eq!(ids.len() as u64, summary.ok(), "no execution is numbered twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journey_keeps_cookies_captures_and_variables_to_itself() {
    let server = Server::start().await;
    let mut login = step("login", Method::Post, "/login/{user}");
    login.body = Some(Body::Json(serde_json::json!({"user": "{user}"})));
    login.capture = BTreeMap::from([("token".to_owned(), Capture::Json("/token".into()))]);
    let mut order = step("order", Method::Put, "/orders/{token}");
    order.body = Some(Body::Text("{\"of\": {user}}".into()));
    let variables = BTreeMap::from([("user".to_owned(), Draw::Int(1, 1_000_000_000))]);
    let journeys = vec![Journey { variables, ..journey("order", vec![login, order]) }];
    let summary = run(&server.plan(open(20, 40), journeys), 1).await;
    agree(&summary, &server);
    assert_eq!((summary.begun(), summary.ok()), (20, 40));
    let requests = server.requests();
    let logins: Vec<_> = requests.iter().filter(|request| request.path.starts_with("/login/")).collect();
    assert_eq!(logins.len(), 20);
    for login in logins {
        let user = login.path.trim_start_matches("/login/");
        assert_eq!(
            (login.cookies.as_str(), login.body.as_str()),
            ("", format!("{{\"user\":{user}}}").as_str())
        );
        let order =
            requests.iter().find(|request| request.path == format!("/orders/t{user}")).expect("an order");
        assert_eq!(order.cookies, format!("session={user}"));
        assert_eq!(order.body, format!("{{\"of\": {user}}}"));
        assert_eq!(order.traceparent[..36], login.traceparent[..36], "one trace for the whole journey");
        assert_ne!(order.id, login.id, "each request has an id of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart_and_shown_by_example() {
    let server = Server::start().await;
    let mut wrong = step("wrong", Method::Get, "/hi");
    wrong.check = Check { status: vec![200], body: Some(BodyCheck::Equals("good bye".into())) };
    let mut empty = step("empty", Method::Get, "/hi");
    empty.capture = BTreeMap::from([("id".to_owned(), Capture::Header("x-id".into()))]);
    let mut never = step("never", Method::Get, "/never");
    never.timeout = Some(SECOND / 5);
    let journeys = vec![
        journey("wrong", vec![wrong, step("not-reached", Method::Get, "/not-reached")]),
        journey("broken", vec![step("broken", Method::Get, "/broken")]),
        journey("empty", vec![empty]),
        journey("never", vec![never]),
        journey("redirect", vec![step("redirect", Method::Get, "/redirect")]),
    ];
    let summary = run(&server.plan(open(60, 120), journeys), 1).await;
    agree(&summary, &server);
    assert_eq!(summary.begun(), 60);
    let kinds: Vec<(String, String, bool)> = summary
        .rows()
        .into_iter()
        .map(|Row { kind: Kind { request, status, ok, .. }, .. }| (request, status, ok))
        .collect();
    let expected = [
        ("broken", "503", false),
        ("empty", "200", false),
        ("never", "timeout", false),
        ("redirect", "302", true),
        ("wrong", "200", false),
    ];
    assert_eq!(kinds, expected.map(|(request, status, ok)| (request.to_owned(), status.to_owned(), ok)));
    let errors = summary.to_event(&Limits::default()).errors;
    let reasons: Vec<_> =
        errors.iter().map(|error| (error.request.as_str(), error.reason.as_str())).collect();
    assert!(reasons.contains(&("broken", "status 503")), "{reasons:?}");
    assert!(reasons.contains(&("wrong", "check: body is not the expected text")), "{reasons:?}");
    assert!(reasons.contains(&("empty", "capture: no header `x-id`")), "{reasons:?}");
    assert!(reasons.iter().any(|(request, reason)| *request == "never" && reason.starts_with("timeout: ")));
    let broken = errors.iter().find(|error| error.request == "broken").expect("shown");
    assert_eq!(broken.body, "no luck today");
    assert_eq!(broken.count, count(&summary.rows(), "503"));
    let sent = server.requests();
    assert!(
        sent.iter()
            .any(|request| request.id == broken.request_id && request.traceparent.contains(&broken.trace_id))
    );
    // Of each kind a few examples, whatever their number.
    assert!(summary.samples().filter(|sample| sample.kind.request == "broken").count() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_home_and_a_closed_door_are_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let closing = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // Reads the request and hangs up in the middle of the answer.
            let mut buffer = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut buffer).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 200 OK\r\nconte").await;
        }
    });
    let plan = |address: &str| LoadPlan {
        length: SECOND / 2,
        ..LoadPlan::new(format!("http://{address}"), hello(), open(20, 20))
    };
    let rows = run(&plan(&address.to_string()), 1).await.rows();
    assert_eq!(count(&rows, "closed"), 10, "{rows:?}");
    closing.abort();
    let _ = closing.await;
    let rows = run(&plan(&address.to_string()), 1).await.rows();
    assert_eq!(count(&rows, "refused"), 10, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_arrivals_and_lets_the_rest_finish() {
    let server = Server::start().await;
    let plan = LoadPlan { length: SECOND * 600, ..server.plan(open(50, 100), hello()) };
    let mut running = Load::start(&plan, 2, &program()).await.expect("starts");
    assert!(matches!(running.next().await, Some(LoadEvent::Second(_))));
    running.stopper().stop();
    let stopped = Instant::now();
    let summary = running.finish().await;
    assert!(stopped.elapsed() < SECOND * 5, "{:?}", stopped.elapsed());
    agree(&summary, &server);
    assert!(summary.stopped.is_some_and(|stopped| stopped >= SECOND));
    assert!((50..300).contains(&summary.ok()) && summary.ok() == summary.begun(), "{}", summary.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starved_generator_is_found_out() {
    let server = Server::start().await;
    let plan = LoadPlan {
        length: SECOND * 2,
        hinder: Some(Hinder::Cpu { percent: 90 }),
        ..server.plan(open(50, 100), hello())
    };
    let summary = run(&plan, 1).await;
    let GeneratorHealth::Bottleneck { why } = summary.health(&Limits::default()) else {
        panic!("taken for a good one: {:?}", summary.to_event(&Limits::default()))
    };
    assert!(why[0].starts_with("requests were sent late (p99 "), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_cannot_be_says_why() {
    let server = Server::start().await;
    let fails = async |plan: LoadPlan, program: Program| match Load::start(&plan, 1, &program).await {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    };
    let plan = || server.plan(open(1, 1), hello());
    assert!(fails(server.plan(open(1, 1), vec![]), program()).await.contains("at least one journey"));
    assert!(fails(server.plan(Mode::Closed { users: 0 }, hello()), program()).await.contains("no users"));
    assert!(fails(plan(), Program::new("/nowhere/meshquake")).await.contains("`/nowhere/meshquake`"));
    let other = Program { path: "/bin/false".into(), args: vec![] };
    assert!(fails(plan(), other).await.contains("did not get ready"));
    let hostless = LoadPlan { base: "no url".into(), ..plan() };
    assert!(fails(hostless, program()).await.contains("goose gave up"));
}
