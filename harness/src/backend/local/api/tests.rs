//! The API as a real `kube::Client` sees it, over a real socket.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{
    Api as Kube, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, WatchParams,
};
use kube::core::{GroupVersionKind, WatchEvent};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use super::*;
use crate::backend::local::client::connect;
use crate::backend::local::store::kind::POD;
use crate::backend::local::store::{Key, unpack};

struct Served {
    store: Store,
    client: kube::Client,
    _folder: tempfile::TempDir,
}

/// Serves an API that refuses VirtualServices whose host is `bad`.
fn serve() -> Served {
    let store = Store::new(|objects| {
        let mut problems = meshquake_xds::source::Problems::default();
        for object in objects.iter().map(|o| &o.object).filter(|o| o.value["spec"]["hosts"][0] == "bad") {
            let place = object.place("/spec/hosts/0");
            problems.push(
                meshquake_xds::source::Problem::new(place, "unknown host `bad`").help("did you mean `bed`?"),
            );
        }
        problems.into_result(None)
    });
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let log = folder.path().join("app.log");
    std::fs::write(&log, "one\ntwo\nthree\n").unwrap();
    let log_of = move |_: &str, pod: &str, _: Option<&str>| (pod == "a").then(|| log.clone());
    let api = Api { store: store.clone(), log_of: Arc::new(log_of) };
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router(api)).await });
    Served { store, client: connect(&socket), _folder: folder }
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "app", "image": "shop"}]}}}})
}

fn virtual_services(client: &kube::Client) -> Kube<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    Kube::namespaced_with(client.clone(), "default", &ApiResource::from_gvk(&kind))
}

#[tokio::test]
async fn a_deployment_lives_through_apply_scale_patch_and_delete() {
    let served = serve();
    let api: Kube<Deployment> = Kube::namespaced(served.client.clone(), "default");
    let params = PatchParams::apply("world");
    let made = api.patch("a", &params, &Patch::Apply(deployment())).await.unwrap();
    assert_eq!(made.spec.as_ref().unwrap().replicas, Some(1), "the default is filled in");
    assert_eq!(made.metadata.generation, Some(1));

    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    api.patch_scale("a", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(api.get_scale("a").await.unwrap().spec.unwrap().replicas, Some(3));
    let label = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    let merged = api.patch("a", &PatchParams::default(), &label).await.unwrap();
    assert_eq!(merged.metadata.generation, Some(2), "labels are not counted, replicas are");
    let steps = serde_json::from_value(json!([{"op": "remove", "path": "/metadata/labels/x"}])).unwrap();
    let patched = api.patch("a", &PatchParams::default(), &Patch::Json::<()>(steps)).await.unwrap();
    assert!(!patched.metadata.labels.unwrap().contains_key("x"));

    let mut old = merged.clone();
    old.spec.as_mut().unwrap().replicas = Some(5);
    let stale = api.replace("a", &PostParams::default(), &old).await.unwrap_err();
    assert!(matches!(&stale, kube::Error::Api(s) if s.code == 409 && s.reason == "Conflict"), "{stale}");

    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn two_managers_conflict_until_one_forces() {
    let served = serve();
    let api: Kube<Deployment> = Kube::namespaced(served.client.clone(), "default");
    api.patch("a", &PatchParams::apply("world"), &Patch::Apply(deployment())).await.unwrap();
    let mut other = deployment();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
    let conflict = api.patch("a", &PatchParams::apply("action"), &Patch::Apply(&other)).await.unwrap_err();
    let kube::Error::Api(status) = &conflict else { panic!("{conflict}") };
    assert_eq!(status.code, 409);
    let field = &status.details.as_ref().unwrap().causes[0].field;
    assert_eq!(field, ".spec.template.spec.containers[name=app].image");
    api.patch("a", &PatchParams::apply("action").force(), &Patch::Apply(&other)).await.unwrap();
}

#[tokio::test]
async fn a_bad_object_is_refused_with_all_problems_and_changes_nothing() {
    let served = serve();
    let api = virtual_services(&served.client);
    let object = |host: &str| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "v", "annotations": {"meshquake.dev/places": "{\"/spec/hosts/0\": \"vs.yaml:9\"}"}},
            "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}]}]}})
    };
    let params = PatchParams::apply("world");
    api.patch("v", &params, &Patch::Apply(object("good"))).await.unwrap();
    let refused = api.patch("v", &params, &Patch::Apply(object("bad"))).await.unwrap_err();
    let problems = status::problems(&refused).unwrap();
    assert_eq!(problems.to_string(), "vs.yaml:9: unknown host `bad`\n");
    assert_eq!(problems.0[0].help.as_deref(), Some("did you mean `bed`?"));
    let live = api.get("v").await.unwrap();
    assert_eq!(live.data["spec"]["hosts"][0], "good");
    assert!(live.metadata.annotations.is_none(), "places are for messages, not for readers");
    let older = GroupVersionKind::gvk("networking.istio.io", "v1beta1", "VirtualService");
    let older: Kube<DynamicObject> =
        Kube::namespaced_with(served.client.clone(), "default", &ApiResource::from_gvk(&older));
    assert_eq!(older.get("v").await.unwrap().types.unwrap().api_version, "networking.istio.io/v1beta1");
}

#[tokio::test]
async fn a_watch_misses_nothing_between_list_and_watch() {
    let served = serve();
    let api: Kube<ConfigMap> = Kube::namespaced(served.client.clone(), "default");
    let map = |name: &str, tier: &str| -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"tier": tier}}})).unwrap()
    };
    api.create(&PostParams::default(), &map("before", "x")).await.unwrap();
    let list = api.list(&Default::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    api.create(&PostParams::default(), &map("between", "x")).await.unwrap();
    let params = WatchParams::default().labels("tier=x");
    let events = api.watch(&params, list.metadata.resource_version.as_deref().unwrap()).await.unwrap();
    let leave = Patch::Merge(json!({"metadata": {"labels": {"tier": "z"}}}));
    api.patch("before", &PatchParams::default(), &leave).await.unwrap();
    api.delete("between", &DeleteParams::default()).await.unwrap();
    let seen: Vec<String> = events
        .take(3)
        .map_ok(|event| match event {
            WatchEvent::Added(o) => format!("+{}", o.metadata.name.unwrap()),
            WatchEvent::Deleted(o) => format!("-{}", o.metadata.name.unwrap()),
            other => format!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["+between", "-before", "-between"]);
}

#[tokio::test]
async fn a_runtime_watcher_works() {
    let served = serve();
    let api: Kube<ConfigMap> = Kube::namespaced(served.client.clone(), "default");
    let events = kube::runtime::watcher(api.clone(), Default::default());
    let mut names = Box::pin(kube::runtime::WatchStreamExt::applied_objects(events));
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    api.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(names.next().await.unwrap().unwrap().metadata.name.unwrap(), "m");
}

#[tokio::test]
async fn pods_are_deleted_by_mark_and_their_logs_are_read() {
    let served = serve();
    let pod = unpack(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": []}}),
        "test",
    );
    let key = Key::new(&POD, "default", "a");
    served.store.transact(|draft| draft.create(key.clone(), pod, "kubelet")).unwrap();
    let api: Kube<Pod> = Kube::namespaced(served.client.clone(), "default");
    let params = kube::api::LogParams { tail_lines: Some(2), ..Default::default() };
    assert_eq!(api.logs("a", &params).await.unwrap(), "two\nthree\n");
    let follow = kube::api::LogParams { follow: true, ..Default::default() };
    let mut lines = futures::AsyncBufReadExt::lines(api.log_stream("a", &follow).await.unwrap());
    assert_eq!(lines.next().await.unwrap().unwrap(), "one");

    api.delete("a", &DeleteParams::default().grace_period(0)).await.unwrap();
    let marked = api.get("a").await.unwrap().metadata;
    assert!(marked.deletion_timestamp.is_some());
    assert_eq!(marked.deletion_grace_period_seconds, Some(0));
    served.store.transact(|draft| draft.delete(&key)).unwrap();
    let rest: Vec<String> = lines.try_collect().await.unwrap();
    assert_eq!(rest, ["two", "three"], "following ends when the pod is gone");
    let refused = api.create(&PostParams::default(), &Pod::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(s) if s.code == 405));
}

#[tokio::test]
async fn a_namespace_must_exist_and_takes_its_objects_with_it() {
    let served = serve();
    let inside: Kube<ConfigMap> = Kube::namespaced(served.client.clone(), "shop");
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    let refused = inside.create(&PostParams::default(), &map).await.unwrap_err();
    assert!(status::problems(&refused).unwrap().to_string().contains("namespace `shop` does not exist"));
    let all: Kube<Namespace> = Kube::all(served.client.clone());
    let shop = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    all.create(&PostParams::default(), &shop).await.unwrap();
    inside.create(&PostParams::default(), &map).await.unwrap();
    all.delete("shop", &DeleteParams::default()).await.unwrap();
    assert!(inside.list(&Default::default()).await.unwrap().items.is_empty());
}
