//! The environment and the command of a container: values, fields of the pod, ConfigMaps and Secrets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::hosts::{self, Named};
use crate::backend::local::store::kind::{CONFIG_MAP, SECRET};
use crate::backend::local::store::{Key, Store};
use crate::world::here;

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
    #[error(
        "world.yaml asks for the service `{0}`, which is not in this pod's namespace and not just once in the world"
    )]
    NoService(String),
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
    /// Where this pod calls each service.
    pub services: Vec<Named>,
    /// nss_wrapper, where it is installed.
    pub wrapper: Option<PathBuf>,
}

impl Surroundings<'_> {
    fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// A text of world.yaml, with the addresses and variables of this process in it.
    fn here(&self, text: &str, env: &BTreeMap<String, String>) -> Result<String, Error> {
        let address = |name: &str| hosts::find(&self.services, self.namespace(), name);
        if let Some(unknown) = here::services(text).find(|name| address(name).is_none()) {
            return Err(Error::NoService(unknown.to_owned()));
        }
        Ok(here::expand(text, |word| match here::service(word) {
            Some(name) => address(name).map(|address| address.to_string()),
            None => env.get(word).cloned(),
        }))
    }
}

/// Where the chaos switch of a pod listens, if its template says that it has one.
pub fn chaos_socket(pod: &Value, folder: &Path) -> Option<PathBuf> {
    pod["metadata"]["annotations"].get(CHAOS_PORT).map(|_| folder.join("chaos.sock"))
}

/// All variables of a container, in the order of Kubernetes: image, `envFrom`, `env`; last, because they say where this
/// process lives and whom it calls where, ours and those of world.yaml that speak of this machine.
pub fn variables(
    store: &Store,
    container: &Value,
    image: &Image,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, Error> {
    let namespace = around.namespace();
    let (of_here, of_image): (BTreeMap<_, _>, BTreeMap<_, _>) =
        image.env.clone().into_iter().partition(|(_, value)| here::is_of_here(value));
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOSTNAME".to_owned(), text(&around.pod["metadata"]["name"])),
    ]);
    env.extend(of_image);
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
    env.insert(here::HOSTS.to_owned(), around.hosts.display().to_string());
    if let Some(wrapper) = &around.wrapper {
        let own = env.get("LD_PRELOAD").map(|own| format!("{own}:")).unwrap_or_default();
        env.insert("LD_PRELOAD".to_owned(), format!("{own}{}", wrapper.display()));
        env.insert("NSS_WRAPPER_HOSTS".to_owned(), around.hosts.display().to_string());
    }
    match chaos_socket(around.pod, around.folder) {
        Some(socket) => env.insert("CHAOS_ADDR".to_owned(), format!("unix:{}", socket.display())),
        None => env.remove("CHAOS_ADDR"),
    };
    for (name, value) in of_here {
        let value = around.here(&value, &env)?;
        env.insert(name, value);
    }
    Ok(env)
}

/// Program and arguments. A `command` of the container takes the place of the image's, `args` follow.
pub fn command(
    container: &Value,
    image: &Image,
    env: &BTreeMap<String, String>,
    around: &Surroundings<'_>,
) -> Result<Vec<String>, Error> {
    let list = |field: &str| -> Vec<String> {
        let members = container[field].as_array().into_iter().flatten();
        members.filter_map(Value::as_str).map(|word| expand(word, env)).collect()
    };
    let mut command = list("command");
    if command.is_empty() {
        let words = image.command.iter().map(|word| around.here(word, env));
        command = words.collect::<Result<_, _>>()?;
    }
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

/// `$(NAME)` becomes the value of a variable known so far.
fn expand(template: &str, env: &BTreeMap<String, String>) -> String {
    here::expand(template, |name| env.get(name).cloned())
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

    fn pod() -> Value {
        json!({"metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"},
            "annotations": {"meshquake.dev/chaos-port": "9900"}}, "status": {"podIP": "127.64.1.1"}})
    }

    fn around(pod: &Value) -> Surroundings<'_> {
        let address = Ipv4Addr::new(127, 64, 64, 1);
        Surroundings {
            pod,
            folder: Path::new("/run/x"),
            app: Ipv4Addr::new(127, 64, 33, 1),
            hosts: "/run/x/hosts".into(),
            services: vec![Named { name: "stock".into(), namespace: "default".into(), address }],
            wrapper: None,
        }
    }

    fn image(variables: &[(&str, &str)]) -> Image {
        let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Image { command: vec!["/bin/shop".into()], env }
    }

    fn resolve(container: &Value) -> Result<BTreeMap<String, String>, Error> {
        variables(&store(), container, &image(&[("RUST_LOG", "info")]), &around(&pod()))
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
    fn what_world_yaml_says_of_this_machine_wins() {
        let image = image(&[
            ("URL", "http://$(svc:stock):$(PORT)"),
            ("JAVA_TOOL_OPTIONS", "-Djdk.net.hosts.file=$(MESHQUAKE_HOSTS)"),
            ("LEVEL", "info"),
        ]);
        let container = json!({"env": [{"name": "PORT", "value": "8080"}, {"name": "LEVEL", "value": "debug"},
            {"name": "URL", "value": "http://stock:8080"}]});
        let env = variables(&store(), &container, &image, &around(&pod())).unwrap();
        assert_eq!(env["URL"], "http://127.64.64.1:8080");
        assert_eq!(env["JAVA_TOOL_OPTIONS"], "-Djdk.net.hosts.file=/run/x/hosts");
        assert_eq!(env["LEVEL"], "debug", "what is right everywhere is the manifest's");
        assert_eq!((env.get("LD_PRELOAD"), env.get("NSS_WRAPPER_HOSTS")), (None, None));

        let gone = self::image(&[("URL", "http://$(svc:gone)")]);
        let error = variables(&store(), &container, &gone, &around(&pod())).unwrap_err();
        assert!(error.to_string().starts_with("world.yaml asks for the service `gone`"), "{error}");
    }

    #[test]
    fn names_are_found_through_nss_wrapper_where_it_is() {
        let pod = pod();
        let around = Surroundings { wrapper: Some("/lib/libnss_wrapper.so".into()), ..around(&pod) };
        let container = json!({"env": [{"name": "LD_PRELOAD", "value": "/lib/own.so"}]});
        let env = variables(&store(), &container, &image(&[]), &around).unwrap();
        assert_eq!(env["LD_PRELOAD"], "/lib/own.so:/lib/libnss_wrapper.so");
        assert_eq!(env["NSS_WRAPPER_HOSTS"], "/run/x/hosts");
    }

    #[test]
    fn arguments_follow_the_command() {
        let pod = pod();
        let around = around(&pod);
        let image =
            Image { command: vec!["/bin/shop".into(), "--stock=$(svc:stock)".into()], env: BTreeMap::new() };
        let env = BTreeMap::from([("NAME".to_owned(), "web".to_owned())]);
        let shop = command(&json!({"args": ["$(NAME)"]}), &image, &env, &around).unwrap();
        assert_eq!(shop, ["/bin/shop", "--stock=127.64.64.1", "web"]);
        let own = command(&json!({"command": ["sleep"], "args": ["1"]}), &image, &env, &around).unwrap();
        assert_eq!(own, ["sleep", "1"]);
        assert!(command(&json!({"image": "x"}), &Image::default(), &env, &around).is_err());
    }
}
