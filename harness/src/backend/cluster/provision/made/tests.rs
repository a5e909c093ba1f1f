//! What becomes of clusters when tools fail, are given up, or find what somebody else made; the tools are scripts.

use std::path::PathBuf;

use super::super::fake;
use super::super::tool::Which;
use super::*;

/// A place for tools and another for what is noted.
struct Bench {
    tools: tempfile::TempDir,
    notes: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        Self { tools: folder(), notes: folder() }
    }

    fn shop(&self, maker: Maker, script: &str) -> Shop {
        let settings = Settings::default();
        let desk = Desk::new(self.notes.path(), maker, &settings.cluster.name);
        let mut tool = fake::tool(self.tools.path(), maker.which(), script);
        tool.kubeconfig = Some(desk.kubeconfig());
        let engine = Engine::of(fake::tool(self.tools.path(), Which::Docker, ""));
        Shop { maker, tool, engine, desk, settings }
    }

    fn calls(&self) -> Vec<String> {
        fake::calls(self.tools.path())
    }

    fn config(&self) -> PathBuf {
        self.notes.path().join("config.yaml")
    }
}

async fn lock(shop: &Shop) -> File {
    shop.desk.lock(Duration::ZERO, &|_| {}).await.expect("free")
}

#[tokio::test]
async fn a_failed_try_leaves_nothing_behind() {
    let bench = Bench::new();
    let script = r#"if test "$2" = create; then echo 'no space left' >&2; exit 1; fi"#;
    let shop = bench.shop(Maker::K3d, script);
    shop.desk.set(Stage::Begun, "abc").expect("noted");
    let error = shop.create(&bench.config(), &lock(&shop).await).await.expect_err("it fails");
    let text = crate::error::chain(&error);
    assert!(text.starts_with("the k3d cluster `meshquake` could not be made"), "{text}");
    assert!(text.contains("no space left"), "{text}");
    let calls = bench.calls();
    assert_eq!(
        calls[1..],
        [
            "k3d cluster delete meshquake",
            "docker network rm k3d-meshquake",
            "docker volume rm k3d-meshquake-images"
        ]
    );
    assert_eq!(shop.desk.mark(), None, "there is nothing to be removed any more");
}

#[tokio::test]
async fn what_could_not_be_removed_is_said_and_still_known() {
    let bench = Bench::new();
    let shop = bench.shop(Maker::Kind, "echo $1 fails >&2; exit 1");
    shop.desk.set(Stage::Begun, "abc").expect("noted");
    let error = shop.create(&bench.config(), &lock(&shop).await).await.expect_err("it fails").to_string();
    assert!(error.contains("and what there was of it not removed"), "{error}");
    assert!(shop.desk.mark().is_some(), "the next try knows that it is ours to remove");
}

/// Begins to make a cluster, and waits for it no more once the tool was called.
async fn give_up(bench: &Bench, shop: &Shop) {
    shop.desk.set(Stage::Begun, "abc").expect("noted");
    let (config, lock) = (bench.config(), lock(shop).await);
    let started = wait::until("the try", Duration::from_secs(60), async || match bench.calls().len() {
        0 => Seen::NotYet("not called".into()),
        _ => Seen::Done(()),
    });
    tokio::select! {
        _ = shop.create(&config, &lock) => panic!("it sleeps"),
        begun = started => begun.expect("called"),
    }
}

#[tokio::test]
async fn a_try_that_is_given_up_takes_its_half_of_a_cluster_with_it() {
    let bench = Bench::new();
    let script = r#"if test "$1" = create; then sleep 600; fi"#;
    let shop = bench.shop(Maker::Kind, script);
    give_up(&bench, &shop).await;
    assert!(
        bench.calls().contains(&"kind delete cluster --name meshquake".to_owned()),
        "{:?}",
        bench.calls()
    );
    assert_eq!(shop.desk.mark(), None);
}

#[tokio::test]
async fn what_the_engine_makes_after_a_try_was_given_up_is_removed_too() {
    let bench = Bench::new();
    // The cluster shows up at the second look, as one whose container was asked for just before the end.
    let script = r#"
        if test "$1" = create; then sleep 600; fi
        if test "$1" = delete; then rm -f there; fi
        if test "$2" = clusters; then
            echo x >>looks
            if test "$(wc -l <looks)" = 2; then touch there; fi
            if test -e there; then echo meshquake; fi
        fi"#;
    let shop = bench.shop(Maker::Kind, script);
    give_up(&bench, &shop).await;
    let deleted = bench.calls().iter().filter(|call| call.contains("delete")).count();
    assert_eq!(deleted, 2, "{:?}", bench.calls());
    assert_eq!(shop.desk.mark(), None);
}

#[tokio::test]
async fn a_cluster_of_somebody_elses_is_neither_used_nor_removed() {
    let bench = Bench::new();
    let script = r#"if test "$2" = clusters; then echo meshquake; else exit 1; fi"#;
    let shop = bench.shop(Maker::Kind, script);
    let error = shop.condition().await.err().expect("not ours").to_string();
    assert!(error.starts_with("there is a kind cluster `meshquake` that meshquake did not make"), "{error}");
    let error = shop.take_away(&|_| {}).await.expect_err("not ours").to_string();
    assert!(error.contains("that meshquake did not make"), "{error}");
    assert!(bench.calls().iter().all(|call| !call.contains("delete")), "{:?}", bench.calls());
}

#[tokio::test]
async fn what_an_earlier_try_left_half_made_is_made_anew() {
    let bench = Bench::new();
    let script = r#"if test "$2" = clusters; then echo meshquake; else exit 1; fi"#;
    let shop = bench.shop(Maker::Kind, script);
    shop.desk.set(Stage::Begun, "abc").expect("noted");
    let found = shop.condition().await.expect("ours");
    assert!(matches!(found, Some(Found::Remake("was left half-made by an earlier try"))));
    shop.desk.set(Stage::Answers, "abc").expect("noted");
    let found = shop.condition().await.expect("ours");
    assert!(matches!(found, Some(Found::Remake("does not answer any more"))));
}

#[tokio::test]
async fn another_configuration_is_another_cluster() {
    let bench = Bench::new();
    let mut shop = bench.shop(Maker::Kind, "");
    let digest =
        |shop: &Shop| shop.digest(&shop.maker.config(&shop.settings).expect("ours")).expect("a digest");
    let first = digest(&shop);
    assert_eq!(first, digest(&shop));
    shop.settings.cluster.port = 8001;
    let port = digest(&shop);
    shop.settings.istio.version = Some("1.30.0".into());
    let istio = digest(&shop);
    shop.settings.kind.node_image = Some("node:2".into());
    let all = std::collections::BTreeSet::from([first, port, istio, digest(&shop)]);
    assert_eq!(all.len(), 4, "{all:?}");
    shop.settings.metrics.interval = Duration::from_secs(5);
    assert!(all.contains(&digest(&shop)), "what does not shape the cluster does not make it another");
}
