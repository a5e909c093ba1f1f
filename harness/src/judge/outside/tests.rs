//! What is asked, and what the answers come to: by a server that speaks as Prometheus does.

use axum::extract::Query as Asking;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde_json::json;

use super::super::fixture::{Run, WELL, objective, success};
use super::super::objective::{Expression, NoData};
use super::*;
use crate::event::Relation;

#[derive(serde::Deserialize)]
struct Instant {
    query: String,
}

/// Prometheus' words for a vector of one value; `samples` are what it has of any series.
async fn serve(samples: &'static str, value: Option<&'static str>) -> Prometheus {
    let answer = move |Asking(instant): Asking<Instant>| async move {
        let value = if instant.query.starts_with("max(count_over_time(") { Some(samples) } else { value };
        let result: Vec<_> = value.iter().map(|value| json!({"metric": {}, "value": [1.5, value]})).collect();
        Answer(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/api/v1/query", get(answer))).await },
    );
    Prometheus::at(&url).unwrap()
}

fn calls() -> Objective {
    let promql = "sum(increase(istio_requests_total[$window]))".to_owned();
    objective(Window::Run, Expression::Promql(promql), Relation::AtLeast, 1.0)
}

async fn opinion(run: &Run, objective: &Objective, by: &Prometheus) -> SecondOpinion {
    let (judged, asked) = run.asked(objective);
    by.ask(objective, &judged, asked).await
}

#[tokio::test]
async fn its_answer_stands_beside_ours() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    let opinion = opinion(&run, &calls(), &serve("18", Some("179.5")).await).await;
    assert_eq!((opinion.theirs, opinion.note.as_str()), (Some(179.5), ""));
}

#[tokio::test]
async fn where_it_cannot_know_it_says_why() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    let note = async |objective: &Objective, samples, value| {
        let opinion = opinion(&run, objective, &serve(samples, value).await).await;
        assert_eq!(opinion.theirs, None);
        opinion.note
    };
    assert_eq!(note(&calls(), "1", Some("3")).await, "its scrape interval leaves 1 sample in the window");
    assert_eq!(note(&calls(), "9", None).await, "it has no value for it");
    let of_load = success(Window::Run, 1.0);
    assert_eq!(note(&of_load, "9", Some("1")).await, "it is about the load, which is counted only here");
    let recovery =
        Window::Recovery { action: None, within: Duration::from_secs(5), hold: Duration::from_secs(3) };
    let recovery = Objective { window: recovery, no_data: NoData::Fail, ..calls() };
    assert_eq!(note(&recovery, "9", Some("1")).await, "it was judged second by second until it held");
}

#[tokio::test]
async fn nobody_there_is_told() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    let by = Prometheus::at("http://127.0.0.1:1").unwrap();
    let opinion = opinion(&run, &calls(), &by).await;
    assert!(opinion.theirs.is_none() && opinion.note.contains("127.0.0.1:1"), "{opinion:?}");
}

#[tokio::test]
async fn a_password_in_its_address_is_told_to_nobody() {
    let run = Run::new(|_| WELL);
    run.healthy_mesh();
    for address in ["http://ann:canary@127.0.0.1:1", "http://ann:canary@127.0.0.1:port"] {
        let opinion = opinion(&run, &calls(), &Prometheus::at(address).unwrap()).await;
        assert!(opinion.theirs.is_none() && !opinion.note.is_empty(), "{opinion:?}");
        assert!(!format!("{opinion:?}").contains("canary"), "{opinion:?}");
    }
}
