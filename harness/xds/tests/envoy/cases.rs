//! The cases by topic.

mod access;
mod chain;
mod changes;
mod faults;
mod hosts;
mod metrics;
mod policies;
mod rules;
mod tcp;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

pub type Case = fn(PathBuf) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($topic:ident::$name:ident),+ $(,)?) => {
        pub const ALL: &[(&str, Case)] = &[
            $((concat!(stringify!($topic), "::", stringify!($name)), |envoy| Box::pin($topic::$name(envoy)))),+
        ];
    };
}

cases! {
    access::requests_are_allowed_by_caller_and_by_what_they_ask,
    access::what_is_denied_stays_denied,
    access::connections_are_allowed_by_caller,
    access::a_gateway_has_policies_too,
    chain::versions_stay_apart_under_mutual_tls,
    chain::both_sides_report_with_istios_labels,
    changes::a_change_of_routes_is_in_force_when_it_is_acknowledged,
    changes::endpoints_come_and_go_without_a_change_of_clusters,
    faults::an_abort_befalls_its_share_and_is_flagged,
    faults::a_delay_is_flagged,
    hosts::every_name_of_a_service_leads_to_its_rules,
    metrics::what_is_turned_off_vanishes_and_comes_back,
    policies::plain_text_is_taken_or_refused_by_policy,
    policies::a_host_that_fails_is_ejected,
    policies::a_full_pool_overflows,
    policies::a_caller_may_be_told_to_use_tls_or_not,
    policies::envoy_takes_everything_that_is_honoured,
    rules::a_request_is_told_by_what_it_carries,
    rules::requests_are_rewritten_answered_and_sent_on,
    rules::timeouts_and_retries_are_the_rules_own,
    rules::a_mirror_sees_copies,
    tcp::connections_are_carried_under_mutual_tls,
}
