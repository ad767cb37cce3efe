//! The text of the rules. Pure: nothing here runs a program.

use std::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::IpNet;

use super::{CONNTRACK_MARK, MARK_MASK, Settings};

/// The address that the host's agent gives to probes of the kubelet. Source: Istio, `HOST_PROBE_SNAT_IP`.
pub const PROBE_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 127);
/// The same for IPv6. Source: Istio, `HOST_PROBE_SNAT_IPV6`.
pub const PROBE_V6: Ipv6Addr = Ipv6Addr::new(
    0xfd16, 0x9254, 0x7127, 0x1337, 0xffff, 0xffff, 0xffff, 0xffff,
);

/// Where DNS is asked.
const PORT_DNS: u16 = 53;

/// The chain that hangs in PREROUTING.
pub(super) const PREROUTING: &str = "ISTIO_PRERT";
/// The chain that hangs in OUTPUT.
pub(super) const OUTPUT: &str = "ISTIO_OUTPUT";
/// The chains of Istio's names, each with the built-in chain that jumps to it.
pub(super) const CHAINS: [(&str, &str); 2] = [("PREROUTING", PREROUTING), ("OUTPUT", OUTPUT)];
/// An empty chain that [`PREROUTING`] ends with in every table that we write: an agent's rules do not know it, and an agent that
/// takes over removes the jump.
pub(super) const OWNER: &str = "AMBIT";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1/32",
            Self::V6 => "::1/128",
        }
    }

    fn probe(self) -> String {
        match self {
            Self::V4 => PROBE_V4.to_string(),
            Self::V6 => PROBE_V6.to_string(),
        }
    }
}

/// A table of netfilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Table {
    Raw,
    Mangle,
    Nat,
}

impl Table {
    /// In the order in which they are written: nat, which captures, once all else stands.
    pub(super) const ALL: [Self; 3] = [Self::Raw, Self::Mangle, Self::Nat];
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Mangle => "mangle",
            Self::Nat => "nat",
        })
    }
}

/// The rules of one table in one family, in order. **Shape:** `-A` lines; none where the table has nothing to do.
#[must_use]
pub fn render(settings: &Settings, family: Family, table: Table) -> Vec<String> {
    match table {
        Table::Raw => raw(settings),
        Table::Mangle => mangle(settings),
        Table::Nat => nat(settings, family),
    }
}

fn raw(settings: &Settings) -> Vec<String> {
    if !settings.dns {
        return Vec::new();
    }
    let ours = marked(settings.mark.get());
    vec![
        format!("-A {OUTPUT} -p udp -m mark --mark {ours} -m udp --dport 53 -j CT --zone 1"),
        // Answers come without a mark. What is on its way between the app and ztunnel over lo is seen already,
        // and the CT target leaves it alone.
        format!("-A {PREROUTING} -p udp -m mark ! --mark {ours} -m udp --sport 53 -j CT --zone 1"),
    ]
}

fn mangle(settings: &Settings) -> Vec<String> {
    let (ours, theirs) = (marked(settings.mark.get()), marked(CONNTRACK_MARK));
    vec![
        format!("-A {PREROUTING} -m mark --mark {ours} -j CONNMARK --set-xmark {theirs}"),
        format!(
            "-A {OUTPUT} -m connmark --mark {theirs} -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
        ),
    ]
}

fn nat(settings: &Settings, family: Family) -> Vec<String> {
    let Settings {
        port_outbound,
        port_inbound_plaintext,
        port_inbound_hbone,
        port_dns,
        ..
    } = *settings;
    let (ours, theirs) = (marked(settings.mark.get()), marked(CONNTRACK_MARK));
    let (loopback, probe) = (family.loopback(), family.probe());
    let excluded = &settings.exclusions;
    let mut rules = vec![format!(
        "-A {PREROUTING} -s {probe} -p tcp -m tcp -j ACCEPT"
    )];
    rules.extend(excluded.inbound_ports.iter().map(|range| {
        let ports = ports(range);
        format!("-A {PREROUTING} -p tcp -m tcp --dport {ports} -j RETURN")
    }));
    rules.extend([
        format!(
            "-A {PREROUTING} ! -d {loopback} -p tcp -m tcp ! --dport {port_inbound_hbone} --syn \
             -m mark ! --mark {ours} -j REDIRECT --to-ports {port_inbound_plaintext}"
        ),
        format!("-A {OUTPUT} -d {probe} -p tcp -m tcp -j ACCEPT"),
    ]);
    // Before DNS, as port 53 and the addresses of servers can be excluded too.
    for range in &excluded.outbound_ports {
        let ports = ports(range);
        rules.push(format!(
            "-A {OUTPUT} -p tcp -m tcp --dport {ports} -j RETURN"
        ));
        if settings.dns && range.contains(&PORT_DNS) {
            rules.push(format!(
                "-A {OUTPUT} -p udp -m udp --dport {PORT_DNS} -j RETURN"
            ));
        }
    }
    let of_family = |range: &&IpNet| match (range, family) {
        (IpNet::V4(_), Family::V4) | (IpNet::V6(_), Family::V6) => true,
        (IpNet::V4(_), Family::V6) | (IpNet::V6(_), Family::V4) => false,
    };
    let ranges = excluded.outbound_ranges.iter().filter(of_family);
    rules.extend(ranges.map(|range| format!("-A {OUTPUT} -d {range} -j RETURN")));
    if settings.dns {
        rules.push(format!(
            "-A {OUTPUT} ! -o lo -p udp -m mark ! --mark {ours} -m udp --dport 53 -j REDIRECT --to-ports {port_dns}"
        ));
        rules.push(format!(
            "-A {OUTPUT} ! -o lo -p tcp -m tcp --dport 53 --syn -m mark ! --mark {ours} \
             -j REDIRECT --to-ports {port_dns}"
        ));
    }
    rules.extend([
        format!("-A {OUTPUT} -p tcp -m mark --mark {theirs} -j ACCEPT"),
        // The pod's own addresses are routed over lo; its own VIP is not, and is captured below.
        format!("-A {OUTPUT} ! -d {loopback} -o lo -j ACCEPT"),
        format!(
            "-A {OUTPUT} ! -d {loopback} -p tcp -m tcp --syn -m mark ! --mark {ours} \
             -j REDIRECT --to-ports {port_outbound}"
        ),
    ]);
    rules
}

fn ports(range: &RangeInclusive<u16>) -> String {
    format!("{}:{}", range.start(), range.end())
}

fn marked(mark: u32) -> String {
    format!("{mark:#x}/{MARK_MASK:#x}")
}

/// Whose rules stand in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There are none.
    Nobody,
    /// Ours, or what is left of them.
    Ours,
    /// A CNI agent's: Istio's chains, and nothing in them says that they are ours.
    Agent,
}

/// Which chains and jumps stand in a namespace, as `iptables-save` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Lines of the dump that make a chain or a jump, each behind the name of its table.
    lines: Vec<(String, String)>,
}

impl Standing {
    pub(super) fn parse(dump: &str) -> Self {
        let mut table = "";
        let mut lines = Vec::new();
        for line in dump.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name.trim();
            } else if is_chain(line, OWNER)
                || line == jump(PREROUTING, OWNER)
                || CHAINS
                    .iter()
                    .any(|(hook, chain)| line == jump(hook, chain) || is_chain(line, chain))
            {
                lines.push((table.to_owned(), line.to_owned()));
            }
        }
        Self { lines }
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whose it is. One mark is enough: an agent removes them all when it takes over, and what else may be missing is damage.
    pub(super) fn owner(&self) -> Owner {
        let any = |wanted: &dyn Fn(&str) -> bool| self.lines.iter().any(|(_, line)| wanted(line));
        if any(&|line| line == jump(PREROUTING, OWNER)) {
            Owner::Ours
        } else if any(&|line| CHAINS.iter().any(|(_, chain)| is_chain(line, chain))) {
            Owner::Agent
        } else if self.is_empty() {
            Owner::Nobody
        } else {
            Owner::Ours
        }
    }

    fn count(&self, table: Table, wanted: impl Fn(&str) -> bool) -> usize {
        let table = table.to_string();
        self.lines
            .iter()
            .filter(|(of, line)| *of == table && wanted(line))
            .count()
    }

    fn jumps(&self, table: Table, hook: &str, chain: &str) -> usize {
        self.count(table, |line| line == jump(hook, chain))
    }

    fn has_chain(&self, table: Table, chain: &str) -> bool {
        self.count(table, |line| is_chain(line, chain)) > 0
    }

    /// The input of `iptables-restore --noflush` that makes the table ours, whatever it already holds of these names.
    pub(super) fn to_apply(&self, settings: &Settings, family: Family, table: Table) -> String {
        let rules = render(settings, family, table);
        if rules.is_empty() {
            return self.to_remove(table);
        }
        let mut input = format!("*{table}\n");
        for chain in [PREROUTING, OUTPUT, OWNER] {
            // Makes the chain, or empties the one that is there.
            line(&mut input, format_args!(":{chain} - [0:0]"));
        }
        for (hook, chain) in CHAINS {
            match self.jumps(table, hook, chain) {
                0 => line(&mut input, format_args!("{}", jump(hook, chain))),
                jumps => {
                    for _ in 1..jumps {
                        line(&mut input, format_args!("-D {hook} -j {chain}"));
                    }
                }
            }
        }
        for rule in rules {
            line(&mut input, format_args!("{rule}"));
        }
        line(&mut input, format_args!("{}", jump(PREROUTING, OWNER)));
        input.push_str("COMMIT\n");
        input
    }

    /// The input that takes all of ours out of the table; empty where there is nothing.
    pub(super) fn to_remove(&self, table: Table) -> String {
        let mut input = String::new();
        for (hook, chain) in CHAINS {
            for _ in 0..self.jumps(table, hook, chain) {
                line(&mut input, format_args!("-D {hook} -j {chain}"));
            }
        }
        for chain in [PREROUTING, OUTPUT, OWNER] {
            if self.has_chain(table, chain) {
                line(&mut input, format_args!("-F {chain}\n-X {chain}"));
            }
        }
        if input.is_empty() {
            input
        } else {
            format!("*{table}\n{input}COMMIT\n")
        }
    }
}

fn is_chain(line: &str, chain: &str) -> bool {
    line.strip_prefix(':')
        .is_some_and(|it| it.split(' ').next() == Some(chain))
}

fn jump(hook: &str, chain: &str) -> String {
    format!("-A {hook} -j {chain}")
}

fn line(input: &mut String, text: fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(input, "{text}");
}
