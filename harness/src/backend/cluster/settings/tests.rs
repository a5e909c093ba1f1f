//! What a person may write, and how they are told where it is wrong.

use super::*;
use crate::problem;

fn parsed(text: &str, folder: &Path) -> Settings {
    Settings::parse(text, "meshquake.toml", folder)
        .unwrap_or_else(|found| panic!("{}", problem::plain(&found)))
}

#[test]
fn nothing_at_all_is_enough() {
    let settings = parsed("", Path::new("."));
    assert_eq!(settings.cluster, Settings::default().cluster);
    assert_eq!(settings.cluster.port, 8000);
    assert!(settings.metrics.relabel.is_empty());
}

#[test]
fn everything_can_be_said() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["kind.yaml", "overlay.yaml", "extra.yaml"] {
        std::fs::write(folder.path().join(file), file).expect("written");
    }
    let text = r#"
        cluster = {name = "mine", port = 8088, profile = "three-nodes"}
        prometheus.url = "http://127.0.0.1:9090/"
        [kind]
        config = "kind.yaml"
        node-image = "node:v1"
        create = ["--retain"]
        [k3d]
        import = ["--mode", "direct"]
        [context]
        entry = "http://10.0.0.7"
        [istio]
        version = "1.31.1"
        revision = "canary"
        values = ["overlay.yaml"]
        manifests = ["extra.yaml"]
        [metrics]
        interval = "2s"
        [[metrics.relabel]]
        source = ["raw"]
        regex = '([^;]*);.*'
        target = "app"
        [images]
        build = "dockerfile"
        registry = "registry.example/team"
    "#;
    let settings = parsed(text, folder.path());
    assert_eq!((settings.cluster.name.as_str(), settings.cluster.port), ("mine", 8088));
    assert_eq!(settings.cluster.profile, Profile::ThreeNodes);
    assert_eq!(settings.kind.create, ["--retain"]);
    assert_eq!(settings.k3d.import, ["--mode", "direct"]);
    assert_eq!(settings.istio.values, [folder.path().join("overlay.yaml").canonicalize().expect("there")]);
    assert_eq!(settings.prometheus, Prometheus::At("http://127.0.0.1:9090".to_owned()));
    assert_eq!(settings.metrics.interval, Duration::from_secs(2));
    assert_eq!(settings.metrics.relabel[0].value(|_| Some("front;x")).as_deref(), Some("front"));
    assert_eq!(settings.images.build, Some(ImageBuild::Dockerfile));
}

#[test]
fn our_prometheus_is_put_there_when_it_is_asked_for() {
    let wished = |text: &str| parsed(text, Path::new(".")).prometheus;
    assert_eq!(wished("prometheus.addon = true"), Prometheus::AddOn);
    assert_eq!(wished("prometheus.addon = false"), Prometheus::Found);
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"
[cluster]
nam = "mine"
port = 70000
profile = "two-nodes"
[istio]
values = ["gone.yaml"]
[metrics]
interval = 5
relabel = [{source = ["raw"], regex = "(", target = "1st"}]
[clusters]
[prometheus]
url = "somewhere"
"#;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meshquake.toml");
    std::fs::write(&file, text).expect("written");
    let problems = Settings::read(&file).expect_err("refused");
    let shown = problem::plain(&problems).replace(&folder.path().display().to_string(), "…");
    insta::assert_snapshot!(shown);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let problems = Settings::parse("[cluster]\nname = \n", "x.toml", Path::new(".")).expect_err("refused");
    let problem = &problems.0[0];
    assert_eq!(problem.place.line, 2, "{problem:?}");
    assert!(problem.title.starts_with("this is no TOML: "), "{problem:?}");
}

#[test]
fn the_digest_follows_whatever_shapes_the_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = folder.path().join("overlay.yaml");
    std::fs::write(&values, "a: 1").expect("written");
    let settings = parsed("[istio]\nvalues = [\"overlay.yaml\"]", folder.path());
    let digest = |settings: &Settings, config| settings.digest("kind", &settings.kind, config).expect("read");
    let first = digest(&settings, "nodes: 1");
    assert_eq!(first.len(), 16);
    assert_eq!(first, digest(&settings, "nodes: 1"), "it is the same as long as nothing changes");
    assert_ne!(first, digest(&settings, "nodes: 3"), "another configuration");
    std::fs::write(&values, "a: 2").expect("written");
    assert_ne!(first, digest(&settings, "nodes: 1"), "another content of a file");
    let mut other = settings.clone();
    other.metrics.interval = Duration::from_secs(5);
    assert_eq!(digest(&settings, ""), digest(&other, ""), "how it is scraped does not shape it");
}
