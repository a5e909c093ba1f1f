//! The hosts file of a pod: every name by which a service is called, with the address where this pod's sidecar
//! takes calls to it.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// A service as a caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub name: String,
    pub namespace: String,
    pub address: Ipv4Addr,
}

/// Where a caller of this namespace calls the service that a name means: `NAME` in its own namespace, else the only one
/// of that name; or `NAME.NAMESPACE`.
pub fn find(services: &[Named], caller_namespace: &str, name: &str) -> Option<Ipv4Addr> {
    if let Some((name, namespace)) = name.split_once('.') {
        let one = services.iter().find(|one| one.name == name && one.namespace == namespace);
        return one.map(|one| one.address);
    }
    let all = services.iter().filter(|one| one.name == name).collect::<Vec<_>>();
    let own = all.iter().find(|one| one.namespace == caller_namespace);
    own.or(all.first().filter(|_| all.len() == 1)).map(|one| one.address)
}

/// The file's text. The short name is only for callers of the same namespace, as in a cluster.
pub fn render(caller_namespace: &str, services: &[Named]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for Named { name, namespace, address } in services {
        let short = if namespace == caller_namespace { format!(" {name}") } else { String::new() };
        let qualified = format!("{name}.{namespace}");
        // Writing to a string cannot fail.
        let _infallible =
            writeln!(text, "{address} {qualified}.svc.cluster.local {qualified}.svc {qualified}{short}");
    }
    text
}

/// Replaces the file as a whole, so that no reader sees half of it. An unchanged file is left alone.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, namespace: &str, last: u8) -> Named {
        let address = Ipv4Addr::new(127, 64, 64, last);
        Named { name: name.into(), namespace: namespace.into(), address }
    }

    #[test]
    fn the_own_namespace_comes_first_and_nothing_is_guessed() {
        let all = [service("cart", "shop", 1), service("cart", "old", 2), service("bank", "money", 3)];
        let found = |namespace, name| find(&all, namespace, name).map(|address| address.octets()[3]);
        assert_eq!(found("shop", "cart"), Some(1));
        assert_eq!(found("shop", "cart.old"), Some(2));
        assert_eq!(found("shop", "bank"), Some(3));
        assert_eq!(found("money", "cart"), None);
        assert_eq!((found("shop", "gone"), found("shop", "bank.shop")), (None, None));
    }

    #[test]
    fn names_are_those_of_a_cluster() {
        let text = render("shop", &[service("cart", "shop", 1), service("bank", "money", 2)]);
        insta::assert_snapshot!(text, @r"
        127.0.0.1 localhost
        127.64.64.1 cart.shop.svc.cluster.local cart.shop.svc cart.shop cart
        127.64.64.2 bank.money.svc.cluster.local bank.money.svc bank.money
        ");
    }

    #[test]
    fn the_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
