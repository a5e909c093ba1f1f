use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use meshquake_xds::fields::{Field, KindTable, Shape, Support};

use super::probe::{Known, fields_of};
use super::{KUBERNETES, of_kubernetes};

/// Fields that Kubernetes dropped from its types, and that old files still carry.
const GONE: [&str; 1] = ["selfLink"];

fn table_of(kind: &str) -> &'static KindTable {
    KUBERNETES.iter().copied().find(|table| table.kind == kind).expect("the kind has a table")
}

/// What differs between a table and the type, down to the objects that the table looks into.
fn differences(table: &KindTable, known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    compare("", table.fields, known, &mut found);
    found
}

fn compare(path: &str, fields: &[Field], known: &Known, found: &mut Vec<String>) {
    let Some(names) = known.get(path) else {
        found.push(format!("`{path}` is no object in Kubernetes"));
        return;
    };
    for field in fields {
        if !names.contains(field.name) && !GONE.contains(&field.name) {
            found.push(format!("`{path}.{}` does not exist in Kubernetes", field.name));
        }
        if !matches!(field.support, Support::Refused(_)) {
            descend(&format!("{path}.{}", field.name), field.shape, known, found);
        }
    }
    let ours = |name: &String| fields.iter().any(|field| field.name == *name);
    for name in names.iter().filter(|name| !ours(name)) {
        if !(path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind")) {
            found.push(format!("`{path}.{name}` is not in the table"));
        }
    }
}

fn descend(path: &str, shape: Shape, known: &Known, found: &mut Vec<String>) {
    match shape {
        Shape::Object(fields) | Shape::OneOf(fields) => compare(path, fields, known, found),
        Shape::List(shape) => descend(&format!("{path}[]"), *shape, known, found),
        Shape::Map(shape) => descend(&format!("{path}.*"), *shape, known, found),
        _ => {}
    }
}

#[test]
fn the_tables_name_every_field_of_kubernetes_and_no_other() {
    let none: Vec<String> = Vec::new();
    assert_eq!(differences(table_of("Namespace"), &fields_of::<Namespace>("v1", "Namespace")), none);
    assert_eq!(
        differences(table_of("ServiceAccount"), &fields_of::<ServiceAccount>("v1", "ServiceAccount")),
        none
    );
    assert_eq!(differences(table_of("ConfigMap"), &fields_of::<ConfigMap>("v1", "ConfigMap")), none);
    assert_eq!(differences(table_of("Secret"), &fields_of::<Secret>("v1", "Secret")), none);
    assert_eq!(differences(table_of("Service"), &fields_of::<Service>("v1", "Service")), none);
    assert_eq!(differences(table_of("Deployment"), &fields_of::<Deployment>("apps/v1", "Deployment")), none);
    assert_eq!(KUBERNETES.len(), 6, "a new table needs its line above");
}

#[test]
fn the_probe_sees_what_is_missing() {
    let mut known = fields_of::<Service>("v1", "Service");
    known.get_mut(".spec.ports[]").expect("an object").insert("colour".to_owned());
    assert_eq!(differences(table_of("Service"), &known), ["`.spec.ports[].colour` is not in the table"]);
}

#[test]
fn a_table_is_found_by_version_and_kind() {
    assert!(of_kubernetes("apps/v1", "Deployment").is_some());
    assert!(of_kubernetes("apps/v1beta1", "Deployment").is_none());
    assert!(of_kubernetes("v1", "Pod").is_none());
}
