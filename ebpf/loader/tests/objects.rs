//! The committed objects: what they hold, and that they are what their sources give.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use ebpf_abi::names::{CONNECT_HOOKS, DNS_HOOKS, HOOK_MAPS, SETSOCKOPT, STEER, STEER_MAPS};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Code 3 is the script's word for a toolchain that is not there.
const UNAVAILABLE: i32 = 3;

#[test]
#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
fn the_objects_are_what_their_sources_give() -> Result<()> {
    let output = Command::new(root().join("scripts/ebpf"))
        .arg("--check")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(UNAVAILABLE) {
        println!("{}", said.trim());
        return Ok(());
    }
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Whether the text of an object's symbols holds a name.
fn holds(object: &[u8], name: &str) -> bool {
    let name = format!("\0{name}\0");
    object
        .windows(name.len())
        .any(|bytes| bytes == name.as_bytes())
}

#[test]
fn the_objects_hold_every_name_that_the_loader_asks_for() -> Result<()> {
    let objects = root().join("ebpf/objects");
    let hooks = std::fs::read(objects.join("hooks.o"))?;
    let steer = std::fs::read(objects.join("steer.o"))?;
    let of_hooks = CONNECT_HOOKS.iter().chain(&DNS_HOOKS).chain(&HOOK_MAPS);
    for name in of_hooks.chain(&[SETSOCKOPT]) {
        ensure!(holds(&hooks, name), "{name}");
    }
    for name in STEER_MAPS.iter().chain(&[STEER]) {
        ensure!(holds(&steer, name), "{name}");
    }
    ensure!(!holds(&steer, SETSOCKOPT));
    Ok(())
}
