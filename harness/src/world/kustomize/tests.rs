use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::{Renderer, render};
use crate::problem::Problems;
use crate::yaml;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kustomize").join(name)
}

fn told(problems: &Problems) -> String {
    crate::problem::plain(problems)
}

/// The folder as `kubectl` renders it, or `None` where there is none to ask.
#[expect(clippy::print_stderr, reason = "a skipped comparison is said, not hidden")]
fn by_kubectl(folder: &Path) -> Option<Vec<Json>> {
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(folder).output() else {
        let wanted = std::env::var("MESHQUAKE_REQUIRE").unwrap_or_default();
        assert!(
            !wanted.split(',').any(|one| one == "kubectl"),
            "MESHQUAKE_REQUIRE asks for kubectl, which is not there"
        );
        eprintln!("skipped: no kubectl on PATH to compare {} with", folder.display());
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("kubectl prints UTF-8");
    let documents = yaml::parse(&text, "kubectl").expect("kubectl prints YAML");
    Some(documents.iter().map(yaml::Node::to_json).collect())
}

/// Object by object, so that a difference shows the two objects and not the two worlds.
fn compare(folder: &Path) {
    let Some(expected) = by_kubectl(folder) else { return };
    let rendered = render(folder).unwrap_or_else(|problems| panic!("{}", told(&problems)));
    assert_eq!(rendered.by, Renderer::Own);
    for (object, expected) in rendered.objects.iter().zip(&expected) {
        assert_eq!(&object.to_json(), expected);
    }
    assert_eq!(rendered.objects.len(), expected.len());
}

#[test]
fn every_supported_field_renders_as_by_kubectl() {
    compare(&fixture("base"));
    compare(&fixture("everything"));
}

#[test]
fn the_worlds_of_this_repository_render_as_by_kubectl() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/deploy");
    let mut folders = vec![deploy];
    let mut compared = 0;
    while let Some(folder) = folders.pop() {
        if folder.join("kustomization.yaml").is_file() {
            compare(&folder);
            compared += 1;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    assert!(compared > 0, "there is at least one world");
}

#[test]
fn a_value_has_the_place_of_whoever_set_it_last() {
    let rendered = render(&fixture("everything")).expect("the folder is good");
    let object = |kind: &str, name: &str| {
        let all = rendered.objects.iter().map(yaml::Node::to_object);
        all.into_iter().find(|object| object.kind() == kind && object.name() == name).expect("rendered")
    };
    let ends = |place: &crate::problem::Place, end: &str| {
        assert!(place.to_string().ends_with(end), "{place} is not {end}")
    };
    let front = object("Deployment", "front");
    ends(front.place("/metadata/name"), "base/apps.yaml:8");
    ends(front.place("/metadata/namespace"), "everything/kustomization.yaml:3");
    ends(front.place("/metadata/annotations/patched"), "everything/kustomization.yaml:15");
    ends(front.place("/spec/replicas"), "everything/kustomization.yaml:55");
    ends(front.place("/spec/template/spec/containers/0/env/1/value"), "patches/front.yaml:12");
    ends(front.place("/spec/template/spec/containers/0/env/2/value"), "base/apps.yaml:22");
    ends(front.place("/spec/template/spec/containers/0/image"), "everything/kustomization.yaml:51");
    ends(object("ConfigMap", "settings").place("/metadata/annotations"), "everything/kustomization.yaml:49");
}

#[test]
fn all_problems_of_a_folder_are_told_at_once() {
    let problems = render(&fixture("bad")).expect_err("the folder is bad");
    insta::assert_snapshot!(told(&problems));
}

#[test]
fn a_cycle_is_told() {
    let problems = render(&fixture("cycle")).expect_err("the folder is a cycle");
    insta::assert_snapshot!(told(&problems));
}

#[test]
fn a_folder_that_uses_more_is_left_to_kubectl_or_refused_by_name() {
    match (render(&fixture("beyond")), by_kubectl(&fixture("beyond"))) {
        (Ok(rendered), Some(expected)) => {
            assert_eq!(rendered.by, Renderer::Kubectl);
            assert_eq!(rendered.objects.iter().map(yaml::Node::to_json).collect::<Vec<_>>(), expected);
        }
        (Err(problems), None) => {
            let text = told(&problems);
            assert!(
                text.contains("`namePrefix` is not rendered") && text.contains("`configMapGenerator`"),
                "{text}"
            );
        }
        (rendered, expected) => panic!("{rendered:?} where kubectl says {expected:?}"),
    }
}

#[test]
fn a_missing_folder_is_told() {
    let problems = render(&fixture("nowhere")).expect_err("there is no such folder");
    insta::assert_snapshot!(told(&problems));
}
