//! Where an app really listens: on loopback an app that ignores `$BIND_IP` disturbs everybody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::backend::local::net::listeners_of;

/// The ports that a container says it listens on.
pub fn ports(container: &Value) -> Vec<u16> {
    let ports = container["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok()).collect()
}

/// What is wrong with the addresses at which a process listens, if anything is.
pub fn complaint(pid: u32, app: Ipv4Addr, ports: &[u16]) -> Option<String> {
    judge(&listeners_of(pid), app, ports)
}

fn judge(listeners: &[SocketAddr], app: Ipv4Addr, ports: &[u16]) -> Option<String> {
    let advice = format!("on local an app must listen on $BIND_IP, here {app}");
    // Java takes IPv4 by a socket of IPv6.
    let elsewhere =
        |at: &&SocketAddr| ports.contains(&at.port()) && at.ip().to_canonical() != IpAddr::V4(app);
    if let Some(at) = listeners.iter().find(elsewhere) {
        return Some(format!("the app listens on {at}; {advice}"));
    }
    let everywhere = listeners.iter().find(|at| at.ip().to_canonical().is_unspecified());
    everywhere.map(|at| format!("the app listens on {at}, which is every address of the machine; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_addresses_are_named() {
        let app = Ipv4Addr::new(127, 64, 33, 1);
        let judge = |at: &str| judge(&[at.parse().unwrap()], app, &[8080]);
        assert_eq!(judge("127.64.33.1:8080"), None);
        assert_eq!(judge("[::ffff:127.64.33.1]:8080"), None, "the same by a socket of IPv6");
        assert_eq!(judge("127.0.0.1:9000"), None, "a port of its own on another address disturbs nobody");
        insta::assert_snapshot!(judge("127.0.0.1:8080").unwrap(),
            @"the app listens on 127.0.0.1:8080; on local an app must listen on $BIND_IP, here 127.64.33.1");
        assert!(judge("0.0.0.0:9000").unwrap().contains("every address"));
    }
}
