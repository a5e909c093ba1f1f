use std::net::TcpListener;

use super::*;
use crate::backend::local::again::{Helper, again, run_id};

#[tokio::test]
async fn a_slice_has_one_holder_and_the_last_one_asked_for_says_so() {
    let name = run_id("slices");
    let first = Slice::take_from(&name, 64..=65).expect("free");
    let second = Slice::take_from(&name, 64..=65).expect("free");
    assert_eq!((first.number(), second.number()), (64, 65));
    let error = Slice::take_from(&name, 64..=65).expect_err("none is left").to_string();
    assert_eq!(
        error,
        "all 2 address slices of this machine (127.64.0.0/16 to 127.65.0.0/16) are taken by other runs; \
         `meshquake ls` shows yours, `meshquake down` ends them"
    );
    let shared = first.share_lock().expect("a second holder");
    drop(first);
    assert!(
        matches!(Slice::take_from(&name, 64..=65), Err(Error::AllTaken { .. })),
        "the second still holds it"
    );
    drop(shared);
    again("the first slice", || Slice::take_from(&name, 64..=64)).await;
}

#[tokio::test]
async fn a_slice_is_free_when_its_holder_was_killed() {
    let name = run_id("slice-death");
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut holder = Helper::start("slice", &name, folder.path());
    assert_eq!(holder.says(), "64");
    assert_eq!(
        Slice::take_from(&name, 64..=65).expect("the next one").number(),
        65,
        "another process has 64"
    );
    holder.kill_9();
    again("the slice of the dead", || Slice::take_from(&name, 64..=64)).await;
}

#[test]
fn a_slice_in_which_somebody_listens_is_passed_over() {
    let (first, _) = Slice::take().expect("a slice is free");
    let number = first.number();
    // Where an Envoy of a pod may have listened.
    let left_over = TcpListener::bind((Ipv4Addr::new(127, number, 1, 1), 0)).expect("nobody listens there");
    let at = left_over.local_addr().expect("an address");
    drop(first);
    let (second, passed_over) = Slice::take().expect("another slice is free");
    assert_ne!(second.number(), number);
    let told = passed_over.iter().find(|told| told.at == at);
    let told = told.unwrap_or_else(|| panic!("{at} is not in {passed_over:?}")).to_string();
    assert!(told.starts_with(&format!("127.{number}.0.0/16 was passed over: ")), "{told}");
    assert!(told.contains(&format!("process {} ", std::process::id())), "{told}");
}

#[test]
fn addresses_are_fresh_and_in_order() {
    let mut addresses = Addresses::new(70);
    assert_eq!(addresses.gateway(), Ipv4Addr::new(127, 70, 0, 1));
    let web = addresses.pod("web").expect("free");
    assert_eq!(web, PodAddresses { pod: Ipv4Addr::new(127, 70, 1, 1), app: Ipv4Addr::new(127, 70, 33, 1) });
    assert_eq!(addresses.pod("web").expect("known"), web);
    assert_eq!(addresses.vip("web", "cart").expect("free"), Ipv4Addr::new(127, 70, 64, 1));
    assert_eq!(addresses.vip("web", "shop").expect("free"), Ipv4Addr::new(127, 70, 64, 2));
    assert_eq!(addresses.vip("web", "cart").expect("known"), Ipv4Addr::new(127, 70, 64, 1));
    addresses.release("web");
    let next = addresses.pod("web").expect("free").pod;
    assert_eq!(next, Ipv4Addr::new(127, 70, 1, 2), "back under the same name, at another address");
    assert_eq!(addresses.vip("web", "cart").expect("free"), Ipv4Addr::new(127, 70, 64, 3));
}

#[test]
fn a_pool_uses_each_address_once_a_round_and_says_when_none_is_left() {
    let mut pool = Pool::new(1..=2);
    let first_round: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!(first_round.len(), 508);
    assert_eq!((first_round[0], first_round[254], first_round[507]), ((1, 1), (2, 1), (2, 254)));
    assert_eq!(first_round.iter().collect::<BTreeSet<_>>().len(), 508, "no address twice");
    pool.give_back(Ipv4Addr::new(127, 64, 2, 7));
    assert_eq!((pool.take(), pool.take()), (Some((2, 7)), None));

    let mut addresses = Addresses::new(64);
    addresses.pods = Pool::new(1..=1);
    for index in 0..254 {
        addresses.pod(&index.to_string()).expect("free");
    }
    let error = addresses.pod("one more").expect_err("none is left").to_string();
    assert_eq!(error, "no free pod address is left in 127.64.0.0/16; all 254 are in use");
}

#[tokio::test]
async fn a_listener_on_all_addresses_is_found_and_named() {
    for any in ["0.0.0.0:0", "[::]:0"] {
        let listener = TcpListener::bind(any).expect("a free port");
        let at = listener.local_addr().expect("bound");
        let wanted: Vec<SocketAddr> =
            [1, 2].map(|last| (Ipv4Addr::new(127, 191, 250, last), at.port()).into()).into();
        let Err(Error::Ports(taken)) = check_ports(&wanted) else { panic!("{at} takes every 127.x") };
        assert_eq!(
            taken.iter().map(|taken| taken.wanted).collect::<Vec<_>>(),
            wanted,
            "all problems at once"
        );
        for taken in taken {
            let Why::Listener { at: found, holder: Holder::Process { pid, .. } } = taken.why else {
                panic!("{taken}")
            };
            assert_eq!((found, pid), (at, std::process::id()));
        }
        drop(listener);
        again("the port", || check_ports(&wanted)).await;
    }
}

#[tokio::test]
async fn a_published_address_has_one_publisher() {
    let address = (Ipv4Addr::new(127, 191, 251, 1), 0);
    let address = TcpListener::bind(address).and_then(|listener| listener.local_addr()).expect("a free port");
    let first = publish(address).expect("free");
    let error = publish(address).expect_err("taken").to_string();
    assert_eq!(error, format!("{address} is taken: another run of meshquake publishes it"));
    drop(first);
    drop(again("the address", || publish(address)).await);
    let listener = again("the port", || TcpListener::bind(address)).await;
    let named = format!("{address} is taken: process {} (", std::process::id());
    again("the name of the listener", || match publish(address) {
        Ok(_) => Err("it was published though somebody listens".into()),
        Err(error) if error.to_string().starts_with(&named) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    drop(listener);
}
