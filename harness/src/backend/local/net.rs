//! All addresses of a run come from here: one locked slice 127.R.0.0/16 and what is handed out of it.
//!
//! ```text
//! 127.R.0.1          the gateway            127.R.32-63.x   app addresses ($BIND_IP), beside their pod's
//! 127.R.1-31.x       pod addresses          127.R.64-255.x  one VIP per (client pod, service)
//! ```
//!
//! The slice is locked across users by an abstract socket, which the kernel frees when its last holder dies.
//! Addresses are handed out in order and not again until all have been used, so that nobody meets a successor.
//!
//! ```ignore
//! let (slice, passed_over) = Slice::take()?;
//! let mut addresses = slice.addresses();
//! let web = addresses.pod("web-7f-1")?;             // web.pod 127.64.1.1, web.app 127.64.33.1
//! let vip = addresses.vip("web-7f-1", "catalog")?;  // the same for the same pair
//! net::check_ports(&[SocketAddr::from((web.pod, 8080))])?;
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};

mod ports;
#[cfg(test)]
mod tests;

pub use ports::{Holder, LeftOver, Taken, Why, check as check_ports, of_process as listeners_of};

/// The second octets that runs may have.
pub const SLICES: RangeInclusive<u8> = 64..=191;

const PODS: RangeInclusive<u8> = 1..=31;
const VIPS: RangeInclusive<u8> = 64..=255;
/// From a pod address to the app address beside it, in the third octet.
const APP_OFFSET: u8 = 32;
/// Last octets 1 to 254: a 0 or 255 looks like a network or a broadcast to many a program.
const HOSTS: u32 = 254;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "all {count} address slices of this machine (127.{first}.0.0/16 to 127.{last}.0.0/16) are taken by other runs; \
         `meshquake ls` shows yours, `meshquake down` ends them"
    )]
    AllTaken { first: u8, last: u8, count: usize },
    #[error("cannot lock the slice 127.{slice}.0.0/16")]
    Lock { slice: u8, source: io::Error },
    #[error("no free {what} address is left in 127.{slice}.0.0/16; all {count} are in use")]
    Exhausted { what: &'static str, slice: u8, count: u32 },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Ports(Vec<Taken>),
    #[error("cannot lock {address}")]
    Publish { address: SocketAddr, source: io::Error },
}

/// 127.R.0.0/16, ours as long as this lives.
#[derive(Debug)]
pub struct Slice {
    number: u8,
    lock: UnixDatagram,
}

impl Slice {
    /// Locks the first free slice of the machine in which nobody listens, and tells of those with somebody in them: an
    /// Envoy there would share a port with the stranger and lose every other call to it.
    pub fn take() -> Result<(Self, Vec<LeftOver>), Error> {
        // Held meanwhile, so that each look finds another one.
        let mut passed_over = Vec::new();
        loop {
            let slice = Self::take_from("meshquake-slice", SLICES)?;
            match ports::left_over_in(slice.number) {
                Some(left_over) => passed_over.push((slice, left_over)),
                None => {
                    return Ok((slice, passed_over.into_iter().map(|(_, left_over)| left_over).collect()));
                }
            }
        }
    }

    fn take_from(name: &str, numbers: RangeInclusive<u8>) -> Result<Self, Error> {
        for number in numbers.clone() {
            match lock(&format!("{name}-{number}")) {
                Ok(Some(lock)) => return Ok(Self { number, lock }),
                Ok(None) => {}
                Err(source) => return Err(Error::Lock { slice: number, source }),
            }
        }
        Err(Error::AllTaken { first: *numbers.start(), last: *numbers.end(), count: numbers.count() })
    }

    /// Two slices that belong to one test: the real ones are the machine's, where others may be at work.
    #[cfg(test)]
    pub(super) fn take_from_for_tests(test: &str) -> Self {
        Self::take_from(test, 64..=65).expect("a slice is free")
    }

    /// R of 127.R.0.0/16.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The addresses of this slice, none of them in use yet.
    pub fn addresses(&self) -> Addresses {
        Addresses::new(self.number)
    }

    /// The lock once more, for somebody who keeps the slice until the last process of the run is gone.
    pub(super) fn share_lock(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }
}

/// An abstract Unix socket as a lock: one for the machine (its network namespace), for all users, gone with its
/// last holder however that dies. Nothing when somebody else holds it.
fn lock(name: &str) -> io::Result<Option<UnixDatagram>> {
    match UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(name)?) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// An address outside the slice that this run publishes, first come; ours as long as this lives.
#[derive(Debug)]
pub struct Published {
    pub address: SocketAddr,
    _lock: UnixDatagram,
}

/// Takes an address such as 127.0.0.1:8000, or says who has it. The lock is needed besides the look at the port:
/// Envoys listen with SO_REUSEPORT, so two of them would share the port instead of one failing.
pub fn publish(address: SocketAddr) -> Result<Published, Error> {
    let lock = lock(&format!("meshquake-publish-{address}"))
        .map_err(|source| Error::Publish { address, source })?
        .ok_or_else(|| Error::Ports(vec![ports::taken(address, Why::OtherRun)]))?;
    ports::check(&[address])?;
    Ok(Published { address, _lock: lock })
}

/// The two addresses of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodAddresses {
    /// The sidecar's, `status.podIP`.
    pub pod: Ipv4Addr,
    /// Where the app itself listens, `$BIND_IP`.
    pub app: Ipv4Addr,
}

/// Hands out the addresses of one slice.
#[derive(Debug)]
pub struct Addresses {
    slice: u8,
    pods: Pool,
    vips: Pool,
    by_pod: BTreeMap<String, PodAddresses>,
    by_pair: BTreeMap<(String, String), Ipv4Addr>,
}

impl Addresses {
    fn new(slice: u8) -> Self {
        Self {
            slice,
            pods: Pool::new(PODS),
            vips: Pool::new(VIPS),
            by_pod: BTreeMap::new(),
            by_pair: BTreeMap::new(),
        }
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.slice, 0, 1)
    }

    /// The addresses of a pod, the same until it is released.
    pub fn pod(&mut self, pod: &str) -> Result<PodAddresses, Error> {
        if let Some(found) = self.by_pod.get(pod) {
            return Ok(*found);
        }
        let (third, fourth) = self.pods.take().ok_or_else(|| self.exhausted("pod", &self.pods))?;
        let new = PodAddresses {
            pod: Ipv4Addr::new(127, self.slice, third, fourth),
            app: Ipv4Addr::new(127, self.slice, third + APP_OFFSET, fourth),
        };
        self.by_pod.insert(pod.to_owned(), new);
        Ok(new)
    }

    /// Where the sidecar of `client` listens for calls to `service`, the same until the client is released.
    pub fn vip(&mut self, client: &str, service: &str) -> Result<Ipv4Addr, Error> {
        let pair = (client.to_owned(), service.to_owned());
        if let Some(found) = self.by_pair.get(&pair) {
            return Ok(*found);
        }
        let (third, fourth) = self.vips.take().ok_or_else(|| self.exhausted("service", &self.vips))?;
        let new = Ipv4Addr::new(127, self.slice, third, fourth);
        self.by_pair.insert(pair, new);
        Ok(new)
    }

    /// Gives back all addresses of a pod that is gone.
    pub fn release(&mut self, pod: &str) {
        if let Some(gone) = self.by_pod.remove(pod) {
            self.pods.give_back(gone.pod);
        }
        self.by_pair.retain(|(client, _), address| {
            let stays = client != pod;
            if !stays {
                self.vips.give_back(*address);
            }
            stays
        });
    }

    fn exhausted(&self, what: &'static str, pool: &Pool) -> Error {
        Error::Exhausted { what, slice: self.slice, count: pool.size() }
    }
}

/// The last two octets of a range of addresses, handed out in order, round and round.
#[derive(Debug)]
struct Pool {
    thirds: RangeInclusive<u8>,
    next: u32,
    used: BTreeSet<u32>,
}

impl Pool {
    fn new(thirds: RangeInclusive<u8>) -> Self {
        Self { thirds, next: 0, used: BTreeSet::new() }
    }

    fn size(&self) -> u32 {
        self.thirds.len() as u32 * HOSTS
    }

    fn take(&mut self) -> Option<(u8, u8)> {
        let size = self.size();
        let free =
            (0..size).map(|step| (self.next + step) % size).find(|index| !self.used.contains(index))?;
        self.used.insert(free);
        self.next = (free + 1) % size;
        // Both parts are below 255 by the sizes above.
        Some((self.thirds.start() + (free / HOSTS) as u8, (free % HOSTS) as u8 + 1))
    }

    fn give_back(&mut self, address: Ipv4Addr) {
        let [_, _, third, fourth] = address.octets();
        self.used.remove(&(u32::from(third - self.thirds.start()) * HOSTS + u32::from(fourth) - 1));
    }
}
