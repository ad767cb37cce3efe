//! Which servers a file names.

use super::*;

#[test]
fn nameserver_lines_are_read_in_order() {
    let text = "# nameserver 1.1.1.1\nsearch a.b\noptions ndots:5\nnameserver 10.96.0.10\n  nameserver\tfd00::10 # x\n\
                nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver x\nnameserver\n\
                nameserver 10.0.0.2\nnameserver 10.0.0.3\n";
    let servers: Vec<_> = parse(text).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.96.0.10:53", "[fd00::10]:53", "10.0.0.2:53"]);
}

#[test]
fn a_change_is_seen_within_five_seconds_and_a_loss_changes_nothing() {
    let path = std::env::temp_dir().join(format!(
        "resolv-{}-{:x}.conf",
        std::process::id(),
        fastrand::u64(..)
    ));
    let conf = ResolvConf::new(&path);
    let start = net::clock::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let is = |seconds, expected: &[&str]| {
        let servers: Vec<_> = conf
            .servers(after(seconds))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, expected, "after {seconds} s");
    };
    is(0, &[]);
    std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
    is(4, &[]);
    is(5, &["10.0.0.1:53"]);
    std::fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
    is(9, &["10.0.0.1:53"]);
    is(10, &["10.0.0.2:53"]);
    std::fs::remove_file(&path).unwrap();
    is(15, &["10.0.0.2:53"]);
}
