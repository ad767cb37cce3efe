//! Nothing that `deny.toml` forbids is built.

use std::{fs, process::Command};

use tidy::{
    lock::{Ban, bans, built, check},
    tree,
};

fn forbidden() -> Vec<Ban> {
    bans(&fs::read_to_string(tree::root().join("deny.toml")).expect("deny.toml is there"))
}

/// Not the lock file itself: it also lists what features could ask for and do not.
fn everything_built() -> String {
    let line = [
        "tree",
        "--workspace",
        "--locked",
        "--offline",
        "--edges",
        "all",
        "--prefix",
        "none",
    ];
    let output = Command::new(env!("CARGO"))
        .args(line)
        .current_dir(tree::root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("names of crates")
}

#[test]
fn nothing_that_is_forbidden_is_built() {
    assert_eq!(check(built(&everything_built()), &forbidden()), Vec::new());
}

#[test]
fn versions_with_known_holes_are_forbidden() {
    let (bans, tree) = (forbidden(), everything_built());
    for name in ["h2", "rustls", "rustls-webpki", "hickory-proto", "bytes"] {
        assert!(
            bans.iter()
                .any(|ban| ban.name == name && ban.below.is_some()),
            "{name} has no lowest version"
        );
        assert!(
            built(&tree).iter().any(|(built, _)| *built == name),
            "{name} is not built: its ban is of no use"
        );
    }
}

#[test]
fn a_forbidden_crate_and_a_version_that_is_too_old_are_found() {
    let bans = bans(
        "deny = [\n  { crate = \"h2:<0.4.20\", reason = \"x\" },\n  { crate = \"ring\" },\n  # { crate = \"old\" },\n]",
    );
    assert_eq!(
        bans,
        [
            Ban {
                name: "h2".to_owned(),
                below: Some("0.4.20".to_owned())
            },
            Ban {
                name: "ring".to_owned(),
                below: None
            },
        ]
    );
    let complaints = |tree: &str| check(built(tree), &bans).len();
    assert_eq!(
        complaints("h2 v0.4.9\nring v0.17.14\nring v0.17.14 (*)\nold v1.0.0"),
        2
    );
    assert_eq!(
        complaints("h2 v0.4.20\nrung v0.17.14\nmesh v0.1.0 (/a/common/mesh)"),
        0
    );
}
