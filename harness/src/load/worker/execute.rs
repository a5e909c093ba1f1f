//! One execution of a journey: request after request, checked, captured, recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use goose::goose::{GooseMethod, GooseRequest, GooseUser, TransactionError};
use http::HeaderMap;
use http::header::{COOKIE, SET_COOKIE};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use reqwest::cookie::{CookieStore, Jar};

use super::Shared;
use super::slots::Turn;
use crate::error::chain;
use crate::load::journey::{Body, Journey, Method, Step, Values, fill_json};
use crate::load::second::{ErrorSample, Kind};

/// An example of an error shows so much of a body.
const EXCERPT: usize = 512;

pub struct Execution<'j> {
    pub journey: &'j Journey,
    /// The arrival, where there is one.
    pub turn: Option<Turn>,
    pub rng: ChaCha8Rng,
}

/// The ids that a request carries, drawn from the seed.
struct Ids {
    traceparent: String,
    request_id: String,
}

/// What a request came to.
struct Answer {
    status: String,
    /// Why it failed, if it did, and the part of that which is the same for all failures alike.
    fault: Option<String>,
    detail: String,
    headers: HeaderMap,
    body: String,
}

/// Runs the journey to its end or to its first failure.
pub async fn execute(user: &mut GooseUser, shared: &Shared, execution: Execution<'_>) {
    let Execution { journey, turn, mut rng } = execution;
    let began = Instant::now();
    // Late by the worker up to the hand-out; after it, waiting for a slot is the system's doing.
    let (lag, slot_wait) = match turn {
        None => (None, None),
        Some(turn) if turn.waited => (Some(turn.handed - turn.due), Some(began - turn.handed)),
        Some(turn) => (Some(began - turn.due), None),
    };
    shared.record(|recorder| recorder.begun(began, lag, slot_wait));

    let trace: u128 = rng.random();
    let mut values: Values =
        journey.variables.iter().map(|(name, draw)| (name.clone(), draw.draw(&mut rng))).collect();
    let cookies = Arc::new(Jar::default());
    let last = journey.steps.len().saturating_sub(1);
    for (index, step) in journey.steps.iter().enumerate() {
        let ids = Ids::draw(trace, &mut rng);
        let sent = Instant::now();
        let mut answer = send(user, shared, step, &ids, &values, &cookies).await;
        let now = Instant::now();
        if answer.fault.is_none() {
            for (name, capture) in &step.capture {
                match capture.take(&answer.headers, &answer.body) {
                    Ok(value) => drop(values.insert(name.clone(), value)),
                    Err(why) => answer.fault = Some(why),
                }
            }
        }
        let since = turn.filter(|_| index == 0).map_or(sent, |turn| turn.due);
        let failed = answer.fault.is_some();
        shared.record(|recorder| {
            let kind = Kind {
                journey: journey.name.clone(),
                request: step.name.clone(),
                status: answer.status.clone(),
                ok: !failed,
            };
            if let Some(fault) = answer.fault.take().filter(|fault| recorder.wants_sample(&kind, fault)) {
                let sample = answer.into_sample(recorder.clock().millis(now), kind.clone(), fault, ids);
                recorder.sample(now, sample);
            }
            recorder.answer(now, kind, now - since);
        });
        if failed {
            return;
        }
        let think = step.think.unwrap_or(journey.think);
        // An open loop has no user that would come back after its last step.
        if think > Duration::ZERO && (index < last || turn.is_none()) {
            shared.think(think).await;
        }
    }
}

async fn send(
    user: &mut GooseUser,
    shared: &Shared,
    step: &Step,
    ids: &Ids,
    values: &Values,
    cookies: &Arc<Jar>,
) -> Answer {
    let method = match step.method {
        Method::Get => GooseMethod::Get,
        Method::Post => GooseMethod::Post,
        Method::Put => GooseMethod::Put,
        Method::Patch => GooseMethod::Patch,
        Method::Delete => GooseMethod::Delete,
    };
    let mut request = match user.get_request_builder(&method, &step.path.fill_path(values)) {
        Ok(request) => request.timeout(step.timeout.unwrap_or(shared.plan.timeout)),
        Err(error) => return Answer::not_built(*error),
    };
    request = request.header("traceparent", &ids.traceparent).header("x-request-id", &ids.request_id);
    if let Some(cookies) = cookies.cookies(&user.base_url) {
        request = request.header(COOKIE, cookies);
    }
    request = match &step.body {
        None => request,
        Some(Body::Text(text)) => request.body(text.fill(values)),
        Some(Body::Json(json)) => request.json(&fill_json(json, values)),
    };
    for (name, value) in &step.headers {
        request = request.header(name, value.fill(values));
    }
    let request = GooseRequest::builder().set_request_builder(request).name(step.name.as_str()).build();
    let response = match user.request(request).await {
        Ok(answer) => answer.response,
        Err(error) => return Answer::not_built(*error),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return Answer::broken(error, ""),
    };
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    cookies.set_cookies(&mut headers.get_all(SET_COOKIE).iter(), response.url());
    match response.bytes().await {
        Ok(bytes) => {
            let body = String::from_utf8_lossy(&bytes).into_owned();
            let fault = step.check.fault(status, &body);
            Answer { status: status.to_string(), fault, detail: String::new(), headers, body }
        }
        Err(error) => {
            let answer = Answer::broken(error, &format!("the answer broke off after status {status}: "));
            Answer { headers, ..answer }
        }
    }
}

impl Answer {
    /// No whole answer came.
    fn none(status: &str, detail: String) -> Self {
        Self {
            status: status.to_owned(),
            fault: Some(status.to_owned()),
            detail,
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    /// Without the address that the error would tell: a path may hold a password, and this gets into reports.
    fn broken(error: reqwest::Error, before: &str) -> Self {
        let status = status_of(&error);
        Self::none(status, format!("{before}{}", chain(&error.without_url())))
    }

    fn not_built(error: TransactionError) -> Self {
        match error {
            TransactionError::Reqwest(error) => Self::broken(error, "the request cannot be built: "),
            other => Self::none("other", format!("the request cannot be built: {other}")),
        }
    }

    fn into_sample(self, at: i64, kind: Kind, fault: String, ids: Ids) -> ErrorSample {
        let reason = if self.detail.is_empty() { fault } else { format!("{fault}: {}", self.detail) };
        let body = self.body.chars().take(EXCERPT).collect();
        ErrorSample { at, kind, reason, traceparent: ids.traceparent, request_id: ids.request_id, body }
    }
}

impl Ids {
    fn draw(trace: u128, rng: &mut ChaCha8Rng) -> Self {
        let span: u64 = rng.random();
        // The bits that mark a random UUID.
        let id = (rng.random::<u128>() & !(0xf000 << 64 | 0xc000 << 48)) | 0x4000 << 64 | 0x8000 << 48;
        let hex = format!("{id:032x}");
        let request_id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Self { traceparent: format!("00-{trace:032x}-{span:016x}-01"), request_id }
    }
}

/// One word for what came instead of an answer.
fn status_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "timeout";
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            match error.kind() {
                std::io::ErrorKind::ConnectionRefused => return "refused",
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::ConnectionAborted => return "reset",
                std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::UnexpectedEof => return "closed",
                _ => {}
            }
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_closed())
        {
            return "closed";
        }
        cause = error.source();
    }
    "other"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::stream;

    #[test]
    fn ids_are_drawn_from_the_seed_and_well_formed() {
        let ids = |seed| Ids::draw(7, &mut stream(seed, 3));
        let one = ids(1);
        assert_eq!(one.traceparent.len(), 55);
        assert!(one.traceparent.starts_with("00-00000000000000000000000000000007-"), "{}", one.traceparent);
        let uuid = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            .expect("valid");
        for seed in 0..100 {
            assert!(uuid.is_match(&ids(seed).request_id), "{}", ids(seed).request_id);
        }
        assert_eq!((one.traceparent, one.request_id.clone()), (ids(1).traceparent, ids(1).request_id));
        assert_ne!(one.request_id, ids(2).request_id);
    }
}
