//! Route tables: virtual hosts and their routes, with faults, retries and the caller's metadata.

use std::collections::HashMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{DataSource, HeaderValueOption, data_source};
use envoy_types::pb::envoy::config::route::v3::{
    self as pb, DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RedirectAction,
    RouteConfiguration, RouteMatch, WeightedCluster, header_matcher, query_parameter_matcher,
    redirect_action, retry_policy, route, route_action, route_match, weighted_cluster,
};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault, fault_abort};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    FilterStateMatcher, RegexMatchAndSubstitute, filter_state_matcher,
};
use envoy_types::pb::google::protobuf::Any;

use super::interception::Interception;
use super::listeners::{FAULT_FILTER, SERVICE_STATE};
use super::peer_metadata;
use super::proto::{
    any, boolean, duration, exact, fraction, header, regex, runtime_fraction, string_matcher, uint32,
};
use crate::intent::{Peer, Route, RouteAction, RouteTable, Target, VirtualHost};
use crate::model::{
    AbortStatus, Fault, HeaderOps, Headers, Redirect, RedirectPort, RequestMatch, Retries, StringMatch,
};

pub fn table(table: &RouteTable, peer: &Peer, interception: &Interception) -> RouteConfiguration {
    let mut virtual_hosts: Vec<_> = table.hosts.iter().map(|host| virtual_host(host, interception)).collect();
    if !table.passthrough.is_empty()
        && !virtual_hosts.iter().any(|host| host.domains.contains(&"*".to_owned()))
    {
        virtual_hosts.push(passthrough(table));
    }
    RouteConfiguration {
        name: table.name.clone(),
        virtual_hosts,
        request_headers_to_add: vec![header(
            peer_metadata::HEADER,
            &peer_metadata::encode(peer),
            HeaderAppendAction::OverwriteIfExistsOrAdd,
        )],
        // A cluster may be on its way: until then its requests fail, not the whole table.
        validate_clusters: boolean(false),
        ignore_port_in_host_matching: true,
        max_direct_response_body_size_bytes: uint32(1024 * 1024),
        ..RouteConfiguration::default()
    }
}

/// A request whose host nobody knows goes on to the service whose address it was sent to.
fn passthrough(table: &RouteTable) -> pb::VirtualHost {
    let routes = table.passthrough.iter().map(|(service, cluster)| pb::Route {
        name: "passthrough".to_owned(),
        r#match: Some(RouteMatch {
            filter_state: vec![FilterStateMatcher {
                key: SERVICE_STATE.to_owned(),
                matcher: Some(filter_state_matcher::Matcher::StringMatch(exact(&service.to_string()))),
            }],
            ..prefix("/")
        }),
        action: Some(route::Action::Route(pb::RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.clone())),
            timeout: Some(duration(Duration::ZERO)),
            ..pb::RouteAction::default()
        })),
        ..pb::Route::default()
    });
    pb::VirtualHost {
        name: "allow_any".to_owned(),
        domains: vec!["*".to_owned()],
        routes: routes.collect(),
        ..pb::VirtualHost::default()
    }
}

fn virtual_host(host: &VirtualHost, interception: &Interception) -> pb::VirtualHost {
    let own = host.service.as_ref().and_then(|service| interception.service_address(service));
    pb::VirtualHost {
        name: host.name.clone(),
        domains: host.domains.iter().cloned().chain(own.map(|address| address.to_string())).collect(),
        routes: host.routes.iter().map(route).collect(),
        include_request_attempt_count: true,
        ..pb::VirtualHost::default()
    }
}

fn route(route: &Route) -> pb::Route {
    let mut operations = route.headers.clone();
    let action = match &route.action {
        RouteAction::Forward(targets) => {
            // A single destination's operations are the route's own.
            if let [only] = targets.as_slice() {
                merge(&mut operations, &only.headers);
            }
            route::Action::Route(forward(route, targets, &operations))
        }
        RouteAction::Redirect { redirect, port } => route::Action::Redirect(redirected(redirect, *port)),
        RouteAction::Respond { status, body } => route::Action::DirectResponse(DirectResponseAction {
            status: u32::from(*status),
            body: body.as_ref().map(|body| DataSource {
                specifier: Some(data_source::Specifier::InlineString(body.clone())),
                ..DataSource::default()
            }),
            ..DirectResponseAction::default()
        }),
    };
    pb::Route {
        name: route.name.clone(),
        r#match: Some(route_match(&route.matches)),
        action: Some(action),
        typed_per_filter_config: fault(&route.fault),
        request_headers_to_add: added(&operations.request),
        request_headers_to_remove: removed(&operations.request),
        response_headers_to_add: added(&operations.response),
        response_headers_to_remove: removed(&operations.response),
        ..pb::Route::default()
    }
}

fn forward(route: &Route, targets: &[Target], operations: &Headers) -> pb::RouteAction {
    let timeout = duration(route.timeout.unwrap_or_default());
    let rewrite = route.rewrite.clone().unwrap_or_default();
    let authority = rewrite.authority.or_else(|| authority(&operations.request));
    let mirrors = route.mirrors.iter().map(|(cluster, percent)| route_action::RequestMirrorPolicy {
        cluster: cluster.clone(),
        runtime_fraction: Some(runtime_fraction(*percent)),
        trace_sampled: boolean(false),
        ..Default::default()
    });
    let specifier = match targets {
        [only] => route_action::ClusterSpecifier::Cluster(only.cluster.clone()),
        several => route_action::ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: several.iter().map(weighted).collect(),
            ..WeightedCluster::default()
        }),
    };
    #[expect(deprecated, reason = "where the newer `max_stream_duration` is given, Envoy forgets `timeout`")]
    pb::RouteAction {
        cluster_specifier: Some(specifier),
        timeout: Some(timeout),
        max_grpc_timeout: route.grpc.then_some(timeout),
        retry_policy: retries(&route.retries),
        request_mirror_policies: mirrors.collect(),
        prefix_rewrite: rewrite.uri.unwrap_or_default(),
        regex_rewrite: rewrite.regex.map(|(pattern, substitution)| RegexMatchAndSubstitute {
            pattern: Some(regex(&pattern)),
            substitution,
        }),
        host_rewrite_specifier: authority.map(route_action::HostRewriteSpecifier::HostRewriteLiteral),
        ..pb::RouteAction::default()
    }
}

fn weighted(target: &Target) -> weighted_cluster::ClusterWeight {
    use weighted_cluster::cluster_weight::HostRewriteSpecifier;
    weighted_cluster::ClusterWeight {
        name: target.cluster.clone(),
        weight: uint32(target.weight),
        request_headers_to_add: added(&target.headers.request),
        request_headers_to_remove: removed(&target.headers.request),
        response_headers_to_add: added(&target.headers.response),
        response_headers_to_remove: removed(&target.headers.response),
        host_rewrite_specifier: authority(&target.headers.request)
            .map(HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    }
}

fn retries(retries: &Retries) -> Option<pb::RetryPolicy> {
    if retries.attempts == 0 {
        return None;
    }
    let other_hosts = retry_policy::RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_policy::retry_host_predicate::ConfigType::TypedConfig(any(
            PreviousHostsPredicate {},
        ))),
    };
    Some(pb::RetryPolicy {
        retry_on: retries.on.join(","),
        num_retries: uint32(retries.attempts),
        per_try_timeout: retries.per_try_timeout.map(duration),
        retry_host_predicate: if retries.other_hosts { vec![other_hosts] } else { vec![] },
        host_selection_retry_max_attempts: 5,
        retriable_status_codes: retries.codes.clone(),
        retry_back_off: retries.backoff.map(|base| retry_policy::RetryBackOff {
            base_interval: Some(duration(base)),
            ..Default::default()
        }),
        ..pb::RetryPolicy::default()
    })
}

fn fault(fault: &Fault) -> HashMap<String, Any> {
    if *fault == Fault::default() {
        return HashMap::new();
    }
    let delay = fault.delay.as_ref().map(|delay| FaultDelay {
        percentage: Some(fraction(delay.percent)),
        fault_delay_secifier: Some(fault_delay::FaultDelaySecifier::FixedDelay(duration(delay.duration))),
    });
    let abort = fault.abort.as_ref().map(|abort| FaultAbort {
        percentage: Some(fraction(abort.percent)),
        error_type: Some(match abort.status {
            AbortStatus::Http(status) => fault_abort::ErrorType::HttpStatus(u32::from(status)),
            AbortStatus::Grpc(status) => fault_abort::ErrorType::GrpcStatus(status),
        }),
        ..FaultAbort::default()
    });
    HashMap::from([(FAULT_FILTER.to_owned(), any(HttpFault { delay, abort, ..HttpFault::default() }))])
}

fn redirected(redirect: &Redirect, called: u16) -> RedirectAction {
    use redirect_action::RedirectResponseCode as Code;
    let code = match redirect.code {
        302 => Code::Found,
        303 => Code::SeeOther,
        307 => Code::TemporaryRedirect,
        308 => Code::PermanentRedirect,
        _ => Code::MovedPermanently,
    };
    let port = match redirect.port {
        RedirectPort::Default => 0,
        RedirectPort::OfRequest => called,
        RedirectPort::Number(port) => port,
    };
    // The port that the scheme means anyway is not written.
    let implied = if redirect.scheme.as_deref() == Some("https") { 443 } else { 80 };
    RedirectAction {
        host_redirect: redirect.authority.clone().unwrap_or_default(),
        port_redirect: if port == implied { 0 } else { u32::from(port) },
        response_code: code.into(),
        scheme_rewrite_specifier: redirect
            .scheme
            .clone()
            .map(redirect_action::SchemeRewriteSpecifier::SchemeRedirect),
        path_rewrite_specifier: redirect.uri.clone().map(redirect_action::PathRewriteSpecifier::PathRedirect),
        ..RedirectAction::default()
    }
}

fn prefix(prefix: &str) -> RouteMatch {
    RouteMatch {
        path_specifier: Some(route_match::PathSpecifier::Prefix(prefix.to_owned())),
        ..RouteMatch::default()
    }
}

fn route_match(matches: &RequestMatch) -> RouteMatch {
    let path = match &matches.uri {
        None => route_match::PathSpecifier::Prefix("/".to_owned()),
        Some(StringMatch::Exact(path)) => route_match::PathSpecifier::Path(path.clone()),
        Some(StringMatch::Prefix(prefix)) => route_match::PathSpecifier::Prefix(prefix.clone()),
        Some(StringMatch::Regex(pattern)) => route_match::PathSpecifier::SafeRegex(regex(pattern)),
    };
    let mut headers: Vec<_> =
        matches.headers.iter().map(|(name, value)| header_matcher(name, value.as_ref())).collect();
    headers.extend(matches.without_headers.iter().map(|(name, value)| HeaderMatcher {
        invert_match: true,
        // A header that is not there differs from every value, but is not present.
        treat_missing_header_as_empty: !asks_for_presence(value.as_ref()),
        ..header_matcher(name, value.as_ref())
    }));
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    for (name, value) in
        [(":method", &matches.method), (":authority", &matches.authority), (":scheme", &matches.scheme)]
    {
        headers.extend(value.as_ref().map(|value| header_matcher(name, Some(value))));
    }
    let query = matches.query.iter().map(|(name, value)| {
        use query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
        let specifier = match value {
            Some(matched) if !asks_for_presence(value.as_ref()) => {
                Specifier::StringMatch(string_matcher(matched))
            }
            _ => Specifier::PresentMatch(true),
        };
        QueryParameterMatcher { name: name.clone(), query_parameter_match_specifier: Some(specifier) }
    });
    RouteMatch {
        path_specifier: Some(path),
        case_sensitive: boolean(!matches.ignore_uri_case),
        headers,
        query_parameters: query.collect(),
        ..RouteMatch::default()
    }
}

/// Istio takes the regular expression `*`, which is none, for "present".
fn asks_for_presence(matched: Option<&StringMatch>) -> bool {
    matched.is_none() || matched == Some(&StringMatch::Regex("*".to_owned()))
}

fn header_matcher(name: &str, matched: Option<&StringMatch>) -> HeaderMatcher {
    use header_matcher::HeaderMatchSpecifier as Specifier;
    let specifier = match matched {
        Some(value) if !asks_for_presence(matched) => Specifier::StringMatch(string_matcher(value)),
        _ => Specifier::PresentMatch(true),
    };
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

fn merge(into: &mut Headers, more: &Headers) {
    for (into, more) in [(&mut into.request, &more.request), (&mut into.response, &more.response)] {
        into.set.extend(more.set.clone());
        into.add.extend(more.add.clone());
        into.remove.extend(more.remove.clone());
    }
}

fn added(operations: &HeaderOps) -> Vec<HeaderValueOption> {
    let set = operations.set.iter().map(|entry| (entry, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = operations.add.iter().map(|entry| (entry, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add)
        .filter(|((name, _), _)| !is_internal(name))
        .map(|((name, value), action)| header(name, value, action))
        .collect()
}

fn removed(operations: &HeaderOps) -> Vec<String> {
    operations.remove.iter().filter(|name| !is_internal(name)).cloned().collect()
}

/// A new `Host` is a rewrite, not a header.
fn authority(operations: &HeaderOps) -> Option<String> {
    let all = operations.set.iter().chain(&operations.add);
    all.filter(|(name, _)| is_authority(name)).map(|(_, value)| value.clone()).next()
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
