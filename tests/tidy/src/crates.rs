//! Rules for crates: the ladder, inheritance, a README each.
//!
//! A direction between modules does not last; between crates Cargo holds it, and this holds Cargo's lines.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Complaint, tree::File};

/// Every crate and the crates of ours that its code may use. A new crate is put in here on purpose.
pub const LADDER: [(&str, &[&str]); 24] = [
    // No crate of ours.
    ("mesh", &[]),
    ("net", &[]),
    ("yaml", &[]),
    ("ebpf-abi", &[]),
    // Nouns, and what is decided about them.
    ("decision", &["mesh"]),
    ("wire", &["mesh"]),
    // These see no decision.
    ("telemetry", &["mesh", "net", "wire"]),
    ("grpc", &["net", "wire"]),
    ("jwt", &["mesh"]),
    // Certificates, tunnels, configuration.
    ("identity", &["mesh", "net", "wire", "grpc", "decision"]),
    ("hbone", &["mesh", "net", "wire", "decision", "identity"]),
    (
        "control",
        &[
            "mesh", "net", "wire", "yaml", "grpc", "decision", "identity",
        ],
    ),
    // Capture in the kernel: programs are no members of the workspace.
    ("ebpf-loader", &["net", "ebpf-abi"]),
    // The proxies, which never see each other.
    (
        "ztunnel",
        &[
            "mesh",
            "net",
            "wire",
            "grpc",
            "decision",
            "identity",
            "hbone",
            "control",
            "telemetry",
            "ebpf-loader",
        ],
    ),
    (
        "waypoint",
        &[
            "mesh",
            "net",
            "wire",
            "grpc",
            "jwt",
            "decision",
            "identity",
            "hbone",
            "control",
            "telemetry",
        ],
    ),
    // The control plane, which no proxy uses.
    (
        "controller",
        &[
            "mesh",
            "net",
            "wire",
            "yaml",
            "grpc",
            "jwt",
            "identity",
            "telemetry",
        ],
    ),
    ("xtask", &[]),
    // Tests and measurements.
    ("lab", &["wire"]),
    ("fuzz", &["wire"]),
    (
        "suites",
        &[
            "mesh",
            "net",
            "wire",
            "decision",
            "identity",
            "hbone",
            "control",
            "telemetry",
            "lab",
        ],
    ),
    ("demo", &["lab"]),
    ("bench", &["lab"]),
    ("scale", &["mesh", "net", "wire", "grpc", "control", "lab"]),
    ("tidy", &[]),
];

/// Crates that are pure: what they are made of may neither wait nor read a clock or a socket.
const PURE: [&str; 3] = ["mesh", "decision", "wire"];
/// What a pure crate must not use.
const IMPURE: [&str; 8] = [
    "tokio",
    "futures-util",
    "socket2",
    "nix",
    "libc",
    "hyper",
    "h2",
    "rustls",
];

/// A crate of the workspace, as Cargo sees it.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The names of what its code uses, tests not counted.
    pub uses: Vec<String>,
    /// The names of what its tests use besides.
    pub tests_use: Vec<String>,
}

/// Reads the answer of `cargo metadata --no-deps`.
///
/// # Errors
/// When it is not that.
pub fn packages(metadata: &[u8]) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_slice(metadata)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let mut package = Package {
        name: value["name"].as_str().context("name")?.to_owned(),
        uses: Vec::new(),
        tests_use: Vec::new(),
    };
    for dependency in value["dependencies"].as_array().context("dependencies")? {
        let name = dependency["name"]
            .as_str()
            .context("name of a dependency")?
            .to_owned();
        if dependency["kind"] == "dev" {
            package.tests_use.push(name);
        } else {
            package.uses.push(name);
        }
    }
    Ok(package)
}

/// Dependencies go down the ladder only.
#[must_use]
pub fn ladder(packages: &[Package]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = LADDER.into_iter().collect();
    let mut found = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some(below) = allowed.get(name.as_str()) else {
            found.push(format!(
                "{name} is not on the ladder (tests/tidy/src/crates.rs): say what it may use"
            ));
            continue;
        };
        let ours = package
            .uses
            .iter()
            .filter(|used| allowed.contains_key(used.as_str()));
        for used in ours.filter(|used| !below.contains(&used.as_str())) {
            found.push(format!(
                "{name} uses {used}, expected only {}",
                below.join(", ")
            ));
        }
        if PURE.contains(&name.as_str()) {
            for used in package
                .uses
                .iter()
                .filter(|used| IMPURE.contains(&used.as_str()))
            {
                found.push(format!(
                    "{name} uses {used}, expected no input or output in it"
                ));
            }
        }
        for (one, other) in [("ztunnel", "waypoint"), ("waypoint", "ztunnel")] {
            if name == one && package.tests_use.iter().any(|used| used == other) {
                found.push(format!("the tests of {one} use {other}"));
            }
        }
    }
    found
}

/// The manifest of a crate inherits what the workspace decides.
#[must_use]
pub fn manifest(file: &File) -> Vec<Complaint> {
    let mut found = Vec::new();
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        let wanted = format!("{key}.workspace = true");
        if !file.text.lines().any(|line| line == wanted) {
            found.push(Complaint::whole(format!("lacks `{wanted}`")));
        }
    }
    let mut section = "";
    let mut lints = false;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        } else if section == "[lints]" {
            lints |= line == "workspace = true";
        } else if section.ends_with("dependencies]")
            && line.contains('=')
            && !line.contains("workspace = true")
        {
            found.push(Complaint::line(
                index + 1,
                "a version of its own, expected one from the workspace",
            ));
        }
    }
    if !lints {
        found.push(Complaint::whole("does not inherit the workspace's lints"));
    }
    found
}

/// Whether a file is the manifest of a crate of this workspace.
#[must_use]
pub fn is_manifest(file: &File) -> bool {
    // cargo-fuzz and the programs of the kernel are workspaces of their own, for other compilers.
    file.ends_with("/Cargo.toml") && !file.text.lines().any(|line| line == "[workspace]")
}
