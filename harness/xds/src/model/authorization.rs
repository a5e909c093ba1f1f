//! Who may call a workload: AuthorizationPolicy, and which of them a workload goes by.
//!
//! ```text
//! policy ─► rules       one of them is enough
//!             ├─ sources     one of them, and
//!             ├─ operations  one of them, and
//!             └─ conditions  all of them
//!                  └─► Demand   an attribute of the call is one of these, and none of those
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::service::is_subset;
use super::{Mesh, ObjectId};
use crate::fields::nearest;
use crate::object::{Node, Object};
use crate::source::{Place, Problem, Problems};

/// With this annotation Istio only tells what a policy would do.
const DRY_RUN: &str = "istio.io/dry-run";

/// What happens to a call that a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Asked first: what is denied stays denied.
    Deny,
    /// Where there is one of these, all else is denied.
    Allow,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    pub id: ObjectId,
    pub place: Place,
    /// Empty: the whole namespace, or the whole mesh.
    pub selector: BTreeMap<String, String>,
    pub action: Action,
    /// None: it fits no call at all.
    pub rules: Vec<AccessRule>,
    dry_run: bool,
}

/// Each part that is empty is fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// All demands of one of these.
    pub sources: Vec<Vec<Demand>>,
    /// All demands of one of these.
    pub operations: Vec<Vec<Demand>>,
    pub conditions: Vec<Demand>,
}

/// An attribute is one of these, where there are some, and none of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub attribute: Attribute,
    pub any_of: Vec<Pattern>,
    pub none_of: Vec<Pattern>,
}

/// Of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The caller's identity, without `spiffe://`.
    Principal,
    Namespace,
    /// `NAMESPACE/ACCOUNT`
    ServiceAccount,
    TrustDomain,
    Header(String),
    Host,
    Method,
    Path,
    /// Of the container.
    Port,
    /// The name that the caller gave with its first TLS message.
    Sni,
}

impl Attribute {
    /// Whether only a request of HTTP has it.
    pub fn is_http(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Host | Self::Method | Self::Path)
    }

    /// Whether it is asked of the caller, and not of what is called.
    pub fn is_of_source(&self) -> bool {
        matches!(
            self,
            Self::Principal | Self::Namespace | Self::ServiceAccount | Self::TrustDomain | Self::Header(_)
        )
    }
}

/// `*`, `exact`, `prefix*`, `*suffix`; for paths `/books/{*}/pages/{**}` as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Any,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Template(String),
}

impl Pattern {
    fn read(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ => match (text.strip_prefix('*'), text.strip_suffix('*')) {
                (Some(suffix), _) => Self::Suffix(suffix.to_owned()),
                (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
                (None, None) => Self::Exact(text.to_owned()),
            },
        }
    }
}

/// Keys of `when` that stand for something here; a header has its name in brackets behind it.
const KEYS: [&str; 6] = [
    "connection.sni",
    "destination.port",
    "request.headers[NAME]",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
];

/// Keys, or how they begin, that Istio knows besides.
const ON_CLUSTERS: [&str; 5] = ["destination.ip", "experimental.", "remote.ip", "request.auth.", "source.ip"];

impl AuthorizationPolicy {
    pub(super) fn read(object: &Object, problems: &mut Problems) -> Self {
        let root = object.root();
        let spec = root.get("spec");
        let selector = spec.as_ref().and_then(|spec| spec.get("selector"));
        let annotations = root.path("metadata").map(|metadata| metadata.texts("annotations"));
        let id = ObjectId::of(object);
        let rules = spec.as_ref().map(|spec| spec.items("rules")).unwrap_or_default();
        let mut reader = Reader { namespace: &id.namespace, problems };
        Self {
            rules: rules.iter().map(|rule| reader.rule(rule)).collect(),
            place: object.place("").clone(),
            selector: selector.map(|selector| selector.texts("matchLabels")).unwrap_or_default(),
            action: match spec.as_ref().and_then(|spec| spec.text("action")) {
                Some("DENY") => Action::Deny,
                _ => Action::Allow,
            },
            dry_run: annotations.is_some_and(|all| all.get(DRY_RUN).is_some_and(|word| word == "true")),
            id,
        }
    }
}

struct Reader<'a> {
    namespace: &'a str,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn rule(&mut self, rule: &Node<'_>) -> AccessRule {
        const SOURCE: [(&str, &str, Attribute); 4] = [
            ("principals", "notPrincipals", Attribute::Principal),
            ("namespaces", "notNamespaces", Attribute::Namespace),
            ("serviceAccounts", "notServiceAccounts", Attribute::ServiceAccount),
            ("trustDomains", "notTrustDomains", Attribute::TrustDomain),
        ];
        const OPERATION: [(&str, &str, Attribute); 4] = [
            ("hosts", "notHosts", Attribute::Host),
            ("ports", "notPorts", Attribute::Port),
            ("methods", "notMethods", Attribute::Method),
            ("paths", "notPaths", Attribute::Path),
        ];
        let conditions = rule.items("when");
        AccessRule {
            sources: self.alternatives(rule, "from", "source", &SOURCE),
            operations: self.alternatives(rule, "to", "operation", &OPERATION),
            conditions: conditions.iter().filter_map(|when| self.condition(when)).collect(),
        }
    }

    /// The items of `from` or `to`. As with Istio, nothing may be said with many words.
    fn alternatives(
        &mut self,
        rule: &Node<'_>,
        list: &str,
        inner: &str,
        fields: &[(&str, &str, Attribute)],
    ) -> Vec<Vec<Demand>> {
        let items = rule.items(list);
        if let Some(empty) = rule.get(list).filter(|_| items.is_empty()) {
            self.problems.push(
                Problem::new(empty.place(), format!("`{list}` is empty")).help(format!(
                    "give at least one `{inner}`, or leave `{list}` out, which fits every call"
                )),
            );
        }
        let mut alternatives = Vec::new();
        for node in items.iter().filter_map(|item| item.get(inner)) {
            let demands = fields.iter().filter_map(|(some, none, attribute)| {
                self.demand(attribute.clone(), node.get(some), node.get(none))
            });
            let demands: Vec<Demand> = demands.collect();
            if demands.is_empty() {
                let words: Vec<&str> = fields.iter().flat_map(|(some, none, _)| [*some, *none]).collect();
                let problem = Problem::new(node.place(), format!("`{inner}` demands nothing"));
                self.problems.push(problem.allowed(words.join(", ")));
            }
            alternatives.push(demands);
        }
        alternatives
    }

    fn condition(&mut self, when: &Node<'_>) -> Option<Demand> {
        let key = when.get("key")?;
        let header = || key.as_str().strip_prefix("request.headers[")?.strip_suffix(']');
        let attribute = match (key.as_str(), header()) {
            (_, Some(name)) if !name.is_empty() => Attribute::Header(name.to_owned()),
            ("source.principal", _) => Attribute::Principal,
            ("source.namespace", _) => Attribute::Namespace,
            ("source.serviceAccount", _) => Attribute::ServiceAccount,
            ("destination.port", _) => Attribute::Port,
            ("connection.sni", _) => Attribute::Sni,
            (other, _) => {
                let title = format!("a condition on `{other}` is not supported");
                let problem = Problem::new(key.place(), title).allowed(KEYS.join(", "));
                let on_clusters = ON_CLUSTERS.iter().any(|known| other.starts_with(known));
                self.problems.push(match nearest(other, KEYS) {
                    _ if on_clusters => problem.beyond_local(),
                    Some(name) => problem.help(format!("did you mean `{name}`?")),
                    None => problem,
                });
                return None;
            }
        };
        let demand = self.demand(attribute, when.get("values"), when.get("notValues"));
        if demand.is_none() {
            let problem =
                Problem::new(when.place(), format!("the condition on `{}` has no value", key.as_str()));
            self.problems.push(problem.help("give `values`, `notValues` or both"));
        }
        demand
    }

    fn demand(
        &mut self,
        attribute: Attribute,
        some: Option<Node<'_>>,
        none: Option<Node<'_>>,
    ) -> Option<Demand> {
        let mut read = |list: Option<Node<'_>>| -> Vec<Pattern> {
            let Some(list) = list else { return Vec::new() };
            let values = list.value().as_array().map(Vec::as_slice).unwrap_or_default();
            let values = values.iter().enumerate().map(|(index, value)| list.item(index, value));
            values.filter_map(|value| self.pattern(&attribute, &value)).collect()
        };
        let (any_of, none_of) = (read(some), read(none));
        (!any_of.is_empty() || !none_of.is_empty()).then_some(Demand { attribute, any_of, none_of })
    }

    fn pattern(&mut self, attribute: &Attribute, node: &Node<'_>) -> Option<Pattern> {
        let text = node.as_str();
        match attribute {
            Attribute::Port if !text.parse::<u16>().is_ok_and(|port| port > 0) => {
                let problem = Problem::new(node.place(), format!("`{text}` is not a port"));
                self.problems.push(problem.allowed("a whole number from 1 to 65535, in quotes"));
                None
            }
            Attribute::Port => Some(Pattern::Exact(text.to_owned())),
            // One of this policy's own namespace needs no namespace.
            Attribute::ServiceAccount => Some(Pattern::Exact(match text.contains('/') {
                true => text.to_owned(),
                false => format!("{}/{text}", self.namespace),
            })),
            Attribute::Path if text.contains("{*}") || text.contains("{**}") => {
                if is_template(text) {
                    return Some(Pattern::Template(text.to_owned()));
                }
                let problem = Problem::new(node.place(), format!("`{text}` is not a template of paths"));
                let allowed = "`/` and then words, `{*}` or `{**}` between slashes; after `{**}` only words";
                self.problems.push(problem.allowed(allowed));
                None
            }
            _ => Some(Pattern::read(text)),
        }
    }
}

/// What Envoy takes: any other would be refused by the proxy, far from who wrote it.
fn is_template(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else { return false };
    let mut over = false;
    path.split('/').all(|part| match part {
        "{*}" => !over,
        "{**}" => !std::mem::replace(&mut over, true),
        word => !word.contains(['*', '{', '}']),
    })
}

impl Mesh {
    /// The policies that a workload goes by, those that deny first.
    pub fn authorization(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<Arc<AuthorizationPolicy>> {
        let root = &self.settings.root_namespace;
        let fitting = self.authorization_policies.iter().filter(|policy| {
            (policy.id.namespace == namespace || policy.id.namespace == *root)
                && is_subset(&policy.selector, labels)
                && !policy.dry_run
        });
        let mut policies: Vec<Arc<AuthorizationPolicy>> = fitting.cloned().collect();
        policies.sort_by_key(|policy| policy.action);
        policies
    }
}
