//! Reads HTTP routes, and says what the table of fields cannot: what excludes what.

use std::time::Duration;

use super::Percent;
use super::host::qualify;
use super::http::{
    Abort, AbortStatus, Delay, Destination, Fault, Forward, HeaderOps, Headers, HttpAction, HttpMatch,
    HttpRoute, Mirror, Redirect, RedirectPort, RequestMatch, Retries, Rewrite, SourceMatch, StringMatch,
};
use super::virtual_service::gateway_name;
use crate::fields::{nearest, parse_duration};
use crate::object::Node;
use crate::source::{Problem, Problems};

/// What is needed to read a part of a VirtualService.
pub(super) struct Reader<'a> {
    pub namespace: &'a str,
    pub domain: &'a str,
    pub problems: &'a mut Problems,
}

const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Conditions that Envoy knows for `retryOn`, of HTTP and of gRPC.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "cancelled",
    "connect-failure",
    "deadline-exceeded",
    "envoy-ratelimited",
    "gateway-error",
    "http3-post-connect-failure",
    "internal",
    "refused-stream",
    "reset",
    "reset-before-request",
    "resource-exhausted",
    "retriable-4xx",
    "retriable-headers",
    "retriable-status-codes",
    "unavailable",
];

impl Reader<'_> {
    pub fn route(&mut self, node: &Node<'_>) -> HttpRoute {
        HttpRoute {
            place: node.place().clone(),
            name: node.text("name").unwrap_or_default().to_owned(),
            matches: node.items("match").iter().map(|node| self.http_match(node)).collect(),
            action: self.action(node),
            timeout: duration(node, "timeout").filter(|timeout| !timeout.is_zero()),
            retries: node.get("retries").map(|node| self.retries(&node)).unwrap_or_default(),
            fault: node.get("fault").map(|node| self.fault(&node)).unwrap_or_default(),
            mirrors: self.mirrors(node),
            headers: headers(node),
            rewrite: node.get("rewrite").map(|node| self.rewrite(&node)),
        }
    }

    fn action(&mut self, node: &Node<'_>) -> HttpAction {
        let given: Vec<_> = ["route", "redirect", "directResponse"]
            .into_iter()
            .filter(|name| node.get(name).is_some())
            .collect();
        if given.len() != 1 {
            let found = if given.is_empty() { "none of them".to_owned() } else { given.join(" and ") };
            let title = "a rule of `spec.http` needs one of `route`, `redirect` and `directResponse`";
            self.problems.push(Problem::new(node.place(), title).found(found));
        }
        if let Some(redirect) = node.get("redirect") {
            if node.get("rewrite").is_some() {
                let title = "a redirect cannot also rewrite the request";
                self.problems.push(Problem::new(redirect.place(), title));
            }
            return HttpAction::Redirect(self.redirect(&redirect));
        }
        if let Some(response) = node.get("directResponse") {
            return HttpAction::Respond {
                status: response
                    .integer("status")
                    .and_then(|status| u16::try_from(status).ok())
                    .unwrap_or(200),
                body: response.get("body").and_then(|body| body.text("string").map(str::to_owned)),
            };
        }
        let forwards: Vec<_> = node.items("route").iter().map(|node| self.forward(node)).collect();
        let weights: Vec<_> = forwards.iter().map(|forward| forward.weight).collect();
        check_weights(&node.get("route").unwrap_or_else(|| node.clone()), &weights, self.problems);
        HttpAction::Forward(forwards)
    }

    fn forward(&mut self, node: &Node<'_>) -> Forward {
        Forward { destination: self.destination(node), weight: weight(node), headers: headers(node) }
    }

    /// The `destination` of a route or mirror.
    pub fn destination(&self, node: &Node<'_>) -> Destination {
        match node.get("destination") {
            Some(node) => self.bare_destination(&node),
            None => self.bare_destination(node),
        }
    }

    fn bare_destination(&self, node: &Node<'_>) -> Destination {
        let port = node.get("port").and_then(|port| port.integer("number"));
        Destination {
            place: node.place().clone(),
            host: qualify(node.text("host").unwrap_or_default(), self.namespace, self.domain),
            subset: node.text("subset").map(str::to_owned),
            port: port.and_then(|port| u16::try_from(port).ok()),
        }
    }

    fn http_match(&mut self, node: &Node<'_>) -> HttpMatch {
        HttpMatch {
            place: node.place().clone(),
            name: node.text("name").unwrap_or_default().to_owned(),
            port: node.integer("port").and_then(|port| u16::try_from(port).ok()),
            source: self.source(node),
            request: RequestMatch {
                uri: string_match(node.get("uri")),
                ignore_uri_case: node.boolean("ignoreUriCase").unwrap_or(false),
                scheme: string_match(node.get("scheme")),
                method: string_match(node.get("method")),
                authority: string_match(node.get("authority")),
                headers: string_matches(node, "headers", str::to_lowercase),
                without_headers: string_matches(node, "withoutHeaders", str::to_lowercase),
                query: string_matches(node, "queryParams", str::to_owned),
            },
        }
    }

    pub fn source(&self, node: &Node<'_>) -> SourceMatch {
        SourceMatch {
            gateways: node
                .items("gateways")
                .iter()
                .map(|gateway| gateway_name(gateway.as_str(), self.namespace))
                .collect(),
            labels: node.texts("sourceLabels"),
            namespace: node.text("sourceNamespace").map(str::to_owned),
            place: node.get("sourceLabels").map(|node| node.place().clone()),
        }
    }

    fn retries(&mut self, node: &Node<'_>) -> Retries {
        let default = Retries::default();
        let (mut on, mut codes) = (default.on, default.codes);
        if let Some(text) = node.text("retryOn") {
            (on, codes) = (Vec::new(), Vec::new());
            for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                match word.parse::<u32>() {
                    Ok(code) if (100..600).contains(&code) => codes.push(code),
                    _ if RETRY_ON.contains(&word) => on.push(word.to_owned()),
                    _ => {
                        let place = node.get("retryOn").unwrap_or_else(|| node.clone());
                        let title = format!("unknown condition `{word}` in `retryOn`");
                        let allowed = format!("{} and status codes", RETRY_ON.join(", "));
                        let problem = Problem::new(place.place(), title).allowed(allowed);
                        self.problems.push(match nearest(word, RETRY_ON) {
                            Some(near) => problem.help(format!("did you mean `{near}`?")),
                            None => problem,
                        });
                    }
                }
            }
            if !codes.is_empty() && !on.iter().any(|word| word == "retriable-status-codes") {
                on.push("retriable-status-codes".to_owned());
            }
        }
        Retries {
            attempts: node.integer("attempts").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            on,
            codes,
            per_try_timeout: duration(node, "perTryTimeout"),
            backoff: duration(node, "backoff"),
            other_hosts: node.boolean("retryIgnorePreviousHosts").unwrap_or(true),
        }
    }

    fn fault(&mut self, node: &Node<'_>) -> Fault {
        let abort = node.get("abort").and_then(|node| {
            let percent = self.fault_percentage(&node, None);
            let status = self.abort_status(&node)?;
            Some(Abort { place: node.place().clone(), status, percent })
        });
        let delay = node.get("delay").and_then(|node| {
            let percent = self.fault_percentage(&node, node.integer("percent"));
            Some(Delay { place: node.place().clone(), duration: duration(&node, "fixedDelay")?, percent })
        });
        if abort.is_none() && delay.is_none() && self.problems.is_empty() {
            let title = "a fault needs `abort` or `delay`";
            self.problems.push(Problem::new(node.place(), title));
        }
        Fault { delay, abort }
    }

    /// Istio takes a missing percentage for 0, which nobody means who writes a fault.
    fn fault_percentage(&mut self, node: &Node<'_>, whole: Option<i64>) -> Percent {
        if node.get("percentage").is_none() && whole.is_none() {
            let title = "a fault without a percentage befalls no request";
            let problem = Problem::new(node.place(), title);
            self.problems.push(problem.help("write `percentage: {value: 100}` for all of them"));
        }
        percentage(node, whole)
    }

    fn abort_status(&mut self, node: &Node<'_>) -> Option<AbortStatus> {
        match (node.integer("httpStatus"), node.text("grpcStatus")) {
            (Some(status), None) => u16::try_from(status).ok().map(AbortStatus::Http),
            (None, Some(name)) => {
                let number = name.parse().ok().filter(|number| *number <= 16);
                let named = GRPC_STATUS.iter().position(|known| known.eq_ignore_ascii_case(name));
                if let Some(status) = number.or(named.and_then(|index| u32::try_from(index).ok())) {
                    return Some(AbortStatus::Grpc(status));
                }
                let title = format!("unknown gRPC status `{name}`");
                let problem = Problem::new(node.place(), title).allowed(GRPC_STATUS.join(", "));
                self.problems.push(match nearest(name, GRPC_STATUS) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem,
                });
                None
            }
            _ => {
                let title = "an abort needs one of `httpStatus` and `grpcStatus`";
                self.problems.push(Problem::new(node.place(), title));
                None
            }
        }
    }

    fn mirrors(&self, node: &Node<'_>) -> Vec<Mirror> {
        let one = node.get("mirror").map(|mirror| Mirror {
            destination: self.bare_destination(&mirror),
            percent: share(node.get("mirrorPercentage"), node.integer("mirrorPercent")),
        });
        let more = node.items("mirrors");
        let more = more.iter().map(|mirror| Mirror {
            destination: self.destination(mirror),
            percent: percentage(mirror, None),
        });
        // An explicit 0 is no mirror at all.
        one.into_iter().chain(more).filter(|mirror| mirror.percent > Percent::NONE).collect()
    }

    fn rewrite(&mut self, node: &Node<'_>) -> Rewrite {
        let regex = node.get("uriRegexRewrite").map(|node| {
            let text = |name| node.text(name).unwrap_or_default().to_owned();
            (text("match"), text("rewrite"))
        });
        let uri = node.text("uri").map(str::to_owned);
        if regex.is_some() && uri.is_some() {
            let title = "a rewrite takes `uri` or `uriRegexRewrite`, not both";
            self.problems.push(Problem::new(node.place(), title));
        }
        Rewrite { uri, regex, authority: node.text("authority").map(str::to_owned) }
    }

    fn redirect(&mut self, node: &Node<'_>) -> Redirect {
        let code = node.integer("redirectCode").unwrap_or(301);
        if ![301, 302, 303, 307, 308].contains(&code) {
            let title = format!("{code} is no code for a redirect");
            self.problems.push(Problem::new(node.place(), title).allowed("301, 302, 303, 307, 308"));
        }
        let port = match (node.integer("port"), node.text("derivePort")) {
            (Some(port), None) => u16::try_from(port).map_or(RedirectPort::Default, RedirectPort::Number),
            (None, Some("FROM_REQUEST_PORT")) => RedirectPort::OfRequest,
            (None, _) => RedirectPort::Default,
            (Some(_), Some(_)) => {
                let title = "a redirect takes `port` or `derivePort`, not both";
                self.problems.push(Problem::new(node.place(), title));
                RedirectPort::Default
            }
        };
        let text = |name| node.text(name).filter(|text: &&str| !text.is_empty()).map(str::to_owned);
        Redirect {
            uri: text("uri"),
            authority: text("authority"),
            scheme: text("scheme"),
            port,
            code: u16::try_from(code).unwrap_or(301),
        }
    }
}

pub(super) fn weight(node: &Node<'_>) -> u32 {
    node.integer("weight").and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0)
}

/// Several destinations share by weight, so at least one needs some; a single one needs none.
pub(super) fn check_weights(node: &Node<'_>, weights: &[u32], problems: &mut Problems) {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    if weights.is_empty() && problems.is_empty() {
        problems.push(Problem::new(node.place(), "a route needs at least one destination"));
    } else if weights.len() > 1 && sum == 0 {
        let title = format!("the weights of {} destinations add up to 0", weights.len());
        problems.push(Problem::new(node.place(), title).allowed("at least one weight above 0"));
    } else if sum > u64::from(u32::MAX) {
        let title = format!("the weights add up to {sum}");
        problems.push(Problem::new(node.place(), title).allowed(format!("at most {}", u32::MAX)));
    }
}

fn percentage(node: &Node<'_>, whole: Option<i64>) -> Percent {
    share(node.get("percentage"), whole)
}

/// In the new way, else in the old one, else all.
fn share(exact: Option<Node<'_>>, whole: Option<i64>) -> Percent {
    match (exact, whole) {
        (Some(percent), _) => percent.number("value").map_or(Percent::NONE, Percent::new),
        (None, Some(percent)) => Percent::new(percent as f64),
        (None, None) => Percent::ALL,
    }
}

pub(super) fn duration(node: &Node<'_>, name: &str) -> Option<Duration> {
    node.text(name).and_then(|text| parse_duration(text).ok())
}

fn string_match(node: Option<Node<'_>>) -> Option<StringMatch> {
    let node = node?;
    let text = |name| node.text(name).map(str::to_owned);
    text("exact")
        .map(StringMatch::Exact)
        .or_else(|| text("prefix").map(StringMatch::Prefix))
        .or_else(|| text("regex").map(StringMatch::Regex))
}

fn string_matches(
    node: &Node<'_>,
    name: &str,
    key: fn(&str) -> String,
) -> std::collections::BTreeMap<String, Option<StringMatch>> {
    node.entries(name).into_iter().map(|(header, node)| (key(header), string_match(Some(node)))).collect()
}

fn headers(node: &Node<'_>) -> Headers {
    let ops = |which: &str| {
        let node = node.path("headers").and_then(|headers| headers.get(which));
        let Some(node) = node else { return HeaderOps::default() };
        HeaderOps {
            set: node.texts("set"),
            add: node.texts("add"),
            remove: node.items("remove").iter().map(|name| name.as_str().to_owned()).collect(),
        }
    };
    Headers { request: ops("request"), response: ops("response") }
}
