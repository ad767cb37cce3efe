//! The in-pod rules, when the agent writes them (`CAPTURE=agent`).
//!
//! In: a pod's machine. Out: the tables of Istio's in-pod rules, IPv4 and IPv6, and the policy
//! route that brings answers of spoofed sources back to the proxy. Each table is one transaction.
//! Never: a rule outside the pod's namespace, except [`snat_probes`] in the node's.

use std::fmt::Write as _;

use anyhow::Result;

use crate::machine::Machine;

/// Who makes the rules that bring a pod's traffic to ztunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The lab's agent, before it hands the pod over: `CAPTURE=agent`.
    Agent,
    /// ztunnel itself: `CAPTURE=iptables`.
    Iptables,
    /// ztunnel's programs in the kernel: `CAPTURE=ebpf`.
    Ebpf,
    /// Whichever ztunnel chooses: `CAPTURE=auto`.
    Auto,
    /// Nobody: pods are not enrolled and talk to each other as they are.
    None,
}

impl Capture {
    /// The value of ztunnel's `CAPTURE`; `None` has no ztunnel to tell.
    pub fn as_env(self) -> &'static str {
        match self {
            Self::Agent | Self::None => "agent",
            Self::Iptables => "iptables",
            Self::Ebpf => "ebpf",
            Self::Auto => "auto",
        }
    }
}

impl Capture {
    /// Whether programs in the kernel may capture.
    pub(crate) fn may_be_in_kernel(self) -> bool {
        match self {
            Self::Ebpf | Self::Auto => true,
            Self::Agent | Self::Iptables | Self::None => false,
        }
    }
}

/// Whether port 53 is captured too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsCapture {
    /// To 15053 of the pod.
    On,
    /// Left alone.
    Off,
}

/// What differs between the families.
struct Family {
    restore: &'static str,
    ip: &'static str,
    loopback: &'static str,
    probe: &'static str,
    any: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        restore: "iptables-restore",
        ip: "-4",
        loopback: "127.0.0.1/32",
        probe: "169.254.7.127",
        any: "0.0.0.0/0",
    },
    Family {
        restore: "ip6tables-restore",
        ip: "-6",
        loopback: "::1/128",
        probe: "fd16:9254:7127:1337:ffff:ffff:ffff:ffff",
        any: "::/0",
    },
];

/// The proxy's own packets.
const PROXY: &str = "-m mark --mark 0x539/0xfff";
/// Everybody else's.
const NOT_PROXY: &str = "-m mark ! --mark 0x539/0xfff";

/// Writes all rules into a pod that has none.
pub(crate) fn write(pod: &Machine, dns: DnsCapture) -> Result<()> {
    for family in &FAMILIES {
        restore(pod, family, &tables(family, dns))?;
        for line in [
            "rule add fwmark 0x111/0xfff pref 32764 lookup 100",
            &local_route("add", family),
        ] {
            ip(pod, family, line)?;
        }
    }
    Ok(())
}

/// Takes all rules back.
pub(crate) fn remove(pod: &Machine, dns: DnsCapture) -> Result<()> {
    for family in &FAMILIES {
        let mut text = String::new();
        for table in table_names(dns) {
            let _ = write!(
                text,
                "*{table}\n-D PREROUTING -j ISTIO_PRERT\n-D OUTPUT -j ISTIO_OUTPUT\n\
                 -F ISTIO_PRERT\n-F ISTIO_OUTPUT\n-X ISTIO_PRERT\n-X ISTIO_OUTPUT\nCOMMIT\n"
            );
        }
        restore(pod, family, &text)?;
        for line in [
            "rule del fwmark 0x111/0xfff pref 32764 lookup 100",
            &local_route("del", family),
        ] {
            ip(pod, family, line)?;
        }
    }
    Ok(())
}

/// Gives the node's own connections into its pods the source address of a probe. Source: CAP-06.
pub(crate) fn snat_probes(node: &Machine) -> Result<()> {
    for family in &FAMILIES {
        let text = format!(
            "*nat\n-A POSTROUTING -o p+ -m owner --socket-exists -p tcp -j SNAT --to-source {}\nCOMMIT\n",
            family.probe
        );
        restore(node, family, &text)?;
    }
    Ok(())
}

fn table_names(dns: DnsCapture) -> &'static [&'static str] {
    match dns {
        DnsCapture::On => &["mangle", "nat", "raw"],
        DnsCapture::Off => &["mangle", "nat"],
    }
}

fn tables(family: &Family, dns: DnsCapture) -> String {
    let Family {
        loopback, probe, ..
    } = family;
    let (nat_dns, raw_dns): (&[String], &[String]) = match dns {
        DnsCapture::Off => (&[], &[]),
        DnsCapture::On => (
            &[
                format!(
                    "ISTIO_OUTPUT ! -o lo -p udp {NOT_PROXY} -m udp --dport 53 -j REDIRECT --to-port 15053"
                ),
                format!(
                    "ISTIO_OUTPUT ! -d {loopback} -p tcp --dport 53 {NOT_PROXY} -j REDIRECT --to-ports 15053"
                ),
            ],
            &[
                format!("ISTIO_OUTPUT -p udp {PROXY} -m udp --dport 53 -j CT --zone 1"),
                format!("ISTIO_PRERT -p udp {NOT_PROXY} -m udp --sport 53 -j CT --zone 1"),
            ],
        ),
    };
    let mangle = [
        format!("ISTIO_PRERT {PROXY} -j CONNMARK --set-xmark 0x111/0xfff"),
        "ISTIO_OUTPUT -m connmark --mark 0x111/0xfff \
         -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
            .to_owned(),
    ];
    let nat = [
        format!("ISTIO_PRERT -s {probe} -p tcp -m tcp -j ACCEPT"),
        format!("ISTIO_OUTPUT -d {probe} -p tcp -m tcp -j ACCEPT"),
        format!(
            "ISTIO_PRERT ! -d {loopback} -p tcp ! --dport 15008 {NOT_PROXY} -j REDIRECT --to-ports 15006"
        ),
    ];
    let nat_after_dns = [
        "ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT".to_owned(),
        format!("ISTIO_OUTPUT ! -d {loopback} -o lo -j ACCEPT"),
        format!("ISTIO_OUTPUT ! -d {loopback} -p tcp {NOT_PROXY} -j REDIRECT --to-ports 15001"),
    ];
    let mut text = String::new();
    table(&mut text, "mangle", &[&mangle]);
    table(&mut text, "nat", &[&nat, nat_dns, &nat_after_dns]);
    if dns == DnsCapture::On {
        table(&mut text, "raw", &[raw_dns]);
    }
    text
}

fn table(text: &mut String, name: &str, rules: &[&[String]]) {
    let _ = writeln!(
        text,
        "*{name}\n:ISTIO_PRERT - [0:0]\n:ISTIO_OUTPUT - [0:0]\n-A PREROUTING -j ISTIO_PRERT\n-A OUTPUT -j ISTIO_OUTPUT"
    );
    for rule in rules.iter().copied().flatten() {
        let _ = writeln!(text, "-A {rule}");
    }
    text.push_str("COMMIT\n");
}

fn restore(machine: &Machine, family: &Family, text: &str) -> Result<()> {
    machine
        .command([family.restore, "--noflush", "--wait=30"])
        .stdin(text)
        // The legacy backend locks a file of the host otherwise.
        .env("XTABLES_LOCKFILE", machine.folder().join("xtables.lock"))
        .output()?
        .ok()?;
    Ok(())
}

fn local_route(verb: &str, family: &Family) -> String {
    format!("route {verb} local {} dev lo table 100", family.any)
}

fn ip(machine: &Machine, family: &Family, line: &str) -> Result<()> {
    machine
        .exec(["ip", family.ip].into_iter().chain(line.split(' ')))?
        .ok()?;
    Ok(())
}
