//! Crates lean on each other in one direction and decide nothing for themselves.

use std::process::Command;

use tidy::{
    apply,
    crates::{LADDER, Package, is_manifest, ladder, manifest, packages},
    tree::{self, File},
};

fn workspace() -> Vec<Package> {
    let line = [
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--locked",
        "--offline",
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
    packages(&output.stdout).expect("the metadata of cargo")
}

fn package(name: &str, uses: &[&str], tests_use: &[&str]) -> Package {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Package {
        name: name.to_owned(),
        uses: owned(uses),
        tests_use: owned(tests_use),
    }
}

#[test]
fn dependencies_go_down_the_ladder() {
    let packages = workspace();
    assert!(
        packages
            .iter()
            .any(|package| package.name == "ztunnel"
                && package.uses.contains(&"decision".to_owned()))
    );
    assert_eq!(ladder(&packages), Vec::<String>::new());
}

#[test]
fn every_manifest_inherits_from_the_workspace() {
    let files = tree::files().unwrap();
    let manifests: Vec<_> = files.iter().filter(|file| is_manifest(file)).collect();
    assert!(manifests.len() >= 12, "{} manifests", manifests.len());
    assert_eq!(apply(manifests, manifest), Vec::<String>::new());
}

#[test]
fn every_crate_has_a_readme() {
    let files = tree::files().unwrap();
    let lonely: Vec<_> = files
        .iter()
        .filter(|file| file.ends_with("/Cargo.toml"))
        .map(|file| file.path.replace("Cargo.toml", "README.md"))
        .filter(|readme| !files.iter().any(|file| file.path == *readme))
        .collect();
    assert_eq!(lonely, Vec::<String>::new());
}

#[test]
fn the_ladder_itself_only_goes_down() {
    for (index, (name, below)) in LADDER.iter().enumerate() {
        for used in *below {
            assert!(
                LADDER[..index].iter().any(|(lower, _)| lower == used),
                "{name} stands below {used}"
            );
        }
    }
}

#[test]
fn a_step_up_the_ladder_is_found() {
    let complaints = |package: Package| ladder(&[package]).len();
    assert_eq!(complaints(package("mesh", &["serde"], &["proptest"])), 0);
    assert_eq!(complaints(package("mesh", &["decision"], &[])), 1);
    assert_eq!(
        complaints(package("telemetry", &["mesh", "decision"], &[])),
        1
    );
    assert_eq!(complaints(package("decision", &["mesh", "tokio"], &[])), 1);
    assert_eq!(
        complaints(package("ztunnel", &["mesh", "waypoint"], &[])),
        1
    );
    assert_eq!(complaints(package("waypoint", &["mesh"], &["ztunnel"])), 1);
    assert_eq!(complaints(package("stranger", &[], &[])), 1);
}

#[test]
fn a_manifest_that_decides_for_itself_is_found() {
    let good = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n\
                [dependencies]\nmesh.workspace = true\ntokio = { workspace = true, features = [\"rt\"] }\n\n\
                [lints]\nworkspace = true\n";
    let complaints = |text: String| {
        manifest(&File {
            path: "a/Cargo.toml".to_owned(),
            text,
        })
        .len()
    };
    assert_eq!(complaints(good.to_owned()), 0);
    assert_eq!(
        complaints(good.replace("edition.workspace = true", "edition = \"2021\"")),
        1
    );
    assert_eq!(
        complaints(good.replace("mesh.workspace = true", "mesh = \"1\"")),
        1
    );
    assert_eq!(
        complaints(good.replace("[lints]\nworkspace = true\n", "")),
        1
    );
}
