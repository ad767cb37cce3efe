//! Bringing a namespace to the state that the rules describe, from whatever it is in.

use std::{fs, io, path::Path};

use net::Netns;

use super::{
    CONNTRACK_MARK, Error, Family, MARK_MASK, Owner, ROUTE_PRIORITY, ROUTE_TABLE, Settings, Table,
    rules::Standing, tool::Tools,
};

/// Where the kernel tells, of the reader's own namespace, which interfaces have IPv6.
const IPV6_INTERFACES: &str = "/proc/sys/net/ipv6/conf";
// How `ip` words "it is there already" and "there is nothing of it" (EEXIST, ENOENT, ESRCH, and a table without
// any route).
const THERE_ALREADY: &[&str] = &["File exists"];
const NOT_THERE: &[&str] = &[
    "No such file or directory",
    "No such process",
    "FIB table does not exist",
];
/// What `ip` says where the kernel has no IPv6 at all.
const NO_SUCH_FAMILY: &[&str] = &["Address family not supported", "Operation not supported"];

/// What was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only: the settings or the pod do without IPv6.
    V4,
    /// Both.
    Both,
}

/// Writes the rules into a pod's namespace, or repairs them there. **Blocks** for tens of milliseconds, since it
/// runs programs: call it from a thread that may wait (`spawn_blocking`), never on a worker.
///
/// Idempotent. What fails part of the way is taken back if the pod was not captured before; if it was, what stands
/// is left standing, because it holds connections back that would otherwise go out plain. Call again to retry.
///
/// # Errors
/// Names the tool, its package where it is missing, and what it said; [`Error::Agent`] where somebody else captures.
pub fn apply(netns: &Netns, settings: &Settings) -> Result<Families, Error> {
    apply_with(netns, settings, &Tools::default())
}

/// Takes our rules out of a pod's namespace, whichever settings wrote them, and leaves an agent's. **Blocks** as [`apply`] does.
/// Idempotent; goes on after a failure and reports the first.
///
/// # Errors
/// As [`apply`].
pub fn remove(netns: &Netns) -> Result<(), Error> {
    remove_with(netns, &Tools::default())
}

/// Whose rules are in a pod's namespace. **Blocks** as [`apply`] does.
///
/// # Errors
/// As [`apply`].
pub fn owner(netns: &Netns) -> Result<Owner, Error> {
    let tools = Tools::default();
    netns
        .run(|| Ok(owner_of(&read(&tools, families(has_ipv6()))?)))
        .map_err(Error::Namespace)?
}

pub(super) fn apply_with(
    netns: &Netns,
    settings: &Settings,
    tools: &Tools,
) -> Result<Families, Error> {
    netns
        .run(|| apply_here(settings, tools))
        .map_err(Error::Namespace)?
}

pub(super) fn remove_with(netns: &Netns, tools: &Tools) -> Result<(), Error> {
    netns
        .run(|| remove_here(tools, has_ipv6()))
        .map_err(Error::Namespace)?
}

fn apply_here(settings: &Settings, tools: &Tools) -> Result<Families, Error> {
    let ipv6 = has_ipv6();
    // Read before anything is written, so that a missing tool changes nothing. Those of a family that is left alone say whose
    // the pod is as well.
    let mut standing = read(tools, families(ipv6))?;
    if owner_of(&standing) == Owner::Agent {
        return Err(Error::Agent);
    }
    standing.retain(|(family, _)| settings.ipv6 || *family == Family::V4);
    let fresh = standing.iter().all(|(_, standing)| standing.is_empty());
    let written = write(settings, tools, &standing);
    if written.is_err() && fresh {
        // The failure that is reported is the one that started this.
        drop(remove_here(tools, ipv6));
    }
    written?;
    Ok(if standing.len() > 1 {
        Families::Both
    } else {
        Families::V4
    })
}

fn families(ipv6: bool) -> &'static [Family] {
    if ipv6 {
        &[Family::V4, Family::V6]
    } else {
        &[Family::V4]
    }
}

fn read(tools: &Tools, families: &[Family]) -> Result<Vec<(Family, Standing)>, Error> {
    let one = |&family| Ok((family, Standing::parse(&tools.save(family)?)));
    families.iter().map(one).collect()
}

/// Ours, where any of it is: an agent that takes over removes what says so in both families.
fn owner_of(standing: &[(Family, Standing)]) -> Owner {
    let owners = || standing.iter().map(|(_, standing)| standing.owner());
    [Owner::Ours, Owner::Agent]
        .into_iter()
        .find(|wanted| owners().any(|owner| owner == *wanted))
        .unwrap_or(Owner::Nobody)
}

fn write(settings: &Settings, tools: &Tools, standing: &[(Family, Standing)]) -> Result<(), Error> {
    for (family, _) in standing {
        let [rule, route] = routes(*family);
        tools.ip(&rule.with("add"), THERE_ALREADY)?;
        tools.ip(&route.with("replace"), &[])?;
    }
    for (family, standing) in standing {
        let input: String = Table::ALL
            .iter()
            .map(|&table| standing.to_apply(settings, *family, table))
            .collect();
        tools.restore(*family, &input)?;
    }
    Ok(())
}

fn remove_here(tools: &Tools, ipv6: bool) -> Result<(), Error> {
    let families = families(ipv6);
    let mut first = Ok(());
    let mut standing = Vec::new();
    for &family in families {
        match tools.save(family) {
            Ok(dump) => standing.push((family, Standing::parse(&dump))),
            Err(error) => first = first.and(Err(error)),
        }
    }
    if owner_of(&standing) == Owner::Agent {
        // The routes are its, too.
        return first;
    }
    for (family, standing) in standing {
        let input: String = Table::ALL
            .iter()
            .rev()
            .map(|&table| standing.to_remove(table))
            .collect();
        first = first.and(tools.restore(family, &input));
    }
    for &family in families {
        let gone = [NOT_THERE, NO_SUCH_FAMILY].concat();
        for command in routes(family) {
            first = first.and(tools.ip(&command.with("del"), &gone));
        }
    }
    first
}

/// An `ip` command around its verb.
struct IpCommand {
    family: &'static str,
    object: &'static str,
    arguments: Vec<String>,
}

impl IpCommand {
    fn with<'a>(&'a self, verb: &'a str) -> Vec<&'a str> {
        [self.family, self.object, verb]
            .into_iter()
            .chain(self.arguments.iter().map(String::as_str))
            .collect()
    }
}

/// The rule and the route that keep marked packets on `lo`.
fn routes(family: Family) -> [IpCommand; 2] {
    let (option, any) = match family {
        Family::V4 => ("-4", "0.0.0.0/0"),
        Family::V6 => ("-6", "::/0"),
    };
    let text = |words: &str| words.split(' ').map(str::to_owned).collect();
    let rule = format!(
        "fwmark {CONNTRACK_MARK:#x}/{MARK_MASK:#x} pref {ROUTE_PRIORITY} lookup {ROUTE_TABLE}"
    );
    let route = format!("local {any} dev lo table {ROUTE_TABLE}");
    [
        IpCommand {
            family: option,
            object: "rule",
            arguments: text(&rule),
        },
        IpCommand {
            family: option,
            object: "route",
            arguments: text(&route),
        },
    ]
}

/// Whether any interface of the namespace that this thread is in has IPv6.
fn has_ipv6() -> bool {
    any_ipv6(Path::new(IPV6_INTERFACES)).unwrap_or(false)
}

fn any_ipv6(interfaces: &Path) -> io::Result<bool> {
    for interface in fs::read_dir(interfaces)? {
        let interface = interface?;
        // These two are not interfaces: what they say holds for the future.
        if interface.file_name() == "all" || interface.file_name() == "default" {
            continue;
        }
        // An interface may go while we look.
        let disabled =
            fs::read_to_string(interface.path().join("disable_ipv6")).unwrap_or_default();
        if disabled.trim() == "0" {
            return Ok(true);
        }
    }
    Ok(false)
}
