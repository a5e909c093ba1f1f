use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Renderer, World};
use crate::backend::Choice;
use crate::problem::{Place, Problems, plain};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(name: &str, overlay: Option<&str>) -> Result<World, Problems> {
    let place = Place::new("scenario.yaml", 3);
    World::load(name, overlay, &package().join("tests/fixtures/worlds"), &place)
}

fn good(name: &str, overlay: Option<&str>) -> World {
    load(name, overlay).unwrap_or_else(|problems| panic!("{}", plain(&problems)))
}

fn bad(name: &str, overlay: Option<&str>) -> String {
    let problems = load(name, overlay).expect_err("the world is bad");
    let deploy = package().join("../services/deploy").canonicalize().expect("the workspace has worlds");
    plain(&problems).replace(&deploy.display().to_string(), "DEPLOY")
}

#[test]
fn the_pinning_world_is_good_in_all_its_overlays() {
    let world = good("pinning", None);
    assert_eq!(world.name, "pinning");
    assert_eq!(world.rendered_by, Renderer::Own);
    assert_eq!(world.publish, BTreeMap::from([(80, 8000)]));
    assert_eq!(world.deployments().len(), 6);
    assert!(
        world.deployments().iter().all(|one| one.chaos && one.namespace == "pinning" && one.replicas == 1)
    );
    assert_eq!(world.services().len(), 3);
    assert_eq!(world.entry.as_deref(), Some("microservice-a"));
    let crossing = world.edges().iter().filter(|edge| edge.crosses_versions()).count();
    assert_eq!((world.edges().len(), crossing), (8, 4), "two calls between two versions each");
    let overlays = package().join("../services/deploy/pinning/overlays");
    for entry in std::fs::read_dir(overlays).expect("there are overlays") {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        let world = good("pinning", Some(&name));
        assert_eq!(world.name, format!("pinning/{name}"));
        assert_eq!(world.digest(), good(&format!("pinning/{name}"), None).digest());
        assert!(world.journeys.is_some_and(|folder| folder.is_dir()), "the journeys are those of the world");
    }
}

#[test]
fn a_world_knows_its_workloads_and_edges() {
    let world = good("./configured", None);
    assert_eq!(world.name, "configured");
    let image = &world.images["web:1"];
    assert_eq!((image.command.len(), image.environment["LOG"].as_str(), &image.build), (2, "info", &None));
    let back = world.deployment("back").expect("it is there");
    assert_eq!((back.app(), back.version(), back.replicas, back.chaos), ("back", "v2", 1, true));
    assert_eq!(back.ports.len(), 1);
    let edges: Vec<(String, bool)> = world
        .edges()
        .iter()
        .map(|edge| (format!("{} {}", edge.source.name, edge.destination.name), edge.crosses_versions()))
        .collect();
    assert_eq!(edges, [("front-v1 back".to_owned(), true), ("front-v2 back".to_owned(), false)]);
    assert_eq!(world.nearest("bakc").as_deref(), Some("back"));
    assert_eq!(world.nearest("elsewhere"), None);
    // What cannot change a verdict is listed, not hidden.
    let inert: Vec<&str> = world.findings.inert.iter().map(|one| one.field.as_str()).collect();
    assert!(inert.contains(&"spec.template.spec.containers[].resources"), "{inert:?}");
}

#[test]
fn a_name_that_nobody_can_look_up_is_told_with_the_line_to_write() {
    let mut world = good("../../../examples/two-programs/corner", None);
    assert_eq!(super::here::unnamed(&world), [""; 0], "world.yaml says where the stock is");
    world.images.get_mut("example/orders:1").expect("an image").environment.clear();
    let told = super::here::unnamed(&world);
    let end = "give `STOCK_URL` under `environment` in world.yaml: `http://$(svc:stock):8080`";
    let start = "corner/orders.yaml:25: `STOCK_URL` names the service `stock`";
    assert!(told.len() == 1 && told[0].contains(start) && told[0].ends_with(end), "{told:#?}");
    let hosts = "-Djdk.net.hosts.file=$(MESHQUAKE_HOSTS)".to_owned();
    world.images.get_mut("example/orders:1").expect("an image").command.push(hosts);
    assert_eq!(super::here::unnamed(&world), [""; 0], "it reads the hosts file");
}

#[test]
fn an_address_is_asked_for_of_a_service_that_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = package().join("examples/two-programs/corner");
    std::fs::create_dir(folder.path().join("journeys")).expect("a folder");
    for file in std::fs::read_dir(&from).expect("a world").map(|entry| entry.expect("an entry").path()) {
        if file.is_file() {
            std::fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    std::fs::copy(from.join("journeys/order.yaml"), folder.path().join("journeys/order.yaml"))
        .expect("copied");
    let file = folder.path().join("world.yaml");
    let text = std::fs::read_to_string(&file).expect("read").replace("$(svc:stock)", "$(svc:stok)");
    std::fs::write(&file, text).expect("written");
    let problems = World::load(&folder.path().display().to_string(), None, package(), &Place::new("x", 1));
    let told = plain(&problems.expect_err("there is no such service"));
    for part in ["there is no Service `stok`", "allowed: `orders`, `stock`", "did you mean `stock`?"] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn pods_that_are_not_to_be_read_are_told() {
    assert_eq!(good("pinning", None).warnings().count(), 0);
    let warnings: Vec<String> = good("pinning", Some("no-metrics")).warnings().collect();
    let end = "overlays/no-metrics/kustomization.yaml:10: nobody reads the metrics of pods that say \
               `prometheus.io/scrape: \"false\"`";
    assert!(warnings.len() == 1 && warnings[0].ends_with(end), "six Deployments, one line: {warnings:#?}");
}

#[test]
fn an_overlay_takes_the_file_of_its_world() {
    let world = good("./configured", Some("more"));
    assert_eq!(world.deployment("back").map(|one| one.replicas), Some(4));
    assert_eq!(world.entry.as_deref(), Some("front"));
}

#[test]
fn replicas_are_set_by_deployment_or_app() {
    let mut world = good("./configured", None);
    let before = world.digest();
    assert_eq!(before, good("./configured", None).digest(), "the same world has the same digest");
    let place = |line| Place::new("scenario.yaml", line);
    let wanted = BTreeMap::from([("front".to_owned(), (3, place(5))), ("back".to_owned(), (0, place(6)))]);
    world.set_replicas(&wanted).expect("both exist");
    let replicas: Vec<u32> = world.deployments().iter().map(|one| one.replicas).collect();
    assert_eq!(replicas, [0, 3, 3]);
    let front = world.objects.iter().find(|object| object.name() == "front-v1").expect("it is there");
    assert_eq!(front.place("/spec/replicas"), &place(5));
    assert_ne!(world.digest(), before);
    let unknown = BTreeMap::from([("frond".to_owned(), (3, place(5))), ("x".to_owned(), (3, place(6)))]);
    let problems = world.set_replicas(&unknown).expect_err("neither exists");
    insta::assert_snapshot!(plain(&problems));
}

#[test]
fn all_problems_of_a_world_are_told_at_once() {
    insta::assert_snapshot!(bad("./bad", None));
}

#[test]
fn a_world_that_is_not_there_is_told_with_those_that_are() {
    insta::assert_snapshot!(bad("pining", None));
    insta::assert_snapshot!(bad("pinning", Some("unpined")));
    insta::assert_snapshot!(bad("./nowhere", None));
}

#[test]
fn a_folder_without_a_world_file_is_told() {
    insta::assert_snapshot!(bad("./empty", None));
}

#[test]
fn paths_are_shown_from_here() {
    assert_eq!(super::shown(Path::new("./a/../b.yaml")), "b.yaml");
    assert_eq!(super::shown(&PathBuf::from("/nowhere/x.yaml")), "/nowhere/x.yaml");
}

#[test]
fn what_only_a_cluster_can_run_is_refused_on_local_alone() {
    let world = good("./wide", None);
    let told = plain(&Choice::Local.bears(&world).expect_err("too much for processes"));
    for part in [
        "kind `StatefulSet`",
        "kind `PodDisruptionBudget`",
        "kind `NetworkPolicy`",
        "kind `PriorityClass`",
        "a condition on `source.ip`",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    Choice::Kind.bears(&world).expect("a cluster runs them all");
}

#[test]
fn what_is_wrong_is_wrong_on_clusters_too() {
    let place = Place::new("scenario.yaml", 3);
    let problems = World::load("./bad", None, &package().join("tests/fixtures/worlds"), &place);
    let everywhere = Choice::Kind.minds(problems.expect_err("the world is bad"));
    assert!(everywhere.0.iter().any(|problem| problem.title.contains("unknown field")), "{everywhere}");
    assert!(!everywhere.0.iter().any(|problem| problem.beyond_local), "{everywhere}");
}
