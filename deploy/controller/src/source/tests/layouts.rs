//! Directories as Kubernetes and people lay them out.

use std::fs;

use super::{Followed, node_of, pod};

const NOTHING: [&str; 0] = [];

/// Swaps in a version of a volume as kubelet does it: a new directory, and one rename.
fn swap(followed: &Followed, version: &str, files: &[(&str, &str)]) {
    let directory = &followed.directory;
    let before = fs::read_link(directory.at("..data")).ok();
    fs::create_dir(directory.at(version)).unwrap();
    for (name, text) in files {
        directory.write(&format!("{version}/{name}"), text);
    }
    directory.link(version, "..data_tmp");
    fs::rename(directory.at("..data_tmp"), directory.at("..data")).unwrap();
    for entry in fs::read_dir(&directory.path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("..") && !files.iter().any(|(file, _)| *file == name) {
            directory.remove(&name);
        }
    }
    for (name, _) in files {
        if fs::symlink_metadata(directory.at(name)).is_err() {
            directory.link(&format!("..data/{name}"), name);
        }
    }
    if let Some(before) = before {
        fs::remove_dir_all(directory.path.join(before)).unwrap();
    }
}

#[test]
fn a_volume_of_kubernetes_is_read_once_and_followed_through_its_swap() {
    let mut followed = Followed::new();
    swap(
        &followed,
        "..2026_01",
        &[("a.yaml", &pod("a", "n1")), ("b.yaml", &pod("b", "n1"))],
    );
    assert_eq!(followed.look(), ["+Pod default/a", "+Pod default/b"]);
    assert_eq!(followed.findings, NOTHING);
    swap(
        &followed,
        "..2026_02",
        &[("a.yaml", &pod("a", "n2")), ("c.yaml", &pod("c", "n2"))],
    );
    assert_eq!(
        followed.look(),
        ["-Pod default/b", "+Pod default/a", "+Pod default/c"]
    );
    assert_eq!(node_of(&followed.known, "a"), Some("n2"));
    swap(&followed, "..2026_03", &[]);
    assert_eq!(followed.look(), ["-Pod default/a", "-Pod default/c"]);
}

#[test]
fn circles_of_symlinks_end() {
    let mut followed = Followed::new();
    let directory = &followed.directory;
    directory.write("sub/a.yaml", &pod("a", "n"));
    directory.link("..", "sub/up");
    directory.link("sub", "zub");
    directory.link("self.yaml", "self.yaml");
    directory.link("circle", "circle");
    assert_eq!(followed.look(), ["+Pod default/a"]);
    let root = followed.directory.path.display().to_string();
    assert_eq!(
        followed.findings,
        [
            format!("sub/up: the same directory as {root}, not read again"),
            "zub: the same directory as sub, not read again".to_owned(),
            "self.yaml: cannot be read, expected a readable file: Too many levels of symbolic links (os error 40)".to_owned(),
        ]
    );
}

#[test]
fn a_symlink_to_another_directory_is_followed() {
    let elsewhere = super::Directory::new();
    elsewhere.write("x.yaml", &pod("a", "n"));
    let mut followed = Followed::new();
    followed
        .directory
        .link(elsewhere.path.to_str().unwrap(), "there");
    assert_eq!(followed.look(), ["+Pod default/a"]);
    elsewhere.replace("x.yaml", &pod("a", "m"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    // What it leads to is not there: nobody knows what is in it.
    let aside = elsewhere.path.with_extension("aside");
    fs::rename(&elsewhere.path, &aside).unwrap();
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(
        followed.findings,
        ["there: cannot be read, expected a readable file: No such file or directory (os error 2)"]
    );
    fs::rename(&aside, &elsewhere.path).unwrap();
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, NOTHING);
    followed.directory.remove("there");
    assert_eq!(followed.look(), ["-Pod default/a"]);
}

#[test]
fn a_symlink_that_leads_nowhere_and_never_was_a_manifest_is_of_no_concern() {
    let mut followed = Followed::new();
    followed.directory.link("nowhere", "README");
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, NOTHING);
}

#[test]
fn directories_have_a_bound_in_depth() {
    let mut followed = Followed::new();
    let path = vec!["d"; 40].join("/");
    followed
        .directory
        .write(&format!("{path}/x.yaml"), &pod("deep", "n"));
    followed.directory.write("a.yaml", &pod("a", "n"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    assert_eq!(
        followed.findings,
        [format!(
            "{}: more than 32 directories within each other, not read",
            vec!["d"; 33].join("/")
        )]
    );
}
