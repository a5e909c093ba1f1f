use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;

use super::homes::Homes;
use super::hosts::Reader;
use super::*;
use crate::problem::{Place, plain};
use crate::world::World;
use crate::yaml;

/// Two apps and what hangs on them, with everything that names a namespace, a host or an identity.
const NASTY: &str = include_str!("tests/nasty.yaml");

fn parsed(text: &str) -> Vec<Node> {
    yaml::parse(text, "nasty.yaml").unwrap_or_else(|problems| panic!("{}", plain(&problems)))
}

fn refused(text: &str) -> String {
    plain(&Layout::PerService.lay(parsed(text)).expect_err("it cannot be laid out"))
}

/// One line for each object, and one for each of its fields that says something about namespaces.
fn shown(objects: &[Json]) -> String {
    let mut text = String::new();
    for object in objects {
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().map(|name| format!("{name}/")).unwrap_or_default();
        let (kind, name) = (object["kind"].as_str().unwrap_or("?"), metadata["name"].as_str().unwrap_or("?"));
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{kind} {namespace}{name}");
        let inside = match kind {
            "Deployment" => vec![&object["spec"]["template"]["spec"]["containers"][0]],
            "Namespace" => vec![&metadata["labels"]],
            "Service" | "ServiceAccount" => vec![],
            "ConfigMap" | "Secret" => vec![&object["data"], &object["stringData"]],
            _ => vec![&object["spec"]],
        };
        for value in inside.into_iter().filter(|value| !value.is_null()) {
            for (field, value) in value.as_object().into_iter().flatten() {
                let _infallible = writeln!(text, "  {field}: {value}");
            }
        }
    }
    text
}

#[test]
fn the_pinning_world_lies_in_a_namespace_for_each_service() {
    let near = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = |layout, overlay| {
        World::laid(layout, "pinning", overlay, near, &Place::new("test", 1))
            .unwrap_or_else(|problems| panic!("{}", plain(&problems)))
    };
    let world = load(Layout::PerService, None);
    assert_eq!(world.name, "pinning (per-service)");
    assert_eq!(
        world.namespaces(),
        ["pinning", "pinning-microservice-a", "pinning-microservice-b", "pinning-microservice-c"]
    );
    for deployment in world.deployments() {
        assert_eq!(deployment.namespace, format!("pinning-{}", deployment.app()));
    }
    let written = load(Layout::Single, None);
    assert_ne!(world.digest(), written.digest());
    let names = |world: &World| world.edges().iter().map(|edge| edge.source.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&world), names(&written), "who calls whom is the same");
    let place = |world: &World| {
        let rule = world.objects.iter().find(|object| object.name() == "microservice-b-routing");
        rule.expect("it is there").place("/spec/http/1/match/0/sourceLabels").clone()
    };
    assert_eq!(place(&world), place(&written), "errors go on naming the line");
    let mut objects: Vec<Json> = world.objects.iter().map(|object| object.value.clone()).collect();
    objects.retain(|object| object["metadata"]["labels"]["version"] != "v2");
    for object in &mut objects {
        if let Some(container) = object.pointer_mut("/spec/template/spec/containers/0") {
            *container = serde_json::json!({"env": container["env"]});
        }
    }
    insta::assert_snapshot!(shown(&objects));
    for overlay in ["no-metrics", "retry-reset", "unpinned"] {
        load(Layout::PerService, Some(overlay));
    }
}

#[test]
fn everything_that_names_a_namespace_follows() {
    let laid =
        Layout::PerService.lay(parsed(NASTY)).unwrap_or_else(|problems| panic!("{}", plain(&problems)));
    let objects: Vec<Json> = laid.iter().map(Node::to_json).collect();
    insta::assert_snapshot!(shown(&objects));
}

#[test]
fn the_layout_that_is_written_changes_nothing() {
    assert_eq!(Layout::Single.lay(parsed(NASTY)).expect("nothing can go wrong"), parsed(NASTY));
}

#[test]
fn hosts_in_texts_are_found_and_words_are_left_alone() {
    let homes = Homes::of(&parsed(NASTY)).expect("it can be laid out");
    let own_namespace = ["NS".to_owned()];
    let reader = Reader { old: "shop", new: "shop-web", own_namespace: &own_namespace };
    const CART: &str = "cart.shop-cart.svc.cluster.local";
    let moved = [
        ("cart", "CART"),
        ("cart:8080", "CART:8080"),
        ("cart:$(PORT)", "CART:$(PORT)"),
        ("http://cart", "http://CART"),
        ("http://cart:8080/v1?next=cart", "http://CART:8080/v1?next=cart"),
        ("redis://user:cart@cart:6379/0", "redis://user:cart@CART:6379/0"),
        ("cart.shop", "CART"),
        ("http://cart.shop.svc:80/", "http://CART:80/"),
        ("cart.shop.svc.cluster.local.", "CART."),
        ("http://cart.$(NS).svc:8080", "http://CART:8080"),
        ("cart:9092, cart:9093,web:9092", "CART:9092, CART:9093,web:9092"),
        ("cart,other", "CART,other"),
        ("host=cart port=5432 user=cart", "host=CART port=5432 user=cart"),
        ("--next=http://cart:8080", "--next=http://CART:8080"),
        // Its own short name is found in its new namespace; its old namespace is not.
        ("web.shop:80", "web.shop-web.svc.cluster.local:80"),
        ("größer http://cart/ü", "größer http://CART/ü"),
    ];
    for (text, wanted) in moved {
        assert_eq!(homes.text(text, &reader), Some(wanted.replace("CART", CART)), "{text}");
    }
    let left = [
        "",
        "web",
        "http://web:80",
        "cart-2:8080",
        "my_cart:8080",
        "cart.example.com",
        "http://example.com/cart",
        "http://example.com/cart:8080",
        "the cart of a user",
        "cart:1.2.3",
        "registry/cart:12",
        "cart=1",
        "cart.$(OTHER).svc",
        "$(HOST):8080",
        "cart.elsewhere.svc.cluster.local",
        "$(unclosed cart",
    ];
    for text in left {
        assert_eq!(homes.text(text, &reader), None, "{text}");
    }
}

fn deployment(namespace: &str, name: &str, app: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{containers: []}}}}}}\n"
    )
}

#[test]
fn what_cannot_be_laid_out_is_told() {
    let long = "a".repeat(59);
    let worlds = [
        // A Service reaches one namespace only.
        deployment("shop", "web", "web").replace("app: web", "app: web, tier: x")
            + &deployment("shop", "cart", "cart").replace("app: cart", "app: cart, tier: x")
            + "---\nkind: Service\nmetadata: {name: all, namespace: shop}\nspec: {selector: {tier: x}}\n",
        // Two apps in one namespace, an app in that of somebody else, and names that no namespace may have.
        deployment("shop", "web", "a-web")
            + &deployment("shop-a", "web", "web")
            + "---\nkind: Namespace\nmetadata: {name: shop-cart}\n"
            + &deployment("shop", "cart", "cart")
            + &deployment("shop", "upper", "Upper_1")
            + &deployment("shop", "long", &long),
        deployment("shop", "web", "web")
            + "---\nkind: DestinationRule\nmetadata: {name: root, namespace: istio-system}\n\
               spec: {host: '*.shop.svc.cluster.local'}\n",
        deployment("shop", "web", "web") + "---\nkind: Sidecar\nmetadata: {name: default, namespace: shop}\n",
    ];
    let told: Vec<String> = worlds.iter().map(|world| refused(world)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_word_that_is_no_layout_is_told_with_the_nearest() {
    for (_, layout) in Layout::WORDS {
        assert_eq!(layout.to_string().parse(), Ok(layout));
    }
    let why = "per-servce".parse::<Layout>();
    assert_eq!(why, Err("layouts are: `single`, `per-service`; did you mean `per-service`?".to_owned()));
}
