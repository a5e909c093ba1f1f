//! The environment and the command of a container: values, fields of the pod, ConfigMaps and Secrets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::backend::local::store::kind::{CONFIG_MAP, SECRET};
use crate::backend::local::store::{Key, Store};

/// A pod with this annotation has a chaos switch.
const CHAOS_PORT: &str = "meshquake.dev/chaos-port";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} not found")]
    Missing(Key),
    #[error("{key} has no key `{field}`")]
    NoKey { key: Key, field: String },
    #[error("the field `{0}` cannot be given to a process on local")]
    Field(String),
    #[error("key `{field}` of {key} is not base64")]
    NotBase64 { key: Key, field: String },
    #[error("image `{0}` has no command in world.yaml")]
    NoCommand(String),
}

/// What an image is on this machine: a program with arguments, and its own environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Image {
    pub command: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What the pod's processes share.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub pod: &'a Value,
    pub folder: &'a Path,
    pub app: Ipv4Addr,
    pub hosts: PathBuf,
}

/// Where the chaos switch of a pod listens, if its template says that it has one.
pub fn chaos_socket(pod: &Value, folder: &Path) -> Option<PathBuf> {
    pod["metadata"]["annotations"].get(CHAOS_PORT).map(|_| folder.join("chaos.sock"))
}

/// All variables of a container, in the order of Kubernetes: image, `envFrom`, `env`; ours last, because they say
/// where this process lives.
pub fn variables(
    store: &Store,
    container: &Value,
    image: &Image,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, Error> {
    let namespace = around.pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOSTNAME".to_owned(), text(&around.pod["metadata"]["name"])),
    ]);
    env.extend(image.env.clone());
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        for (kind, reference) in [(&CONFIG_MAP, "configMapRef"), (&SECRET, "secretRef")] {
            let Some(reference) = source.get(reference) else { continue };
            let key = Key::new(kind, namespace, reference["name"].as_str().unwrap_or_default());
            match store.get(&key) {
                Some(entry) => {
                    let data = data(&key, entry.value())?;
                    env.extend(data.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
                }
                None if reference["optional"] == true => {}
                None => return Err(Error::Missing(key)),
            }
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = match variable.get("valueFrom") {
            None => Some(expand(variable["value"].as_str().unwrap_or_default(), &env)),
            Some(source) => from(store, namespace, source, around)?,
        };
        if let Some(value) = value {
            env.insert(text(&variable["name"]), value);
        }
    }
    env.insert("BIND_IP".to_owned(), around.app.to_string());
    env.insert("MESHQUAKE_HOSTS".to_owned(), around.hosts.display().to_string());
    match chaos_socket(around.pod, around.folder) {
        Some(socket) => env.insert("CHAOS_ADDR".to_owned(), format!("unix:{}", socket.display())),
        None => env.remove("CHAOS_ADDR"),
    };
    Ok(env)
}

/// Program and arguments. A `command` of the container takes the place of the image's, `args` follow.
pub fn command(
    container: &Value,
    image: &Image,
    env: &BTreeMap<String, String>,
) -> Result<Vec<String>, Error> {
    let list = |field: &str| -> Vec<String> {
        let members = container[field].as_array().into_iter().flatten();
        members.filter_map(Value::as_str).map(|word| expand(word, env)).collect()
    };
    let own = list("command");
    let mut command = if own.is_empty() { image.command.clone() } else { own };
    if command.is_empty() {
        return Err(Error::NoCommand(text(&container["image"])));
    }
    command.extend(list("args"));
    Ok(command)
}

fn from(
    store: &Store,
    namespace: &str,
    source: &Value,
    around: &Surroundings<'_>,
) -> Result<Option<String>, Error> {
    if let Some(field) = source.get("fieldRef") {
        return field_of(around.pod, field["fieldPath"].as_str().unwrap_or_default()).map(Some);
    }
    for (kind, reference) in [(&CONFIG_MAP, "configMapKeyRef"), (&SECRET, "secretKeyRef")] {
        let Some(reference) = source.get(reference) else { continue };
        let key = Key::new(kind, namespace, reference["name"].as_str().unwrap_or_default());
        let field = text(&reference["key"]);
        let optional = reference["optional"] == true;
        let Some(entry) = store.get(&key) else {
            return if optional { Ok(None) } else { Err(Error::Missing(key)) };
        };
        return match data(&key, entry.value())?.remove(&field) {
            None if !optional => Err(Error::NoKey { key, field }),
            value => Ok(value),
        };
    }
    let other = source.as_object().and_then(|fields| fields.keys().next()).cloned();
    Err(Error::Field(other.unwrap_or_default()))
}

/// The downward API, as far as a process on this machine has these fields.
fn field_of(pod: &Value, path: &str) -> Result<String, Error> {
    for map in ["labels", "annotations"] {
        let inner = path.strip_prefix(&format!("metadata.{map}['")).and_then(|rest| rest.strip_suffix("']"));
        if let Some(key) = inner {
            return Ok(text(&pod["metadata"][map][key]));
        }
    }
    match path {
        "metadata.name"
        | "metadata.namespace"
        | "metadata.uid"
        | "spec.serviceAccountName"
        | "status.podIP"
        | "status.hostIP" => {
            let pointer = format!("/{}", path.replace('.', "/"));
            Ok(pod.pointer(&pointer).map(text).unwrap_or_default())
        }
        "spec.nodeName" => Ok("local".to_owned()),
        other => Err(Error::Field(other.to_owned())),
    }
}

/// The entries of a ConfigMap or Secret as text.
fn data(key: &Key, value: &Value) -> Result<BTreeMap<String, String>, Error> {
    let mut found = BTreeMap::new();
    for (field, entry) in value["data"].as_object().into_iter().flatten() {
        let mut content = text(entry);
        if key.kind == &SECRET {
            let bytes = base64(&content)
                .ok_or_else(|| Error::NotBase64 { key: key.clone(), field: field.clone() })?;
            content = String::from_utf8_lossy(&bytes).into_owned();
        }
        found.insert(field.clone(), content);
    }
    for (field, entry) in value["stringData"].as_object().into_iter().flatten() {
        found.insert(field.clone(), text(entry));
    }
    Ok(found)
}

/// `$(NAME)` becomes the value of a variable known so far, `$$` a dollar; what is not known stays as it is.
fn expand(template: &str, env: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match name.and_then(|(name, after)| env.get(name).map(|value| (value, after))) {
            Some((value, after)) => {
                expanded.push_str(value);
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded + rest
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Standard base64, the form of a Secret's data.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::local::store::unpack;

    fn store() -> Store {
        let store = Store::new(|_| Ok(None));
        for object in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"A": "1", "B": "2"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"P": "c2VjcmV0IQ=="}}),
        ] {
            let object = unpack(object, "test");
            store.transact(|draft| draft.apply(draft.key_of(&object, None)?, &object, "t", false)).unwrap();
        }
        store
    }

    fn resolve(container: &Value) -> Result<BTreeMap<String, String>, Error> {
        let pod = json!({"metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"},
            "annotations": {"meshquake.dev/chaos-port": "9900"}}, "status": {"podIP": "127.64.1.1"}});
        let image =
            Image { command: vec!["/bin/shop".into()], env: [("RUST_LOG".into(), "info".into())].into() };
        let around = Surroundings {
            pod: &pod,
            folder: Path::new("/run/x"),
            app: Ipv4Addr::new(127, 64, 33, 1),
            hosts: "/run/x/hosts".into(),
        };
        variables(&store(), container, &image, &around)
    }

    #[test]
    fn variables_come_from_everywhere() {
        let env = resolve(&json!({
            "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "C_"},
                {"configMapRef": {"name": "gone", "optional": true}}],
            "env": [
                {"name": "PORT", "value": "8080"},
                {"name": "URL", "value": "http://$(POD):$(PORT)/$(UNKNOWN)$$(PORT)"},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "P"}}},
                {"name": "CHAOS_ADDR", "value": "127.0.0.1:9900"},
                {"name": "BIND_IP", "value": "0.0.0.0"},
            ]
        }))
        .unwrap();
        let expected = [
            ("C_A", "1"),
            ("C_B", "2"),
            ("RUST_LOG", "info"),
            ("URL", "http://$(POD):8080/$(UNKNOWN)$(PORT)"),
            ("APP", "web"),
            ("IP", "127.64.1.1"),
            ("PASSWORD", "secret!"),
            ("CHAOS_ADDR", "unix:/run/x/chaos.sock"),
            ("BIND_IP", "127.64.33.1"),
            ("HOSTNAME", "web-1"),
        ];
        for (name, value) in expected {
            assert_eq!(env[name], value, "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let one = |source: Value| resolve(&json!({"env": [{"name": "X", "valueFrom": source}]})).unwrap_err();
        let missing = one(json!({"configMapKeyRef": {"name": "c", "key": "Z"}}));
        assert_eq!(missing.to_string(), "ConfigMap default/c has no key `Z`");
        let gone = one(json!({"secretKeyRef": {"name": "gone", "key": "Z"}}));
        assert_eq!(gone.to_string(), "Secret default/gone not found");
        let field = one(json!({"fieldRef": {"fieldPath": "status.phase"}}));
        assert_eq!(field.to_string(), "the field `status.phase` cannot be given to a process on local");
    }

    #[test]
    fn arguments_follow_the_command() {
        let image = Image { command: vec!["/bin/shop".into()], env: BTreeMap::new() };
        let env = BTreeMap::from([("NAME".to_owned(), "web".to_owned())]);
        let shop = command(&json!({"args": ["$(NAME)"]}), &image, &env).unwrap();
        assert_eq!(shop, ["/bin/shop", "web"]);
        let own = command(&json!({"command": ["sleep"], "args": ["1"]}), &image, &env).unwrap();
        assert_eq!(own, ["sleep", "1"]);
        assert!(command(&json!({"image": "x"}), &Image::default(), &env).is_err());
    }
}
