//! Whether addresses are free to listen on, and who holds those that are not.
//!
//! The kernel decides: each address is bound for a moment. `/proc/net/tcp` then names the listener in the way,
//! which may sit on 0.0.0.0 or [::] and so on every 127.x, and `/proc/<pid>/fd` names its process.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::Error;
use crate::backend::local::proc;

/// An address that cannot be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub wanted: SocketAddr,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Somebody listens on it, or on all addresses.
    Listener { at: SocketAddr, holder: Holder },
    /// In use, but nobody listens: a connection has it as its own end, or it was just let go.
    InUse,
    /// Another run of meshquake publishes it.
    OtherRun,
    /// A port that only root may listen on.
    NotPermitted,
    /// The kernel says no for another reason.
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Process {
        pid: u32,
        command: String,
    },
    /// Its descriptors may not be looked at.
    OtherUser {
        uid: u32,
    },
}

pub(super) fn taken(wanted: SocketAddr, why: Why) -> Taken {
    Taken { wanted, why }
}

/// Whether all of these can be listened on now; the error names every one that cannot.
pub fn check(addresses: &[SocketAddr]) -> Result<(), Error> {
    let taken: Vec<Taken> = addresses
        .iter()
        .filter_map(|wanted| TcpListener::bind(wanted).err().map(|error| (*wanted, error)))
        .map(|(wanted, error)| taken(wanted, why(wanted, &error)))
        .collect();
    if taken.is_empty() { Ok(()) } else { Err(Error::Ports(taken)) }
}

fn why(wanted: SocketAddr, error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::AddrInUse => match listeners().into_iter().find(|found| found.blocks(wanted)) {
            Some(found) => Why::Listener { at: found.address, holder: found.holder() },
            None => Why::InUse,
        },
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Other(error.to_string()),
    }
}

/// Somebody who listens in a slice that no run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    pub slice: u8,
    pub at: SocketAddr,
    pub holder: Holder,
}

/// The first who listens at an address of this slice alone. Who listens on all addresses is in everybody's way.
pub(super) fn left_over_in(slice: u8) -> Option<LeftOver> {
    let is_there = |listener: &Listener| match listener.address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets()[..2] == [127, slice],
        IpAddr::V6(_) => false,
    };
    let found = listeners().into_iter().find(is_there)?;
    Some(LeftOver { slice, at: found.address, holder: found.holder() })
}

struct Listener {
    address: SocketAddr,
    uid: u32,
    inode: u64,
}

/// Where a process listens.
pub fn of_process(pid: u32) -> Vec<SocketAddr> {
    let inode = |descriptor: fs::DirEntry| {
        let target = fs::read_link(descriptor.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets: BTreeSet<u64> = descriptors.filter_map(inode).collect();
    let holds = |listener: &Listener| sockets.contains(&listener.inode);
    listeners().into_iter().filter(holds).map(|listener| listener.address).collect()
}

impl Listener {
    fn blocks(&self, wanted: SocketAddr) -> bool {
        let at = self.address.ip().to_canonical();
        self.address.port() == wanted.port() && (at == wanted.ip().to_canonical() || at.is_unspecified())
    }

    fn holder(&self) -> Holder {
        let socket = format!("socket:[{}]", self.inode);
        let holds = |pid: u32| {
            fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().any(|descriptor| {
                fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
            })
        };
        match proc::all().into_iter().find(|stat| holds(stat.pid)) {
            Some(stat) => Holder::Process { pid: stat.pid, command: proc::command_line(stat.pid) },
            None => Holder::OtherUser { uid: self.uid },
        }
    }
}

/// The kernel lists all listeners before the first connection, and of connections there may be very many: they are not
/// even asked for.
fn listeners() -> Vec<Listener> {
    let table = |name| File::open(format!("/proc/net/{name}")).into_iter().flat_map(in_table);
    ["tcp", "tcp6"].into_iter().flat_map(table).collect()
}

fn in_table(table: impl io::Read) -> impl Iterator<Item = Listener> {
    let lines = BufReader::new(table).lines().map_while(Result::ok);
    lines.skip(1).map_while(|line| listener(&line))
}

/// One line of `/proc/net/tcp` or `tcp6`, if it is of a listener.
fn listener(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (ip, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    Some(Listener {
        address: SocketAddr::new(ip_from_hex(ip)?, u16::from_str_radix(port, 16).ok()?),
        uid: fields.nth(3)?.parse().ok()?,
        inode: fields.nth(1)?.parse().ok()?,
    })
}

/// The kernel prints the address as 32-bit words of this machine, though the bytes are in network order.
fn ip_from_hex(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted;
        match &self.why {
            Why::Listener { at, holder } => {
                write!(f, "{wanted} is taken: {holder} listens on {at}")?;
                if at.ip().is_unspecified() && !wanted.ip().is_unspecified() {
                    write!(f, ", which is every address of this machine")?;
                }
                Ok(())
            }
            Why::InUse => write!(f, "{wanted} is in use, though nobody listens on it"),
            Why::OtherRun => write!(f, "{wanted} is taken: another run of meshquake publishes it"),
            Why::NotPermitted => write!(
                f,
                "{wanted} may not be listened on by this user: ports below \
                 /proc/sys/net/ipv4/ip_unprivileged_port_start are root's"
            ),
            Why::Other(error) => write!(f, "{wanted} cannot be listened on: {error}"),
        }
    }
}

impl fmt::Display for LeftOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slice, at, holder } = self;
        write!(f, "127.{slice}.0.0/16 was passed over: no run has it, but {holder} listens on {at}")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, command } => write!(f, "process {pid} ({command})"),
            Self::OtherUser { uid } => write!(f, "a process of another user (uid {uid})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_tables_are_read() {
        let line = "   0: 0100407F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
        let found = listener(line).expect("a listener");
        // The text above is what a little-endian machine prints.
        if cfg!(target_endian = "little") {
            assert_eq!(found.address, "127.64.0.1:8080".parse().expect("an address"));
        }
        assert_eq!((found.uid, found.inode), (1000, 4711));
        let connection = line.replace(" 0A ", " 01 ");
        assert!(listener(&connection).is_none(), "a connection is no listener");
        let table = format!("  sl  local_address …\n{line}\n{line}\n{connection}\n{line}\n");
        assert_eq!(in_table(table.as_bytes()).count(), 2, "behind the first connection is no listener");
        let any = ip_from_hex("00000000000000000000000000000000").expect("an address");
        assert_eq!(any, Ipv6Addr::UNSPECIFIED);
    }

    #[test]
    fn texts_say_who_and_where() {
        let wanted = "127.64.1.1:8080".parse().expect("an address");
        let at = "0.0.0.0:8080".parse().expect("an address");
        let listener = |holder| taken(wanted, Why::Listener { at, holder }).to_string();
        let process = Holder::Process { pid: 42, command: "python3 -m http.server 8080".into() };
        assert_eq!(
            listener(process),
            "127.64.1.1:8080 is taken: process 42 (python3 -m http.server 8080) listens on 0.0.0.0:8080, \
             which is every address of this machine"
        );
        assert_eq!(
            listener(Holder::OtherUser { uid: 33 }),
            "127.64.1.1:8080 is taken: a process of another user (uid 33) listens on 0.0.0.0:8080, \
             which is every address of this machine"
        );
    }
}
