//! The text of the rules.

use super::{
    rules::{OWNER, Standing},
    *,
};

mod connections;
mod namespace;

fn settings(dns: bool) -> Settings {
    Settings::new(NonZeroU32::new(0x539).unwrap(), true, dns)
}

fn all(standing: &Standing, settings: &Settings, family: Family) -> String {
    Table::ALL
        .iter()
        .map(|&table| standing.to_apply(settings, family, table))
        .collect()
}

#[test]
fn ipv4_rules_with_dns_are_these() {
    assert_eq!(
        all(&Standing::default(), &settings(true), Family::V4),
        V4_DNS
    );
}

#[test]
fn ipv6_rules_without_dns_are_these() {
    assert_eq!(
        all(&Standing::default(), &settings(false), Family::V6),
        V6_PLAIN
    );
}

#[test]
fn the_mark_is_the_configured_one() {
    let settings = Settings::new(NonZeroU32::new(0x53a).unwrap(), true, true);
    let text = all(&Standing::default(), &settings, Family::V4);
    assert!(!text.contains("0x539"));
    assert_eq!(
        text.matches("0x53a/0xfff").count(),
        V4_DNS.matches("0x539/0xfff").count()
    );
}

#[test]
fn exclusions_come_before_what_they_except() {
    let mut settings = settings(true);
    settings.exclusions = Exclusions {
        inbound_ports: vec![9000..=9000],
        outbound_ports: vec![50..=60, 3306..=3306],
        outbound_ranges: vec![
            "10.1.0.0/16".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
    };
    let v4 = render(&settings, Family::V4, Table::Nat);
    let v6 = render(&settings, Family::V6, Table::Nat);
    let at = |rules: &[String], text: &str| {
        let found = rules.iter().position(|rule| rule.contains(text));
        found.unwrap_or_else(|| panic!("no {text} in {rules:#?}"))
    };
    let inbound = at(&v4, "ISTIO_PRERT -p tcp -m tcp --dport 9000:9000 -j RETURN");
    assert!(inbound < at(&v4, "--to-ports 15006"));
    for excluded in [
        "ISTIO_OUTPUT -p tcp -m tcp --dport 50:60 -j RETURN",
        "ISTIO_OUTPUT -p udp -m udp --dport 53 -j RETURN",
        "ISTIO_OUTPUT -p tcp -m tcp --dport 3306:3306 -j RETURN",
        "ISTIO_OUTPUT -d 10.1.0.0/16 -j RETURN",
    ] {
        for taken in ["--to-ports 15053", "--to-ports 15001"] {
            assert!(at(&v4, excluded) < at(&v4, taken), "{v4:#?}");
        }
    }
    assert!(!v4.iter().any(|rule| rule.contains("2001:db8::")));
    assert!(!v6.iter().any(|rule| rule.contains("10.1.0.0")));
    assert!(at(&v6, "-d 2001:db8::/32 -j RETURN") < at(&v6, "--to-ports 15001"));
}

#[test]
fn a_standing_table_is_rewritten_without_a_second_jump() {
    let dump = "# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_PRERT - [0:0]\n\
                -A PREROUTING -j ISTIO_PRERT\n-A OUTPUT -j ISTIO_OUTPUT\n-A ISTIO_PRERT -j ACCEPT\nCOMMIT\n";
    let text = Standing::parse(dump).to_apply(&settings(false), Family::V4, Table::Nat);
    assert!(
        text.starts_with(
            "*nat\n:ISTIO_PRERT - [0:0]\n:ISTIO_OUTPUT - [0:0]\n:AMBIT - [0:0]\n-A ISTIO_PRERT -s 169.254.7.127 "
        ),
        "{text}"
    );
    assert!(!text.contains("-A OUTPUT "), "{text}");
}

#[test]
fn surplus_jumps_go_and_missing_ones_come() {
    let dump = "*nat\n:ISTIO_OUTPUT - [0:0]\n-A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -j ISTIO_OUTPUT\nCOMMIT\n";
    let text = Standing::parse(dump).to_apply(&settings(false), Family::V4, Table::Nat);
    assert_eq!(text.matches("-D OUTPUT -j ISTIO_OUTPUT\n").count(), 1);
    assert_eq!(text.matches("-A OUTPUT -j ISTIO_OUTPUT\n").count(), 0);
    assert_eq!(text.matches("-A PREROUTING -j ISTIO_PRERT\n").count(), 1);
}

#[test]
fn dns_rules_that_are_not_wanted_any_more_are_removed() {
    let dump = "*raw\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_PRERT - [0:0]\n-A PREROUTING -j ISTIO_PRERT\n\
                -A OUTPUT -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -p udp -j CT --zone 1\nCOMMIT\n";
    assert_eq!(
        Standing::parse(dump).to_apply(&settings(false), Family::V4, Table::Raw),
        "*raw\n-D PREROUTING -j ISTIO_PRERT\n-D OUTPUT -j ISTIO_OUTPUT\n\
         -F ISTIO_PRERT\n-X ISTIO_PRERT\n-F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n"
    );
}

#[test]
fn an_agents_rules_are_told_from_ours_also_from_what_is_left_of_ours() {
    let ours = all(&Standing::default(), &settings(true), Family::V4);
    assert_eq!(Standing::parse(&ours).owner(), Owner::Ours);
    let agents: String = ours
        .lines()
        .filter(|line| !line.contains(OWNER))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(Standing::parse(&agents).owner(), Owner::Agent);
    // An agent that has taken over, and has left the chain that it does not know.
    let taken = agents.replace("*nat\n", "*nat\n:AMBIT - [0:0]\n");
    assert_eq!(Standing::parse(&taken).owner(), Owner::Agent);
    // One table is damaged, or was written by one that was killed then.
    let (raw, rest) = ours.split_once("*mangle").unwrap();
    assert_eq!(Standing::parse(raw).owner(), Owner::Ours);
    let emptied = format!("{raw}*mangle\n:ISTIO_PRERT - [0:0]\nCOMMIT\n");
    assert_eq!(Standing::parse(&emptied).owner(), Owner::Ours);
    assert_eq!(
        Standing::parse("*nat\n:AMBIT - [0:0]\nCOMMIT\n").owner(),
        Owner::Ours
    );
    assert!(!rest.is_empty());
    assert_eq!(
        Standing::parse("*nat\n:DOCKER - [0:0]\n:AMBITIOUS - [0:0]\nCOMMIT\n").owner(),
        Owner::Nobody
    );
}

#[test]
fn removal_touches_nothing_but_ours() {
    let dump = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n:ISTIO_OUTPUT_2 - [0:0]\n-A PREROUTING -j DOCKER\n\
                -A OUTPUT -d 10.0.0.1/32 -j ISTIO_OUTPUT\nCOMMIT\n";
    assert_eq!(Standing::parse(dump), Standing::default());
    assert_eq!(Standing::parse(dump).to_remove(Table::Nat), "");
}

const V4_DNS: &str = "\
*raw
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
:AMBIT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -p udp -m mark --mark 0x539/0xfff -m udp --dport 53 -j CT --zone 1
-A ISTIO_PRERT -p udp -m mark ! --mark 0x539/0xfff -m udp --sport 53 -j CT --zone 1
-A ISTIO_PRERT -j AMBIT
COMMIT
*mangle
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
:AMBIT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
-A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A ISTIO_PRERT -j AMBIT
COMMIT
*nat
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
:AMBIT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -s 169.254.7.127 -p tcp -m tcp -j ACCEPT
-A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp -m tcp ! --dport 15008 --syn -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -d 169.254.7.127 -p tcp -m tcp -j ACCEPT
-A ISTIO_OUTPUT ! -o lo -p udp -m mark ! --mark 0x539/0xfff -m udp --dport 53 -j REDIRECT --to-ports 15053
-A ISTIO_OUTPUT ! -o lo -p tcp -m tcp --dport 53 --syn -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15053
-A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m tcp --syn -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
-A ISTIO_PRERT -j AMBIT
COMMIT
";

const V6_PLAIN: &str = "\
*mangle
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
:AMBIT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
-A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A ISTIO_PRERT -j AMBIT
COMMIT
*nat
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
:AMBIT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -s fd16:9254:7127:1337:ffff:ffff:ffff:ffff -p tcp -m tcp -j ACCEPT
-A ISTIO_PRERT ! -d ::1/128 -p tcp -m tcp ! --dport 15008 --syn -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -d fd16:9254:7127:1337:ffff:ffff:ffff:ffff -p tcp -m tcp -j ACCEPT
-A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
-A ISTIO_OUTPUT ! -d ::1/128 -o lo -j ACCEPT
-A ISTIO_OUTPUT ! -d ::1/128 -p tcp -m tcp --syn -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
-A ISTIO_PRERT -j AMBIT
COMMIT
";
