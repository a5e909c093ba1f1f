//! DestinationRules: subsets and policies of a host, and which rule a caller goes by.

use std::collections::BTreeMap;

use super::host::{exported, namespace_of, qualify};
use super::policy_read::traffic_policy;
use super::service::is_subset;
use super::traffic_policy::TrafficPolicy;
use super::{Mesh, ObjectId, Service, host_matches};
use crate::object::Object;
use crate::source::{Place, Problem, Problems};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRule {
    pub id: ObjectId,
    pub place: Place,
    /// Fully qualified, or with a leading `*`.
    pub host: String,
    pub host_place: Place,
    pub policy: TrafficPolicy,
    pub subsets: Vec<Subset>,
    pub export_to: Vec<String>,
    /// The callers that go by it; empty is all of them.
    pub callers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    pub place: Place,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub policy: TrafficPolicy,
}

impl DestinationRule {
    pub(super) fn read(object: &Object, domain: &str, problems: &mut Problems) -> Self {
        let root = object.root();
        let spec = root.get("spec").unwrap_or_else(|| root.clone());
        let host = qualify(spec.text("host").unwrap_or_default(), namespace_of(object), domain);
        let mut subsets: Vec<Subset> = Vec::new();
        for node in spec.items("subsets") {
            let name = node.text("name").unwrap_or_default().to_owned();
            if let Some(first) = subsets.iter().find(|subset| subset.name == name) {
                let title = format!("subset `{name}` is defined twice, first at {}", first.place);
                problems.push(Problem::new(node.place(), title));
            }
            subsets.push(Subset {
                place: node.place().clone(),
                name,
                labels: node.texts("labels"),
                policy: node
                    .get("trafficPolicy")
                    .map(|node| traffic_policy(&node, problems))
                    .unwrap_or_default(),
            });
        }
        let callers = spec.get("workloadSelector");
        Self {
            id: ObjectId::of(object),
            place: object.place("").clone(),
            host,
            host_place: spec.get("host").map_or_else(|| spec.place().clone(), |host| host.place().clone()),
            policy: spec.get("trafficPolicy").map(|node| traffic_policy(&node, problems)).unwrap_or_default(),
            subsets,
            export_to: spec.items("exportTo").iter().map(|node| node.as_str().to_owned()).collect(),
            callers: callers.map(|selector| selector.texts("matchLabels")).unwrap_or_default(),
        }
    }
}

impl Mesh {
    /// The rule that callers with these labels in `namespace` go by for a service: their own namespace's, else the
    /// service's, else the mesh's; the most specific host among them; a rule for these callers before one for all.
    pub fn destination_rule(
        &self,
        service: &Service,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<&DestinationRule> {
        let host = self.fqdn(&service.id);
        [namespace, service.id.namespace.as_str(), self.settings.root_namespace.as_str()]
            .into_iter()
            .find_map(|at| {
                self.destination_rules
                    .iter()
                    .filter(|rule| {
                        rule.id.namespace == at
                            && host_matches(&rule.host, &host)
                            && exported(&rule.export_to, at, namespace)
                            && is_subset(&rule.callers, labels)
                    })
                    // The first of equals: Istio keeps the oldest.
                    .rev()
                    .max_by_key(|rule| {
                        (!rule.host.starts_with('*'), rule.host.len(), !rule.callers.is_empty())
                    })
            })
    }
}
