//! Faults of the mesh: a route answers with an error (`abort`) or late (`delay`), in the caller's own sidecar.
//!
//! The fault goes into every VirtualService that routes to the service: before each such route stands a copy of
//! it with the fault, narrowed to the callers and requests meant. Where no VirtualService routes to the service,
//! one is made. Undo puts back the object as it was, or deletes what was made.
//!
//! Envoy answers a fault before its router: it is neither retried nor counted by outlier detection, and it is
//! flagged (`FI`, `DI`) in the caller's series, which is the proof.

use std::collections::BTreeMap;
use std::time::Duration;

use meshquake_xds::model::ObjectId;
use serde_json::{Map, Value, json};

/// What the caller's sidecar does to a share of the requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Abort { status: u16, percent: f64 },
    Delay { by: Duration, percent: f64 },
}

impl Fault {
    /// The response flag that Envoy sets on an affected request.
    pub fn flag(&self) -> &'static str {
        match self {
            Fault::Abort { .. } => "FI",
            Fault::Delay { .. } => "DI",
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Fault::Abort { status, percent } => {
                json!({"abort": {"httpStatus": status, "percentage": {"value": percent}}})
            }
            Fault::Delay { by, percent } => {
                let delay = format!("{}s", by.as_secs_f64());
                json!({"delay": {"fixedDelay": delay, "percentage": {"value": percent}}})
            }
        }
    }
}

/// Whose requests, and which: empty means all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Labels of the calling workload.
    pub from: BTreeMap<String, String>,
    /// Headers that the request must carry, exactly.
    pub headers: BTreeMap<String, String>,
    pub path_prefix: Option<String>,
}

impl Scope {
    fn is_everything(&self) -> bool {
        *self == Scope::default()
    }
}

/// The VirtualService with the fault in every route to `service`, or `None` where it has no such route.
pub fn with_fault(
    virtual_service: &Value,
    service: &ObjectId,
    fault: &Fault,
    scope: &Scope,
) -> Option<Value> {
    if !scope.from.is_empty() && !applies_in_mesh(virtual_service) {
        return None; // a gateway is not a source with labels
    }
    let routes = virtual_service.pointer("/spec/http")?.as_array()?;
    let mut changed = Vec::with_capacity(routes.len() + 1);
    let mut found = false;
    for route in routes {
        if leads_to(route, namespace_of(virtual_service), service)
            && let Some(copy) = faulty_copy(route, fault, scope)
        {
            changed.push(copy);
            found = true;
        }
        changed.push(route.clone());
    }
    found.then(|| {
        let mut object = virtual_service.clone();
        object["spec"]["http"] = Value::Array(changed);
        object
    })
}

/// A VirtualService for a service that had none in the mesh, beside it: callers of all namespaces go by it.
pub fn new_virtual_service(name: &str, service: &ObjectId, fault: &Fault, scope: &Scope) -> Value {
    let ObjectId { namespace, name: service } = service;
    let plain = json!({"route": [{"destination": {"host": service}}]});
    let mut http = Vec::from_iter(faulty_copy(&plain, fault, scope));
    if !scope.is_everything() {
        http.push(plain);
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [service], "http": http},
    })
}

/// Whether the sidecars (and not only a gateway) read this VirtualService.
pub fn applies_in_mesh(virtual_service: &Value) -> bool {
    match virtual_service.pointer("/spec/gateways").and_then(Value::as_array) {
        None => true,
        Some(gateways) => gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh"),
    }
}

/// Whether some http route of the VirtualService leads to the service.
pub fn routes_to(virtual_service: &Value, service: &ObjectId) -> bool {
    let routes = virtual_service.pointer("/spec/http").and_then(Value::as_array);
    let namespace = namespace_of(virtual_service);
    routes.is_some_and(|routes| routes.iter().any(|route| leads_to(route, namespace, service)))
}

fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default")
}

/// A short name in a route is one of the namespace in which the route was written.
fn leads_to(route: &Value, namespace: &str, service: &ObjectId) -> bool {
    let destinations = route.get("route").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    destinations.iter().any(|destination| {
        let host = destination.pointer("/destination/host").and_then(Value::as_str).unwrap_or_default();
        let mut parts = host.splitn(3, '.');
        parts.next() == Some(service.name.as_str()) && parts.next().unwrap_or(namespace) == service.namespace
    })
}

/// The route with the fault and a narrower match; `None` where scope and match exclude each other.
fn faulty_copy(route: &Value, fault: &Fault, scope: &Scope) -> Option<Value> {
    let mut copy = route.clone();
    copy["fault"] = fault.to_json();
    if scope.is_everything() {
        return Some(copy);
    }
    let matches = match route.get("match").and_then(Value::as_array) {
        Some(matches) if !matches.is_empty() => matches.clone(),
        _ => vec![Value::Object(Map::new())],
    };
    let narrowed = matches.into_iter().filter_map(|entry| narrow(entry, scope)).collect::<Vec<_>>();
    if narrowed.is_empty() {
        return None;
    }
    copy["match"] = Value::Array(narrowed);
    Some(copy)
}

fn narrow(mut entry: Value, scope: &Scope) -> Option<Value> {
    let object = entry.as_object_mut()?;
    if !scope.from.is_empty() {
        let labels = object.entry("sourceLabels").or_insert_with(|| json!({})).as_object_mut()?;
        for (name, value) in &scope.from {
            let present = labels.entry(name).or_insert_with(|| json!(value));
            if present != value {
                return None;
            }
        }
    }
    if !scope.headers.is_empty() {
        let headers = object.entry("headers").or_insert_with(|| json!({})).as_object_mut()?;
        for (name, value) in &scope.headers {
            let exact = json!({"exact": value});
            let present = headers.entry(name).or_insert_with(|| exact.clone());
            if *present != exact {
                return None;
            }
        }
    }
    if let Some(prefix) = &scope.path_prefix {
        let uri = object.entry("uri").or_insert_with(|| json!({"prefix": prefix}));
        let kept = match (uri.get("prefix").and_then(Value::as_str), uri.get("exact").and_then(Value::as_str))
        {
            (Some(present), _) if prefix.starts_with(present) => json!({"prefix": prefix}),
            (Some(present), _) if present.starts_with(prefix.as_str()) => uri.clone(),
            (_, Some(exact)) if exact.starts_with(prefix.as_str()) => uri.clone(),
            _ => return None,
        };
        *uri = kept;
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(namespace: &str, name: &str) -> ObjectId {
        ObjectId::new(namespace, name)
    }

    fn pinned() -> Value {
        json!({
            "metadata": {"name": "microservice-c-routing", "namespace": "pinning"},
            "spec": {"hosts": ["microservice-c"], "http": [
                {"match": [{"sourceLabels": {"app": "microservice-b", "version": "v1"}}],
                 "route": [{"destination": {"host": "microservice-c", "subset": "v1"}}]},
                {"match": [{"sourceLabels": {"app": "microservice-b", "version": "v2"}}],
                 "route": [{"destination": {"host": "microservice-c.pinning.svc.cluster.local", "subset": "v2"}}]},
            ]},
        })
    }

    fn abort() -> Fault {
        Fault::Abort { status: 503, percent: 50.0 }
    }

    fn from(labels: &[(&str, &str)]) -> Scope {
        let from = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Scope { from, ..Scope::default() }
    }

    fn routes(object: &Value) -> &Vec<Value> {
        object["spec"]["http"].as_array().expect("routes")
    }

    #[test]
    fn a_fault_for_everybody_stands_before_every_route_to_the_service() {
        let changed =
            with_fault(&pinned(), &service("pinning", "microservice-c"), &abort(), &Scope::default())
                .unwrap();
        let faults = routes(&changed).iter().map(|route| route.get("fault").is_some()).collect::<Vec<_>>();
        assert_eq!(faults, [true, false, true, false]);
        assert_eq!(routes(&changed)[0]["match"], routes(&changed)[1]["match"]);
    }

    #[test]
    fn a_fault_for_one_caller_leaves_the_routes_of_others_alone() {
        let scope = from(&[("version", "v1")]);
        let changed = with_fault(&pinned(), &service("pinning", "microservice-c"), &abort(), &scope).unwrap();
        let faults = routes(&changed).iter().map(|route| route.get("fault").is_some()).collect::<Vec<_>>();
        assert_eq!(faults, [true, false, false]);
    }

    #[test]
    fn other_services_and_namespaces_are_not_touched() {
        assert_eq!(
            with_fault(&pinned(), &service("pinning", "microservice-b"), &abort(), &Scope::default()),
            None
        );
        assert_eq!(
            with_fault(&pinned(), &service("shop", "microservice-c"), &abort(), &Scope::default()),
            None
        );
        let mut elsewhere = pinned();
        elsewhere["metadata"]["namespace"] = json!("shop");
        for namespace in ["shop", "pinning"] {
            let changed =
                with_fault(&elsewhere, &service(namespace, "microservice-c"), &abort(), &Scope::default());
            let changed = changed.expect("one route leads there");
            let faults = routes(&changed).iter().filter(|route| route.get("fault").is_some()).count();
            assert_eq!(faults, 1, "the short name means the own namespace, the whole name the one in it");
        }
    }

    #[test]
    fn a_gateway_route_has_no_source_labels() {
        let mut bound = pinned();
        bound["spec"]["gateways"] = json!(["gateway"]);
        let scope = from(&[("version", "v1")]);
        assert_eq!(with_fault(&bound, &service("pinning", "microservice-c"), &abort(), &scope), None);
        assert!(
            with_fault(&bound, &service("pinning", "microservice-c"), &abort(), &Scope::default()).is_some()
        );
    }

    #[test]
    fn a_narrower_path_is_kept_and_an_excluded_one_gives_no_copy() {
        let route = json!({"match": [{"uri": {"prefix": "/api"}}], "route": []});
        let scope = |prefix: &str| Scope { path_prefix: Some(prefix.into()), ..Scope::default() };
        let uri = |prefix| {
            faulty_copy(&route, &abort(), &scope(prefix)).map(|copy| copy["match"][0]["uri"].clone())
        };
        assert_eq!(uri("/api/orders"), Some(json!({"prefix": "/api/orders"})));
        assert_eq!(uri("/"), Some(json!({"prefix": "/api"})));
        assert_eq!(uri("/web"), None);
    }

    #[test]
    fn a_new_virtual_service_keeps_a_plain_route_for_all_others() {
        let scope = from(&[("app", "web")]);
        let made = new_virtual_service("x", &service("shop", "catalog"), &abort(), &scope);
        assert_eq!(routes(&made).len(), 2);
        assert_eq!(routes(&made)[1].get("fault"), None);
        let for_all = new_virtual_service("x", &service("shop", "catalog"), &abort(), &Scope::default());
        assert_eq!(routes(&for_all).len(), 1);
    }
}
