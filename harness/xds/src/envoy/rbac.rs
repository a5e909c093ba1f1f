//! Who may call: Envoy's filters for access, as Istio makes them of its policies.
//!
//! What is denied is asked first. On TCP nobody knows paths and methods: a rule that allows by them allows nothing there,
//! and one that denies by them denies without them, so that both err on the safe side.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::listener::v3::Filter;
use envoy_types::pb::envoy::config::rbac::v3::{
    self as rbac, Permission, Policy, Principal, permission, principal,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher};

use super::listeners::{http_filter_of, network_filter};
use super::proto::{any, regex};
use crate::model::{AccessRule, Action, Attribute, AuthorizationPolicy, Demand, Pattern};

/// For requests.
pub fn http(policies: &[Arc<AuthorizationPolicy>]) -> Vec<HttpFilter> {
    let filter = |rules| {
        let config = HttpRbac { rules: Some(rules), ..HttpRbac::default() };
        http_filter_of("envoy.filters.http.rbac", any(config))
    };
    stages(policies, true).map(filter).collect()
}

/// For connections.
pub fn tcp(policies: &[Arc<AuthorizationPolicy>]) -> Vec<Filter> {
    let filter = |rules| {
        let config =
            NetworkRbac { rules: Some(rules), stat_prefix: "tcp.".to_owned(), ..NetworkRbac::default() };
        network_filter("envoy.filters.network.rbac", any(config))
    };
    stages(policies, false).map(filter).collect()
}

/// First what is denied, then what is allowed.
fn stages(policies: &[Arc<AuthorizationPolicy>], http: bool) -> impl Iterator<Item = rbac::Rbac> + '_ {
    [Action::Deny, Action::Allow].into_iter().filter_map(move |action| {
        let mut own = policies.iter().filter(|policy| policy.action == action).peekable();
        own.peek()?;
        Some(rbac::Rbac {
            action: match action {
                Action::Deny => rbac::rbac::Action::Deny,
                Action::Allow => rbac::rbac::Action::Allow,
            }
            .into(),
            policies: own.flat_map(|policy| named(policy, http)).collect(),
            ..rbac::Rbac::default()
        })
    })
}

/// The rules of a policy under Istio's names for them, which Envoy tells with what it denies.
fn named(policy: &AuthorizationPolicy, http: bool) -> HashMap<String, Policy> {
    let (namespace, name) = (&policy.id.namespace, &policy.id.name);
    let name = |index| format!("ns[{namespace}]-policy[{name}]-rule[{index}]");
    if policy.rules.is_empty() {
        let never = Policy {
            permissions: vec![Logic::not(Logic::any())],
            principals: vec![Logic::not(Logic::any())],
            ..Policy::default()
        };
        return HashMap::from([(name(0), never)]);
    }
    let rules = policy.rules.iter().enumerate();
    rules.filter_map(|(index, rule)| Some((name(index), ruled(rule, policy.action, http)?))).collect()
}

/// `None` where nothing can fulfil it.
fn ruled(rule: &AccessRule, action: Action, http: bool) -> Option<Policy> {
    let known = |demand: &&Demand| http || !demand.attribute.is_http();
    let mut demands = rule.sources.iter().chain(&rule.operations).flatten().chain(&rule.conditions);
    if action == Action::Allow && !demands.all(|demand| known(&demand)) {
        return None;
    }
    let (of_source, of_operation): (Vec<&Demand>, Vec<&Demand>) =
        rule.conditions.iter().partition(|demand| demand.attribute.is_of_source());
    Some(Policy {
        permissions: alternatives(&rule.operations, &of_operation, &known),
        principals: alternatives(&rule.sources, &of_source, &known),
        ..Policy::default()
    })
}

/// Each alternative with all that is demanded beside it.
fn alternatives<L: Logic>(
    alternatives: &[Vec<Demand>],
    conditions: &[&Demand],
    known: &impl Fn(&&Demand) -> bool,
) -> Vec<L> {
    const NOTHING_DEMANDED: &[Vec<Demand>] = &[Vec::new()];
    let alternatives = if alternatives.is_empty() { NOTHING_DEMANDED } else { alternatives };
    let of_one = |demands: &Vec<Demand>| {
        let demands = demands.iter().chain(conditions.iter().copied()).filter(known);
        all(demands.flat_map(demanded).collect())
    };
    alternatives.iter().map(of_one).collect()
}

fn demanded<L: Logic>(demand: &Demand) -> Vec<L> {
    let some = |patterns: &[Pattern]| {
        L::some(patterns.iter().map(|pattern| L::is(&demand.attribute, pattern)).collect())
    };
    let mut demanded = Vec::new();
    if !demand.any_of.is_empty() {
        demanded.push(some(&demand.any_of));
    }
    if !demand.none_of.is_empty() {
        demanded.push(L::not(some(&demand.none_of)));
    }
    demanded
}

fn all<L: Logic>(parts: Vec<L>) -> L {
    if parts.is_empty() { L::any() } else { L::all(parts) }
}

/// What Envoy says of callers and of what they call in the same way.
trait Logic: Sized {
    fn any() -> Self;
    fn all(parts: Vec<Self>) -> Self;
    fn some(parts: Vec<Self>) -> Self;
    fn not(part: Self) -> Self;
    /// An attribute of the other side is none of its own, and fits nothing.
    fn is(attribute: &Attribute, pattern: &Pattern) -> Self;
}

impl Logic for Permission {
    fn any() -> Self {
        permission(permission::Rule::Any(true))
    }

    fn all(rules: Vec<Self>) -> Self {
        permission(permission::Rule::AndRules(permission::Set { rules }))
    }

    fn some(rules: Vec<Self>) -> Self {
        permission(permission::Rule::OrRules(permission::Set { rules }))
    }

    fn not(rule: Self) -> Self {
        permission(permission::Rule::NotRule(Box::new(rule)))
    }

    fn is(attribute: &Attribute, pattern: &Pattern) -> Self {
        match (attribute, pattern) {
            (Attribute::Path, Pattern::Template(template)) => {
                permission(permission::Rule::UriTemplate(path_template(template)))
            }
            (Attribute::Path, pattern) => {
                let rule = path_matcher::Rule::Path(text(pattern, ""));
                permission(permission::Rule::UrlPath(PathMatcher { rule: Some(rule) }))
            }
            (Attribute::Method, pattern) => {
                permission(permission::Rule::Header(header(":method", pattern, false)))
            }
            (Attribute::Host, pattern) => {
                permission(permission::Rule::Header(header(":authority", pattern, true)))
            }
            (Attribute::Sni, pattern) => permission(permission::Rule::RequestedServerName(text(pattern, ""))),
            (Attribute::Port, Pattern::Exact(port)) => match port.parse() {
                Ok(port) => permission(permission::Rule::DestinationPort(port)),
                Err(_) => Self::not(Self::any()),
            },
            _ => Self::not(Self::any()),
        }
    }
}

impl Logic for Principal {
    fn any() -> Self {
        principal(principal::Identifier::Any(true))
    }

    fn all(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::AndIds(principal::Set { ids }))
    }

    fn some(ids: Vec<Self>) -> Self {
        principal(principal::Identifier::OrIds(principal::Set { ids }))
    }

    fn not(id: Self) -> Self {
        principal(principal::Identifier::NotId(Box::new(id)))
    }

    fn is(attribute: &Attribute, pattern: &Pattern) -> Self {
        let identity = |name: StringMatcher| {
            principal(principal::Identifier::Authenticated(principal::Authenticated {
                principal_name: Some(name),
            }))
        };
        match (attribute, pattern) {
            (Attribute::Principal, pattern) => identity(text(pattern, "spiffe://")),
            (Attribute::Namespace, pattern) => identity(safe_regex(&format!(".*/ns/{}/.*", wild(pattern)))),
            (Attribute::ServiceAccount, Pattern::Exact(account)) => {
                let (namespace, account) = account.split_once('/').unwrap_or(("", account));
                let [namespace, account] = [namespace, account].map(::regex::escape);
                identity(safe_regex(&format!(".*/ns/{namespace}/sa/{account}")))
            }
            (Attribute::TrustDomain, pattern) => {
                identity(safe_regex(&format!("spiffe://{}/.*", wild(pattern))))
            }
            (Attribute::Header(name), pattern) => {
                principal(principal::Identifier::Header(header(name, pattern, false)))
            }
            _ => Self::not(Self::any()),
        }
    }
}

fn permission(rule: permission::Rule) -> Permission {
    Permission { rule: Some(rule) }
}

fn principal(identifier: principal::Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

/// A pattern for a text that always begins so. Anything is not nothing: a caller without a certificate has no name.
fn text(pattern: &Pattern, start: &str) -> StringMatcher {
    use string_matcher::MatchPattern;
    let pattern = match pattern {
        Pattern::Any => return safe_regex(".+"),
        Pattern::Suffix(_) if !start.is_empty() => {
            return safe_regex(&format!("{}{}", ::regex::escape(start), wild(pattern)));
        }
        Pattern::Suffix(suffix) => MatchPattern::Suffix(suffix.clone()),
        Pattern::Prefix(prefix) => MatchPattern::Prefix(format!("{start}{prefix}")),
        Pattern::Exact(text) | Pattern::Template(text) => MatchPattern::Exact(format!("{start}{text}")),
    };
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

/// The same as a part of a regular expression.
fn wild(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Any => ".*".to_owned(),
        Pattern::Exact(text) | Pattern::Template(text) => ::regex::escape(text),
        Pattern::Prefix(prefix) => format!("{}.*", ::regex::escape(prefix)),
        Pattern::Suffix(suffix) => format!(".*{}", ::regex::escape(suffix)),
    }
}

fn safe_regex(pattern: &str) -> StringMatcher {
    let pattern = string_matcher::MatchPattern::SafeRegex(regex(pattern));
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

fn header(name: &str, pattern: &Pattern, ignore_case: bool) -> HeaderMatcher {
    let specifier = match pattern {
        Pattern::Any => header_matcher::HeaderMatchSpecifier::PresentMatch(true),
        pattern => header_matcher::HeaderMatchSpecifier::StringMatch(StringMatcher {
            ignore_case,
            ..text(pattern, "")
        }),
    };
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

/// Envoy writes `*` and `**` without braces.
fn path_template(template: &str) -> TypedExtensionConfig {
    let path_template = template.replace("{*}", "*").replace("{**}", "**");
    TypedExtensionConfig {
        name: "envoy.path.match.uri_template.uri_template_matcher".to_owned(),
        typed_config: Some(any(UriTemplateMatchConfig { path_template })),
    }
}
