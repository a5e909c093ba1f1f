//! Whether a workload takes plain text: PeerAuthentication and its order of precedence.

use std::collections::BTreeMap;

use super::service::is_subset;
use super::{Mesh, ObjectId};
use crate::object::{Node, Object};
use crate::source::{Place, Problem, Problems};

/// What a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Plain text alone.
    Disable,
    /// Both.
    Permissive,
    /// Mutual TLS alone.
    Strict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    pub id: ObjectId,
    pub place: Place,
    /// Empty: the whole namespace, or the whole mesh.
    pub selector: BTreeMap<String, String>,
    /// `None` takes over what the next wider policy says.
    pub mode: Option<(Mode, Place)>,
    pub ports: BTreeMap<u16, Option<(Mode, Place)>>,
}

impl PeerAuthentication {
    pub(super) fn read(object: &Object, problems: &mut Problems) -> Self {
        let spec = object.root().get("spec");
        let selector = spec.as_ref().and_then(|spec| spec.get("selector"));
        let selector = selector.map(|selector| selector.texts("matchLabels")).unwrap_or_default();
        let mut ports = BTreeMap::new();
        for (key, node) in spec.as_ref().map(|spec| spec.entries("portLevelMtls")).unwrap_or_default() {
            match key.parse() {
                Ok(port) if port > 0 => {
                    ports.insert(port, mode(&node));
                }
                _ => problems.push(
                    Problem::new(node.place(), format!("`{key}` in `spec.portLevelMtls` is no port"))
                        .allowed("1 to 65535, a port of the container"),
                ),
            }
            if selector.is_empty() {
                let title = "`spec.portLevelMtls` of PeerAuthentication needs a selector";
                let problem = Problem::new(node.place(), title);
                problems.push(problem.help("give `spec.selector.matchLabels`, or leave the ports out"));
            }
        }
        Self {
            id: ObjectId::of(object),
            place: object.place("").clone(),
            selector,
            mode: spec.and_then(|spec| spec.get("mtls")).and_then(|mtls| mode(&mtls)),
            ports,
        }
    }
}

fn mode(node: &Node<'_>) -> Option<(Mode, Place)> {
    let mode = match node.text("mode")? {
        "DISABLE" => Mode::Disable,
        "PERMISSIVE" => Mode::Permissive,
        "STRICT" => Mode::Strict,
        _ => return None,
    };
    Some((mode, node.get("mode")?.place().clone()))
}

impl Mesh {
    /// What a container's port takes, and where that was said. A port goes before its workload, that before the
    /// namespace, that before the mesh; of equals the oldest.
    pub fn mtls(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        port: u16,
    ) -> (Mode, Option<Place>) {
        let find = |at: &str, own: bool| {
            self.peer_authentications.iter().find(|policy| {
                policy.id.namespace == at
                    && policy.selector.is_empty() != own
                    && is_subset(&policy.selector, labels)
            })
        };
        let own = find(namespace, true);
        let levels = [
            own.and_then(|policy| policy.ports.get(&port).cloned().flatten()),
            own.and_then(|policy| policy.mode.clone()),
            find(namespace, false).and_then(|policy| policy.mode.clone()),
            find(&self.settings.root_namespace, false).and_then(|policy| policy.mode.clone()),
        ];
        match levels.into_iter().flatten().next() {
            Some((mode, place)) => (mode, Some(place)),
            None => (Mode::Permissive, None),
        }
    }
}
