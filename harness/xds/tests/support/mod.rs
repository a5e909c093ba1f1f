//! What both test binaries need: objects from YAML with their lines, and pods for the Deployments among them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput};
use meshquake_xds::intent::Fleet;
use meshquake_xds::model::{ContainerPort, GatewayProxy, State, Workload};
use meshquake_xds::object::{Object, Places};
use meshquake_xds::source::Place;
use serde_json::{Map, Value, json};

/// The objects of a YAML text, in `namespace` where they say none.
pub fn objects(file: &str, text: &str, namespace: &str) -> Vec<Object> {
    let mut reader = Reader { parser: Parser::new_from_str(text), file: file.into() };
    let mut objects = Vec::new();
    loop {
        match reader.next() {
            (Event::StreamEnd, _) => return objects,
            (Event::MappingStart(..), mark) => {
                let mut places = Places::new(reader.place(mark));
                let mut value = reader.map("", &mut places);
                let metadata = value["metadata"].as_object_mut().expect("an object has metadata");
                if value_is_namespaced(metadata) {
                    metadata.insert("namespace".to_owned(), json!(namespace));
                }
                objects.push(Object { value, places });
            }
            _ => {}
        }
    }
}

fn value_is_namespaced(metadata: &Map<String, Value>) -> bool {
    !metadata.contains_key("namespace")
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    file: Arc<str>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> (Event<'t>, Marker) {
        let (event, span) = self.parser.next_event().expect("more YAML").expect("good YAML");
        (event, span.start)
    }

    fn place(&self, mark: Marker) -> Place {
        Place::new(Arc::clone(&self.file), u32::try_from(mark.line()).expect("a short file"))
    }

    fn map(&mut self, pointer: &str, places: &mut Places) -> Value {
        let mut map = Map::new();
        loop {
            let (Event::Scalar(key, ..), mark) = self.next() else { return Value::Object(map) };
            let pointer = format!("{pointer}/{}", key.replace('/', "~1"));
            places.set(pointer.clone(), self.place(mark));
            let event = self.next().0;
            map.insert(key.into_owned(), self.value(event, &pointer, places));
        }
    }

    fn value(&mut self, event: Event<'t>, pointer: &str, places: &mut Places) -> Value {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty() => Value::Null,
            Event::Scalar(text, ScalarStyle::Plain, ..) => {
                let plain = serde_json::from_str(&text).ok().filter(|value: &Value| !value.is_string());
                plain.unwrap_or_else(|| json!(text))
            }
            Event::Scalar(text, ..) => json!(text),
            Event::MappingStart(..) => self.map(pointer, places),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, mark) = self.next();
                    if event == Event::SequenceEnd {
                        return Value::Array(items);
                    }
                    let pointer = format!("{pointer}/{}", items.len());
                    places.set(pointer.clone(), self.place(mark));
                    items.push(self.value(event, &pointer, places));
                }
            }
            other => panic!("unexpected {other:?} at {pointer}"),
        }
    }
}

/// One pod for each Deployment: pods at `NET.1.N`, their apps at `NET.2.N`, the gateway at `NET.1.250`.
pub fn fleet(objects: &[Object], net: [u8; 2]) -> Fleet {
    let at = |third, fourth| IpAddr::V4(Ipv4Addr::new(net[0], net[1], third, fourth));
    let deployments = objects.iter().filter(|object| object.kind() == "Deployment");
    let pods = deployments.zip(1u8..).map(|(object, n)| {
        let template = object.root().path("spec.template").expect("a template");
        let spec = template.get("spec").expect("a pod");
        let ports = spec.items("containers").into_iter().flat_map(|container| container.items("ports"));
        let ports = ports.map(|port| ContainerPort {
            name: port.text("name").map(str::to_owned),
            port: u16::try_from(port.integer("containerPort").expect("a number")).expect("a port"),
        });
        Workload {
            pod: format!("{}-{n}", object.name()),
            namespace: object.namespace().to_owned(),
            labels: template.get("metadata").expect("metadata").texts("labels"),
            service_account: spec.text("serviceAccountName").unwrap_or("default").to_owned(),
            workload: object.name().to_owned(),
            address: at(1, n),
            app_address: at(2, n),
            ports: ports.collect(),
            state: State::Ready,
        }
    });
    let gateway = GatewayProxy {
        pod: "gateway-1".to_owned(),
        namespace: "istio-system".to_owned(),
        labels: [("istio".to_owned(), "ingressgateway".to_owned())].into(),
        service_account: "istio-ingressgateway-service-account".to_owned(),
        workload: "istio-ingressgateway".to_owned(),
        address: at(1, 250),
        binds: [(80, vec![(at(1, 250), 8000).into(), (at(1, 251), 8000).into()])].into(),
    };
    Fleet { pods: pods.collect(), gateways: vec![gateway] }
}
