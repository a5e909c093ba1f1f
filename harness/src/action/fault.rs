//! `abort` and `delay`: a fault of the mesh put into the VirtualServices that lead to a service.

use meshquake_xds::model::ObjectId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::mesh::{self, Fault, Scope};
use super::{Active, CONVERGE_LIMIT, Error, Ground, Proof, Undo};
use crate::backend::objects::{ObjectRef, said, version_of};

const API_VERSION: &str = "networking.istio.io/v1";

#[derive(Clone, Debug, PartialEq)]
pub struct MeshFault {
    /// Name of the action, from which the name of a new VirtualService is made.
    pub name: String,
    pub service: ObjectId,
    pub fault: Fault,
    pub scope: Scope,
}

impl MeshFault {
    pub fn what(&self) -> String {
        let share =
            |percent: &f64| if *percent >= 100.0 { String::new() } else { format!(" for {percent} %") };
        let done = match &self.fault {
            Fault::Abort { status, percent } => {
                format!("answer {status} instead of {}{}", self.service.name, share(percent))
            }
            Fault::Delay { by, percent } => {
                format!("delay calls to {} by {} ms{}", self.service.name, by.as_millis(), share(percent))
            }
        };
        let mut limits = Vec::new();
        if !self.scope.from.is_empty() {
            let labels =
                self.scope.from.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            limits.push(format!("from {}", labels.join(",")));
        }
        for (name, value) in &self.scope.headers {
            limits.push(format!("with {name}: {value}"));
        }
        if let Some(prefix) = &self.scope.path_prefix {
            limits.push(format!("under {prefix}"));
        }
        if limits.is_empty() { done } else { format!("{done} ({})", limits.join(", ")) }
    }

    pub async fn inject(&self, ground: &Ground<'_>, active: &mut Active) -> Result<(), Error> {
        let objects = ground.backend.objects();
        let mut all = Vec::new();
        for namespace in ground.namespaces {
            all.extend(objects.list(API_VERSION, "VirtualService", namespace).await?);
        }
        let changed = all
            .iter()
            .filter_map(|before| {
                let after = mesh::with_fault(before, &self.service, &self.fault, &self.scope)?;
                Some((before, after))
            })
            .collect::<Vec<_>>();
        let in_mesh =
            all.iter().any(|object| mesh::applies_in_mesh(object) && mesh::routes_to(object, &self.service));
        active.target = self.service.name.clone();
        let flag = self.fault.flag();
        active.proof = Proof::Counter {
            baseline: ground.metrics.total(&self.flagged()).await,
            promql: self.flagged(),
            says: format!("requests carry the flag {flag} in their callers' series"),
        };
        for (before, after) in changed {
            self.replace(ground, active, before, after).await?;
        }
        if !in_mesh {
            self.create(ground, active).await?;
        }
        if active.undos.is_empty() {
            return Err(Error::Nobody { what: self.what() });
        }
        ground.backend.converged(CONVERGE_LIMIT).await.map_err(Error::NotConverged)?;
        Ok(())
    }

    async fn replace(
        &self,
        ground: &Ground<'_>,
        active: &mut Active,
        before: &Value,
        mut after: Value,
    ) -> Result<(), Error> {
        let undo = Undo::Restore { object: ObjectRef::of(before), before: said(before), after: said(&after) };
        active.write_down(ground, undo).await?;
        after["metadata"]["resourceVersion"] = version_of(before).into();
        ground.backend.objects().replace(&after).await?;
        Ok(())
    }

    async fn create(&self, ground: &Ground<'_>, active: &mut Active) -> Result<(), Error> {
        let made =
            mesh::new_virtual_service(&object_name(&self.name), &self.service, &self.fault, &self.scope);
        active.write_down(ground, Undo::Delete { object: ObjectRef::of(&made) }).await?;
        ground.backend.objects().create(&made).await?;
        Ok(())
    }

    /// The requests that a caller's sidecar flagged on their way to the service.
    fn flagged(&self) -> String {
        let ObjectId { namespace, name } = &self.service;
        let mut labels = vec![
            r#"reporter="source""#.to_string(),
            format!(r#"response_flags=~".*{}.*""#, self.fault.flag()),
            // A fault answered before an endpoint was chosen names the service by its host alone.
            format!(r#"destination_service=~"{name}([.]{namespace}[.].*)?""#),
        ];
        for (label, series) in [("app", "source_app"), ("version", "source_version")] {
            if let Some(value) = self.scope.from.get(label) {
                labels.push(format!(r#"{series}="{value}""#));
            }
        }
        format!("sum(istio_requests_total{{{}}})", labels.join(","))
    }
}

/// What an object is called that an action makes: people call actions as they like, Kubernetes does not.
fn object_name(action: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut name = action.chars().map(plain).take(40).collect::<String>();
    if name != action {
        // Two actions whose names differ only in what was left out are still two.
        let digest = Sha256::digest(action);
        name = format!("{}-{:02x}{:02x}", name.trim_matches('-'), digest[0], digest[1]);
    }
    format!("meshquake-{name}")
}

#[cfg(test)]
mod tests {
    use super::object_name;

    #[test]
    fn an_action_may_be_called_anything() {
        assert_eq!(object_name("abort-2"), "meshquake-abort-2");
        let long = "x".repeat(100);
        let names = ["stock fails", "stock-fails!", "Stock fails", "…", &long].map(object_name);
        for (index, name) in names.iter().enumerate() {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.len() <= 63 && name.chars().all(good) && !name.ends_with('-'), "{name}");
            assert!(!names[..index].contains(name), "{name} is there twice");
        }
        assert!(names[0].starts_with("meshquake-stock-fails-"), "{}", names[0]);
    }
}
