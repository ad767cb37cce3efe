//! The rules in real network namespaces. Without root these say `skipped` and why.

use std::{io, process::Command, thread};

use net::Netns;
use nix::sched::{CloneFlags, unshare};

use super::{
    super::{
        apply::{apply_with, remove_with},
        tool::Tools,
    },
    *,
};

/// A fresh namespace with `lo` up; `None` says why it cannot be had.
#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
pub(super) fn namespace() -> Option<Netns> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netns::current()
    });
    match made.join().unwrap() {
        Ok(netns) => {
            inside(&netns, "ip link set lo up");
            Some(netns)
        }
        Err(error) => {
            println!("skipped: cannot make a network namespace: {error}");
            None
        }
    }
}

/// Runs a command inside and returns what it printed.
pub(super) fn inside(netns: &Netns, command: &str) -> String {
    let mut words = command.split(' ');
    let output = netns
        .run(|| Command::new(words.next().unwrap()).args(words).output())
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that the rules consist of, without counters and comments.
fn state(netns: &Netns) -> Vec<String> {
    let mut lines = Vec::new();
    for command in ["iptables-save", "ip6tables-save"] {
        let dump = inside(netns, command);
        let kept = dump.lines().filter(|line| {
            ["-A", ":ISTIO", ":AMBIT"]
                .iter()
                .any(|ours| line.starts_with(ours))
        });
        lines.extend(kept.map(|line| line.split(" [").next().unwrap().to_owned()));
    }
    for command in [
        "ip -4 rule show",
        "ip -6 rule show",
        "ip -4 route show table all",
        "ip -6 route show table all",
    ] {
        let ours = |line: &&str| line.contains("lookup 100") || line.contains("table 100");
        lines.extend(
            inside(netns, command)
                .lines()
                .filter(ours)
                .map(|line| line.trim().to_owned()),
        );
    }
    lines
}

#[test]
fn applying_twice_is_applying_once_and_removal_leaves_nothing() {
    let Some(netns) = namespace() else { return };
    let settings = settings(true);
    assert_eq!(apply(&netns, &settings).unwrap(), Families::Both);
    let once = state(&netns);
    // Per family three tables of three chains and three jumps, two rules each in raw and mangle, eight in nat, and a
    // rule and a route.
    assert_eq!(once.len(), 2 * (3 * 6 + 2 + 2 + 8 + 2), "{once:#?}");
    assert_eq!(apply(&netns, &settings).unwrap(), Families::Both);
    assert_eq!(state(&netns), once);
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
}

#[test]
fn whatever_is_damaged_is_repaired() {
    let Some(netns) = namespace() else { return };
    let settings = settings(true);
    apply(&netns, &settings).unwrap();
    let whole = state(&netns);
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    for damage in [
        "iptables -t nat -F ISTIO_OUTPUT",
        "iptables -t nat -D OUTPUT -j ISTIO_OUTPUT",
        "iptables -t nat -A OUTPUT -j ISTIO_OUTPUT",
        "ip6tables -t mangle -F",
        "iptables -t raw -I ISTIO_PRERT -j ACCEPT",
        "ip -4 rule del pref 32764",
        "ip -6 route flush table 100",
    ] {
        inside(&netns, damage);
        assert_ne!(state(&netns), whole, "{damage}");
        apply(&netns, &settings).unwrap();
        assert_eq!(sorted(state(&netns)), sorted(whole.clone()), "{damage}");
    }
    apply(&netns, &super::settings(false)).unwrap();
    let without_dns = state(&netns);
    assert!(
        without_dns
            .iter()
            .all(|line| !line.contains("port 53 ") && !line.contains("-j CT ")),
        "{without_dns:#?}"
    );
}

#[test]
fn an_agents_rules_are_left_alone_and_named() {
    let Some(netns) = namespace() else { return };
    assert_eq!(owner(&netns).unwrap(), Owner::Nobody);
    apply(&netns, &settings(true)).unwrap();
    assert_eq!(owner(&netns).unwrap(), Owner::Ours);
    // An agent of the same rules: nothing in them says that they are ours.
    for program in ["iptables", "ip6tables"] {
        for table in ["raw", "mangle", "nat"] {
            inside(
                &netns,
                &format!("{program} -t {table} -D ISTIO_PRERT -j AMBIT"),
            );
            inside(&netns, &format!("{program} -t {table} -X AMBIT"));
        }
    }
    let agents = state(&netns);
    assert_eq!(owner(&netns).unwrap(), Owner::Agent);
    let only_v4 = Settings {
        ipv6: false,
        ..settings(true)
    };
    for settings in [settings(true), settings(false), only_v4] {
        let error = apply(&netns, &settings).unwrap_err();
        assert!(matches!(error, Error::Agent), "{error:?}");
        assert_eq!(state(&netns), agents);
    }
    remove(&netns).unwrap();
    assert_eq!(state(&netns), agents);
}

#[test]
fn a_pod_without_ipv6_gets_ipv4_rules_only() {
    let Some(netns) = namespace() else { return };
    netns
        .run(|| {
            for interface in ["all", "default", "lo"] {
                let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
                std::fs::write(&path, "1")?;
            }
            io::Result::Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!(apply(&netns, &settings(false)).unwrap(), Families::V4);
    assert!(
        inside(&netns, "ip6tables-save")
            .lines()
            .all(|line| !line.contains("ISTIO"))
    );
    remove(&netns).unwrap();
    assert_eq!(state(&netns), Vec::<String>::new());
}

#[test]
fn a_failure_is_taken_back_in_a_fresh_pod_and_leaves_a_captured_one_captured() {
    let Some(netns) = namespace() else { return };
    let broken = Tools {
        restore_v6: "false".into(),
        ..Tools::default()
    };
    let error = apply_with(&netns, &settings(true), &broken).unwrap_err();
    assert!(
        matches!(&error, Error::Tool { command, .. } if command == "false --noflush --wait=30"),
        "{error:?}"
    );
    assert_eq!(state(&netns), Vec::<String>::new());

    apply(&netns, &settings(true)).unwrap();
    let whole = state(&netns);
    apply_with(&netns, &settings(true), &broken).unwrap_err();
    assert_eq!(state(&netns), whole);
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let Some(netns) = namespace() else { return };
    let tools = Tools {
        ip: "no-such-ip".into(),
        ..Tools::default()
    };
    let error = apply_with(&netns, &settings(true), &tools).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-ip is not installed, it comes with the package iproute2"
    );
    let tools = Tools {
        save_v4: "no-such-save".into(),
        ..Tools::default()
    };
    let error = remove_with(&netns, &tools).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-save is not installed, it comes with the package iptables"
    );
}

#[test]
fn what_a_tool_says_is_in_the_error() {
    let Some(netns) = namespace() else { return };
    inside(&netns, "ip link set lo down");
    let error = apply(&netns, &settings(false)).unwrap_err();
    let Error::Tool {
        command, stderr, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(command, "ip -6 route replace local ::/0 dev lo table 100");
    assert!(
        !stderr.is_empty() && error.to_string().ends_with(stderr),
        "{error}"
    );
    inside(&netns, "ip link set lo up");
    assert_eq!(state(&netns), Vec::<String>::new());
}
