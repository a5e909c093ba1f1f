//! What `world.yaml` says in terms of one process on this machine: `$(svc:NAME)` is where that process calls a service,
//! `$(VARIABLE)` one of the variables that it is given.
//!
//! A value of `environment` with such a word is right nowhere else. So it wins over what the manifests say, which is
//! meant for a cluster, and it never gets into an image.

use super::workload::namespace_of;
use super::{Image, World};
use crate::parts::nss_wrapper;

/// Begins the name of a service.
const SERVICE: &str = "svc:";
/// The hosts file of a pod, for programs that can read one.
pub const HOSTS: &str = "MESHQUAKE_HOSTS";

/// Whether a value is right for one process on this machine only.
pub fn is_of_here(value: &str) -> bool {
    value.contains("$(")
}

/// The names of all services that a text asks for.
pub fn services(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split("$(").skip(1).filter_map(|rest| rest.split_once(')'));
    words.filter_map(|(word, _)| word.strip_prefix(SERVICE))
}

/// The service that the word of a `$(…)` names, if it names one.
pub fn service(word: &str) -> Option<&str> {
    word.strip_prefix(SERVICE)
}

/// `$(WORD)` becomes its value, `$$` a dollar; a word without a value stays as it is.
pub fn expand(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
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
        let word = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match word.and_then(|(word, after)| value(word).map(|value| (value, after))) {
            Some((value, after)) => {
                expanded.push_str(&value);
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded + rest
}

/// The variables by which a program that is not ours is told a service's name, which without nss_wrapper it can hardly
/// look up.
///
/// What cargo builds for a world is taken to read [`HOSTS`].
pub fn unnamed(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for deployment in world.of_kind("Deployment") {
        let Some(pod) = deployment.root().path("spec.template.spec") else { continue };
        for container in pod.items("containers") {
            let Some(image) = container.text("image").and_then(|name| world.images.get(name)) else {
                continue;
            };
            if image.build.is_some() || reads_hosts(image) {
                continue;
            }
            for variable in container.items("env") {
                let (Some(name), Some(value)) = (variable.text("name"), variable.get("value")) else {
                    continue;
                };
                let own = image.environment.get(name).is_some_and(|value| is_of_here(value));
                let called = world
                    .services()
                    .into_iter()
                    .find(|service| calls(value.as_str(), service.name(), namespace_of(service)));
                if let Some(service) = called.filter(|_| !own) {
                    let service = service.name();
                    let value = value.as_str();
                    found.push(format!(
                        "{}: `{name}` names the service `{service}`, and a program that asks the system for that name finds \
                         nothing here; {}, or give `{name}` under `environment` in world.yaml: `{}`",
                        variable.place(),
                        nss_wrapper::WAY,
                        value.replacen(service, &format!("$({SERVICE}{service})"), 1),
                    ));
                }
            }
        }
    }
    found
}

/// Whether it is told where the hosts file is.
fn reads_hosts(image: &Image) -> bool {
    let hosts = format!("$({HOSTS})");
    image.command.iter().chain(image.environment.values()).any(|text| text.contains(&hosts))
}

/// Whether a value is an address that begins with the name of this service.
fn calls(value: &str, service: &str, namespace: &str) -> bool {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((host, port)) = rest[..end].rsplit_once(':') else {
        return value.contains("://") && is_name(&rest[..end], service, namespace);
    };
    port.parse::<u16>().is_ok() && is_name(host, service, namespace)
}

fn is_name(host: &str, service: &str, namespace: &str) -> bool {
    let qualified = format!("{service}.{namespace}");
    [service.to_owned(), format!("{qualified}.svc"), format!("{qualified}.svc.cluster.local"), qualified]
        .contains(&host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_of_a_text_are_named() {
        let text = "http://$(svc:stock):8080,$(PORT),$(svc:bank.money)";
        assert_eq!(services(text).collect::<Vec<_>>(), ["stock", "bank.money"]);
        assert_eq!(services("svc:stock $svc:stock (svc:stock) $(svc:stock").count(), 0);
    }

    #[test]
    fn words_without_a_value_stay() {
        let value = |word: &str| (word == "PORT").then(|| "80".to_owned());
        assert_eq!(expand("http://$(svc:x):$(PORT)/$$(PORT)$", value), "http://$(svc:x):80/$(PORT)$");
    }

    #[test]
    fn an_address_is_known_from_a_word() {
        for address in [
            "http://stock",
            "http://stock:8080/x",
            "stock:8080",
            "redis://stock.shop.svc:6379",
            "http://stock.shop/",
        ] {
            assert!(calls(address, "stock", "shop"), "{address}");
        }
        for other in
            ["stock", "http://stocks:8080", "http://127.0.0.1/stock", "a stock:", "http://stock.other/"]
        {
            assert!(!calls(other, "stock", "shop"), "{other}");
        }
    }
}
