//! The pod's own routing: packets with the mark of captured sockets stay on `lo`, and sockets of applications take the
//! mark of the connection that they accept.
//!
//! In: a namespace, the mark. Out: one rule and one route per family, three settings.
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
        message::{self, Family, Route, Rule},
    },
};

/// The table of the route to `lo`.
///
/// Above 255: plugins that give a pod more networks count tables upwards from 100.
pub const TABLE: u32 = 0x1337;
/// The priority of the rule that selects it: before `main`, and after `local`, which knows the pod's own addresses.
pub const PRIORITY: u32 = 90;
/// What capture switches on in a pod, by names and files. The first is of both families: an accepted socket takes over the mark
/// of the connection's first packet. By the others what no socket sends has it: the reset of a port where nobody listens, for which a
/// delivery would wait otherwise, and the answers of a connection in TIME_WAIT.
const SETTINGS: [(&str, &str); 3] = [
    ("tcp_fwmark_accept", "/proc/sys/net/ipv4/tcp_fwmark_accept"),
    ("ipv4.fwmark_reflect", "/proc/sys/net/ipv4/fwmark_reflect"),
    ("ipv6.fwmark_reflect", "/proc/sys/net/ipv6/fwmark_reflect"),
];
/// Whether a namespace forwards.
const FORWARDS: &str = "/proc/sys/net/ipv4/ip_forward";
/// The links of the namespace that a thread is in.
const LINKS: &str = "/proc/thread-self/net/dev";
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

/// Sees to it that nobody else has routes in our table, before the first of ours.
pub(crate) fn refuse_others(netns: &Netns) -> Result<(), Error> {
    let mut netlink = open(netns)?;
    let mut routes = 0;
    for family in [Family::V4, Family::V6] {
        let count = |answer: &[u8]| {
            routes += usize::from(message::is_route_of_others(answer, TABLE));
        };
        netlink
            .dump(&message::routes(family), count)
            .map_err(|source| Error::Route {
                step: "read the routes",
                source,
            })?;
    }
    if routes > 0 {
        return Err(Error::Table {
            table: TABLE,
            routes,
        });
    }
    Ok(())
}

/// Says so where a pod may forward what others send: nobody captures that.
pub(crate) fn warn_of_forwarding(netns: &Netns) {
    let read = netns.run(|| {
        let forwards = fs::read_to_string(FORWARDS)?;
        Ok::<_, io::Error>((forwards, fs::read_to_string(LINKS)?))
    });
    // It is only for who reads it.
    let Ok(Ok((forwards, links))) = read else {
        return;
    };
    let links = links
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .filter(|name| *name != "lo")
        .count();
    if forwards.trim() != "0" && links > 1 {
        tracing::warn!(
            links,
            netns = netns.inode(),
            "a pod forwards, and has more than one link: what it forwards is not captured"
        );
    }
}

/// What is to be routed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes {
    pub(crate) mark: u32,
    pub(crate) source_v4: Option<Ipv4Addr>,
    /// None where IPv6 is not captured; inside, the source.
    pub(crate) v6: Option<Option<Ipv6Addr>>,
}

/// Which of the settings are on in a namespace. One that the kernel does not have, because it has no IPv6, is not.
pub(crate) fn settings(netns: &Netns) -> Result<Vec<&'static str>, Error> {
    let mut on = Vec::new();
    for (name, path) in SETTINGS {
        let read = netns.run(|| fs::read_to_string(path));
        match read.and_then(|read| read) {
            Ok(text) if text.trim() == "0" => {}
            Ok(_) => on.push(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Error::Setting {
                    step: "read",
                    name,
                    source,
                });
            }
        }
    }
    Ok(on)
}

/// Switches the settings on, or those off that are not `kept`. Goes on after a failure and reports the first.
fn switch(netns: &Netns, on: bool, kept: &[String]) -> Result<(), Error> {
    let mut first = Ok(());
    for (name, path) in SETTINGS {
        if kept.iter().any(|kept| kept == name) {
            continue;
        }
        let written = netns.run(|| fs::write(path, if on { "1" } else { "0" }));
        match written.and_then(|written| written) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                let result = result.map_err(|source| Error::Setting {
                    step: "write",
                    name,
                    source,
                });
                first = first.and(result);
            }
        }
    }
    first
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
    switch(netns, true, &[])
}

/// Takes the routing back, whichever settings wrote it, and switches off what is not `kept`. Goes on after a failure and reports the first.
pub(crate) fn remove(netns: &Netns, kept: &[String]) -> Result<(), Error> {
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
    first.and(switch(netns, false, kept))
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
