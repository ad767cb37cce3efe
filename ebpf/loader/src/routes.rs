//! The pod's own routing: packets with the mark of captured sockets stay on `lo`, and sockets of applications take the
//! mark of the connection that they accept.
//!
//! In: a namespace, the mark. Out: one rule and one route per family, one setting.
//! Never: touches a table or a rule that is not ours by its number.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use net::Netns;
use nix::{ifaddrs::getifaddrs, libc};

use crate::{
    Error,
    netlink::{
        Netlink,
        message::{Family, Route, Rule},
    },
};

/// The table of the route to `lo`.
pub const TABLE: u8 = 101;
/// The priority of the rule that selects it: before `main`, and after `local`, which knows the pod's own addresses.
pub const PRIORITY: u32 = 90;
/// Whether an accepted socket takes over the mark of the connection's first packet; of both families.
const ACCEPT_MARKS: &str = "/proc/sys/net/ipv4/tcp_fwmark_accept";
/// Rules of ours in one pod: one per mark that was ever configured.
const MAX_RULES: usize = 16;

/// The addresses of all interfaces in a namespace, loopback among them.
///
/// # Errors
/// When it cannot be entered or asked.
pub fn addresses(netns: &Netns) -> Result<Vec<IpAddr>, Error> {
    let failed = |source| Error::Netns {
        step: "read the addresses",
        source,
    };
    let interfaces = netns
        .run(getifaddrs)
        .map_err(failed)?
        .map_err(|error| failed(error.into()))?;
    let mut addresses = Vec::new();
    for address in interfaces.filter_map(|interface| interface.address) {
        if let Some(v4) = address.as_sockaddr_in() {
            addresses.push(IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            addresses.push(IpAddr::V6(v6.ip()));
        }
    }
    Ok(addresses)
}

/// What is to be routed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes {
    pub(crate) mark: u32,
    pub(crate) source_v4: Option<Ipv4Addr>,
    /// None where IPv6 is not captured; inside, the source.
    pub(crate) v6: Option<Option<Ipv6Addr>>,
}

/// Whether sockets in a namespace take over marks.
pub(crate) fn accepts_marks(netns: &Netns) -> Result<bool, Error> {
    let read = netns.run(|| fs::read_to_string(ACCEPT_MARKS));
    let text = read.and_then(|read| read).map_err(|source| Error::Route {
        step: "read tcp_fwmark_accept",
        source,
    })?;
    Ok(text.trim() != "0")
}

fn accept_marks(netns: &Netns, on: bool) -> Result<(), Error> {
    let written = netns.run(|| fs::write(ACCEPT_MARKS, if on { "1" } else { "0" }));
    written
        .and_then(|written| written)
        .map_err(|source| Error::Route {
            step: "write tcp_fwmark_accept",
            source,
        })
}

/// Makes the routing what it is to be, from whatever it is. Nothing is captured by it alone.
pub(crate) fn apply(netns: &Netns, routes: &Routes) -> Result<(), Error> {
    let mut netlink = open(netns)?;
    let v4 = (Family::V4, routes.source_v4.map(IpAddr::V4));
    let v6 = routes.v6.map(|source| (Family::V6, source.map(IpAddr::V6)));
    for (family, source) in [Some(v4), v6].into_iter().flatten() {
        let route = Route {
            family,
            table: TABLE,
            source,
        };
        netlink
            .request(&route.replace())
            .map_err(|source| Error::Route {
                step: "write the route",
                source,
            })?;
        match netlink.request(&rule(family, routes.mark).add()) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            result => result.map_err(|source| Error::Route {
                step: "write the rule",
                source,
            })?,
        }
    }
    accept_marks(netns, true)
}

/// Takes the routing back, whichever settings wrote it. Goes on after a failure and reports the first.
pub(crate) fn remove(netns: &Netns, keep_accepting: bool) -> Result<(), Error> {
    let mut netlink = open(netns)?;
    let mut first = Ok(());
    for family in [Family::V4, Family::V6] {
        let delete = rule(family, 0).delete();
        let removed = all(|| netlink.request(&delete)).map_err(|source| Error::Route {
            step: "remove the rule",
            source,
        });
        first = first.and(removed);
        let delete = Route {
            family,
            table: TABLE,
            source: None,
        }
        .delete();
        let removed = all(|| netlink.request(&delete)).map_err(|source| Error::Route {
            step: "remove the route",
            source,
        });
        first = first.and(removed);
    }
    if keep_accepting {
        return first;
    }
    let restored = accept_marks(netns, false);
    first.and(restored)
}

fn open(netns: &Netns) -> Result<Netlink, Error> {
    let opened = netns.run(Netlink::open);
    opened
        .and_then(|opened| opened)
        .map_err(|source| Error::Netns {
            step: "speak with the kernel",
            source,
        })
}

fn rule(family: Family, mark: u32) -> Rule {
    Rule {
        family,
        priority: PRIORITY,
        mark,
        table: TABLE,
    }
}

/// Deletes until there is nothing more to delete.
fn all(mut delete: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 0..MAX_RULES {
        match delete() {
            Ok(()) => {}
            Err(error) => {
                return match error.raw_os_error() {
                    // There is none (any more), or nothing of this family at all.
                    Some(libc::ENOENT | libc::ESRCH | libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
                        Ok(())
                    }
                    _ => Err(error),
                };
            }
        }
    }
    Ok(())
}
