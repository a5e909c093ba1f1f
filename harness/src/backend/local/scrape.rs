//! What a local world's pods count: each Envoy's page on its admin socket, and the app's own where the pod names one.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::own::status::Target as Place;
use super::verbs::Verbs;
use crate::judge::{Address, Kind, Target};

/// Between two looks at which pods there are to scrape.
const LOOK: Duration = Duration::from_millis(200);

/// The pages of those pods that may be read.
pub fn targets(places: &[Place]) -> Vec<Target> {
    let mut targets = Vec::new();
    for place in places.iter().filter(|place| place.ready && place.scraped) {
        let labels = BTreeMap::from([("namespace".to_owned(), place.namespace.clone())]);
        if let Some(socket) = &place.admin {
            targets.push(Target {
                name: place.pod.clone(),
                kind: Kind::Sidecar,
                address: Address::Unix { socket: socket.clone(), path: "/stats/prometheus".into() },
                labels: labels.clone(),
            });
        }
        if let Some(url) = &place.app {
            targets.push(Target {
                name: place.pod.clone(),
                kind: Kind::App,
                address: Address::Http(url.clone()),
                labels,
            });
        }
    }
    targets
}

/// Keeps the targets as the pods come and go.
pub async fn follow(verbs: Verbs, tell: watch::Sender<Vec<Target>>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if let Ok(places) = verbs.targets().await {
            let targets = targets(&places);
            tell.send_if_modified(|known| {
                let changed = *known != targets;
                *known = targets;
                changed
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_not_to_be_read_has_no_page() {
        let place = Place {
            namespace: "shop".into(),
            pod: "web".into(),
            labels: BTreeMap::new(),
            ready: true,
            gateway: false,
            address: "127.64.1.2".into(),
            scraped: true,
            admin: Some("/run/web/admin.sock".into()),
            app: Some("http://127.64.1.1:80/metrics".into()),
            chaos: None,
        };
        let kinds = |place: Place| targets(&[place]).iter().map(|page| page.kind).collect::<Vec<_>>();
        assert_eq!(kinds(place.clone()), [Kind::Sidecar, Kind::App]);
        assert_eq!(kinds(Place { app: None, ..place.clone() }), [Kind::Sidecar]);
        assert_eq!(kinds(Place { ready: false, ..place.clone() }), []);
        assert_eq!(kinds(Place { scraped: false, ..place }), []);
    }
}
