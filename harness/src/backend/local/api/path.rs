//! What a request path of the Kubernetes API points at.

use crate::backend::local::store::kind::Kind;

/// A collection, an object, or a part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: &'static Kind,
    /// The version asked for: answers are written in it.
    pub version: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub part: Option<String>,
}

/// `/api/v1/...` and `/apis/GROUP/VERSION/...`; nothing if no such kind is served.
pub fn parse(path: &str) -> Option<Target> {
    let mut steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match *steps.first()? {
        "api" => {
            steps.drain(..1);
            ("", steps.first().copied()?)
        }
        "apis" => {
            let group = steps.get(1).copied()?;
            steps.drain(..2);
            (group, steps.first().copied()?)
        }
        _ => return None,
    };
    steps.drain(..1);
    let (namespace, rest) = match steps.as_slice() {
        // `namespaces/NAME` and its parts are the Namespace itself, anything longer is inside it.
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        all => (None, all.to_vec()),
    };
    let [plural, rest @ ..] = rest.as_slice() else { return None };
    let kind = Kind::served(group, version, plural)?;
    if (!kind.namespaced && namespace.is_some()) || rest.len() > 2 {
        return None;
    }
    let text = |at: usize| rest.get(at).map(|s| (*s).to_owned());
    Some(Target { kind, version: version.to_owned(), namespace, name: text(0), part: text(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_api() {
        let shape = |path: &str| {
            parse(path).map(|t| format!("{} {:?} {:?} {:?}", t.kind.kind, t.namespace, t.name, t.part))
        };
        let expected = [
            ("/api/v1/namespaces", Some(r#"Namespace None None None"#)),
            ("/api/v1/namespaces/shop", Some(r#"Namespace None Some("shop") None"#)),
            ("/api/v1/pods", Some(r#"Pod None None None"#)),
            ("/api/v1/namespaces/shop/pods/a/log", Some(r#"Pod Some("shop") Some("a") Some("log")"#)),
            ("/apis/apps/v1/namespaces/shop/deployments", Some(r#"Deployment Some("shop") None None"#)),
            ("/apis/apps/v1/namespaces/shop/namespaces/x", None),
            ("/apis/batch/v1/namespaces/shop/jobs", None),
            ("/version", None),
        ];
        for (path, wanted) in expected {
            assert_eq!(shape(path).as_deref(), wanted, "{path}");
        }
    }
}
