//! Who ends first: whichever side it is, and however long the other one takes, no socket of a pod waits afterwards for an answer that
//! went elsewhere. The last words of a connection are answered by the kernel alone, which has no socket of it any more.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Machine, PodSpec, Start, eventually};
use suites::traffic::{self, Pair, finish, pair};

/// Where applications listen.
const PORT: u16 = 7000;
/// Longer than an acknowledgement may be delayed: the first goodbye is answered before the second is said.
const LATER: Duration = Duration::from_millis(250);
/// Far less than a goodbye is repeated for, and more than is needed to say it once again.
const ENDED: Duration = Duration::from_secs(3);
/// States of `/proc/net/tcp` in which a socket has said goodbye and waits for an answer: FIN_WAIT1, LAST_ACK, CLOSING.
const WAITING: [&str; 3] = ["04", "09", "0B"];

/// The sockets of a machine that wait for the answer to a goodbye.
fn waiting(on: &Machine) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for sockets in on.tcp_sockets()? {
        let sockets = sockets?;
        let is_waiting = |line: &&str| {
            let state = line.split_whitespace().nth(3);
            state.is_some_and(|state| WAITING.contains(&state))
        };
        found.extend(
            sockets
                .lines()
                .skip(1)
                .filter(is_waiting)
                .map(str::to_owned),
        );
    }
    Ok(found)
}

/// Ends both directions, one well after the other.
fn part(pair: Pair, dialler_first: bool) -> Result<()> {
    let Pair { client, server, .. } = pair;
    let (first, mut last) = match dialler_first {
        true => (client, server),
        false => (server, client),
    };
    drop(first);
    let said = last.read(&mut [0; 16]).context("the other end's goodbye")?;
    ensure!(said == 0, "{said} bytes instead of an end");
    sleep(LATER);
    finish(&last)
}

fn goodbyes(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("goodbyes")
        .pod(PodSpec::new("pod"))
        .pod(PodSpec::new("near"))
        .pod(PodSpec::new("far").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let (pod, near, far, outside) = (
        lab.pod("pod"),
        lab.pod("near"),
        lab.pod("far"),
        lab.outside(),
    );
    let _ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let beyond = lab.outside_addresses().both();
        let ways: [(&str, &Machine, &Machine, [IpAddr; 2]); 4] = [
            ("passed on", &pod, outside, beyond),
            ("in plain", outside, &pod, pod.addresses().both()),
            ("by a tunnel", &pod, &far, far.addresses().both()),
            ("joined", &pod, &near, near.addresses().both()),
        ];
        for (way, from, to, addresses) in ways {
            let listener = traffic::listen(to, PORT)?;
            for ip in addresses {
                for dialler_first in [true, false] {
                    let pair = pair(from, SocketAddr::new(ip, PORT), &listener)?;
                    part(pair, dialler_first).with_context(|| format!("{way}, {ip}"))?;
                }
            }
            for machine in [&**pod, &**near, &**far, outside] {
                eventually(
                    &format!("{way}: the end in {}", machine.name()),
                    ENDED,
                    || {
                        let waiting = waiting(machine)?;
                        ensure!(waiting.is_empty(), "{}", waiting.join("\n"));
                        Ok(())
                    },
                )?;
            }
        }
        Ok(())
    })
}

#[test]
fn goodbyes_are_answered_whoever_says_them_first_with_agent_capture() -> Result<()> {
    goodbyes(Capture::Agent)
}

#[test]
fn goodbyes_are_answered_whoever_says_them_first_with_iptables_capture() -> Result<()> {
    goodbyes(Capture::Iptables)
}

#[test]
fn goodbyes_are_answered_whoever_says_them_first_with_ebpf_capture() -> Result<()> {
    goodbyes(Capture::Ebpf)
}
