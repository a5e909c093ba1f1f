//! A client that waits for an API server that is away for a moment: it is updated, or its node is busy.

use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use tokio::time::{Instant, Sleep};
use tower::buffer::BufferLayer;
use tower::retry::{Policy, RetryLayer};
use tower::{BoxError, ServiceBuilder};

/// How long it may be away before what is asked of it counts as failed.
const PATIENCE: Duration = Duration::from_secs(25);
/// Requests on their way before the next has to wait.
const AT_ONCE: usize = 256;
const PAUSE: Duration = Duration::from_millis(250);

/// A client for this configuration.
pub fn client(config: kube::Config) -> Result<kube::Client, kube::Error> {
    // What is asked again goes through a copy of the way, which only the buffer can give.
    let layer = ServiceBuilder::new()
        .layer(RetryLayer::new(Patient { until: None }))
        .layer(BufferLayer::new(AT_ONCE));
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Asks again while nobody answers, what can be asked twice.
#[derive(Clone)]
struct Patient {
    until: Option<Instant>,
}

impl<Res> Policy<Request<Body>, Response<Res>, BoxError> for Patient {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<Res>, BoxError>,
    ) -> Option<Self::Future> {
        // An answer is an answer, also where it is no.
        if result.is_ok() || *request.method() == Method::POST {
            return None;
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        (now < until).then(|| tokio::time::sleep(PAUSE)) // pacing
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.version_mut() = request.version();
        copy.extensions_mut().extend(request.extensions().clone());
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request<Body> {
        Request::builder().method(method).body(Body::empty()).expect("a request")
    }

    #[tokio::test]
    async fn silence_is_asked_again_but_never_a_creation() {
        let silent = || Err::<Response<()>, BoxError>("connection refused".into());
        let mut patient = Patient { until: None };
        assert!(patient.retry(&mut request(Method::GET), &mut silent()).is_some());
        assert!(patient.retry(&mut request(Method::POST), &mut silent()).is_none());
        let answer = Response::new(());
        assert!(patient.retry(&mut request(Method::GET), &mut Ok(answer)).is_none());
        let mut spent = Patient { until: Some(Instant::now()) };
        assert!(spent.retry(&mut request(Method::GET), &mut silent()).is_none());
    }
}
