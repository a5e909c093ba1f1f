//! What identifies a request across services: W3C trace context and the request id.
//!
//! Both are copied to the next hop unchanged. The shop records no spans; a new parent id would point at a span that nobody
//! reports, and tear the sidecars' spans apart. A request that comes without them gets new ones here.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::random;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The identity of the request in hand.
#[derive(Clone, Debug)]
pub struct Trace {
    traceparent: HeaderValue,
    tracestate: Vec<HeaderValue>,
    request_id: HeaderValue,
}

impl Trace {
    /// Takes up what the caller sent. A traceparent that is not valid restarts the trace, and its tracestate goes with it.
    pub fn of(headers: &HeaderMap) -> Self {
        let (traceparent, tracestate) = match headers.get(TRACEPARENT).filter(|value| valid(value.as_bytes()))
        {
            Some(value) => (value.clone(), headers.get_all(TRACESTATE).iter().cloned().collect()),
            None => (new_traceparent(), Vec::new()),
        };
        let request_id = match headers.get(REQUEST_ID).filter(|id| !id.is_empty() && id.to_str().is_ok()) {
            Some(id) => id.clone(),
            None => header(format!("{:016x}{:016x}", random::number(), random::number())),
        };
        Self { traceparent, tracestate, request_id }
    }

    /// Puts the identity on a call to the next service.
    pub fn copy_to(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent.clone());
        headers.insert(REQUEST_ID, self.request_id.clone());
        for state in &self.tracestate {
            headers.append(TRACESTATE, state.clone());
        }
    }

    pub fn trace_id(&self) -> &str {
        // `valid` has seen to it that these are 32 hex digits.
        self.traceparent.to_str().ok().and_then(|text| text.get(3..35)).unwrap_or_default()
    }

    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    pub fn request_id_header(&self) -> HeaderValue {
        self.request_id.clone()
    }
}

/// `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, in lower case, no id all zeros. A later version may add fields.
fn valid(value: &[u8]) -> bool {
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = |part: &[u8]| hex(part) && part.iter().any(|b| *b != b'0');
    let Some((known, rest)) = value.split_at_checked(55) else { return false };
    let version = &known[..2];
    hex(version)
        && version != b"ff"
        && known[2] == b'-'
        && id(&known[3..35])
        && known[35] == b'-'
        && id(&known[36..52])
        && known[52] == b'-'
        && hex(&known[53..])
        && (rest.is_empty() || (version != b"00" && rest[0] == b'-'))
}

fn new_traceparent() -> HeaderValue {
    // An id of all zeros is not valid; setting one bit rules it out.
    header(format!(
        "00-{:016x}{:016x}-{:016x}-01",
        random::number(),
        random::number() | 1,
        random::number() | 1
    ))
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn trace(headers: &[(HeaderName, &str)]) -> Trace {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("header value")));
        Trace::of(&headers.collect())
    }

    #[test]
    fn a_valid_identity_is_copied_as_it_is() {
        let trace = trace(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (REQUEST_ID, "r-1")]);
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let mut copied = HeaderMap::new();
        trace.copy_to(&mut copied);
        assert_eq!(copied[TRACEPARENT], PARENT);
        assert_eq!(copied[TRACESTATE], "a=1");
        assert_eq!(copied[REQUEST_ID], "r-1");
    }

    #[test]
    fn what_is_not_valid_starts_a_new_trace_without_the_old_state() {
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let trace = trace(&[(TRACEPARENT, wrong), (TRACESTATE, "a=1")]);
            let mut copied = HeaderMap::new();
            trace.copy_to(&mut copied);
            assert!(valid(copied[TRACEPARENT].as_bytes()), "{wrong:?} was replaced by a valid one");
            assert_ne!(copied[TRACEPARENT], wrong);
            assert!(!copied.contains_key(TRACESTATE), "{wrong:?}");
            assert_eq!(trace.request_id().len(), 32);
        }
    }

    #[test]
    fn a_later_version_with_more_fields_is_kept() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        let mut copied = HeaderMap::new();
        trace(&[(TRACEPARENT, later)]).copy_to(&mut copied);
        assert_eq!(copied[TRACEPARENT], later);
    }
}
