//! Good manifests: what comes, what changes, what goes.

use std::{fs, time::Duration};

use super::{Followed, node_of, pod};

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_batch_comes_even_if_there_is_nothing() {
    let mut followed = Followed::new();
    let scan = followed.folder.scan(net::clock::wall());
    assert_eq!(scan.batch, Some(Vec::new()));
    assert!(scan.findings.is_empty() && !scan.again);
}

#[test]
fn every_manifest_of_every_directory_is_read() {
    let mut followed = Followed::new();
    let directory = &followed.directory;
    directory.write("b.yaml", &(pod("b", "n") + &pod("c", "n")));
    directory.write("a/deep/x.yml", &pod("a", "n"));
    directory.write("a/deep/notes.txt", "not: [a manifest");
    directory.write("a/.hidden.yaml", &pod("hidden", "n"));
    directory.write(".git/x.yaml", &pod("hidden", "n"));
    directory.write("none.yaml", "# nothing\n---\n");
    assert_eq!(
        followed.look(),
        ["+Pod default/a", "+Pod default/b", "+Pod default/c"]
    );
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, NOTHING);
}

#[test]
fn only_what_differs_is_told() {
    let mut followed = Followed::new();
    followed
        .directory
        .write("x.yaml", &(pod("a", "n") + &pod("b", "n") + &pod("c", "n")));
    assert_eq!(followed.look().len(), 3);
    // One changes, one goes, one comes, one is worded anew.
    let worded = "---\n# the same\n{kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {nodeName: 'n', dnsPolicy: Default}}\n";
    followed
        .directory
        .replace("x.yaml", &(pod("d", "n") + worded + &pod("b", "other")));
    assert_eq!(
        followed.look(),
        ["-Pod default/c", "+Pod default/b", "+Pod default/d"]
    );
    assert_eq!(node_of(&followed.known, "b"), Some("other"));
}

#[test]
fn an_object_may_move_between_files() {
    let mut followed = Followed::new();
    followed
        .directory
        .write("x.yaml", &(pod("a", "n") + &pod("b", "n")));
    assert_eq!(followed.look().len(), 2);
    followed.directory.write("x.yaml", &pod("a", "n"));
    followed.directory.write("y/y.yaml", &pod("b", "n"));
    assert_eq!(followed.look(), NOTHING);
    fs::rename(followed.directory.at("y"), followed.directory.at("z")).unwrap();
    assert_eq!(followed.look(), NOTHING);
    fs::remove_dir_all(followed.directory.at("z")).unwrap();
    assert_eq!(followed.look(), ["-Pod default/b"]);
    followed.directory.remove("x.yaml");
    assert_eq!(followed.look(), ["-Pod default/a"]);
}

#[test]
fn a_change_that_leaves_size_and_times_is_seen_while_the_file_is_fresh() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("a", "n1"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    for node in ["n2", "n3", "n4"] {
        // In place, of the same size, mostly within one tick of the file system's clock.
        followed.directory.write("x.yaml", &pod("a", node));
        assert_eq!(followed.look(), ["+Pod default/a"]);
        assert_eq!(node_of(&followed.known, "a"), Some(node));
    }
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("a", "n1"));
    let later = net::clock::wall() + Duration::from_secs(60);
    assert_eq!(followed.look_at(later), ["+Pod default/a"]);
    // Behind the back of every clock: only one who reads the file could tell.
    let path = followed.directory.at("x.yaml");
    let before = super::super::walk::Stamp::of(&fs::metadata(&path).unwrap());
    let opened = fs::metadata(&path).unwrap();
    assert_eq!(followed.look_at(later), NOTHING);
    assert_eq!(super::super::walk::Stamp::of(&opened), before);
    let touched = fs::File::options().write(true).open(&path).unwrap();
    touched.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(followed.look_at(later), NOTHING, "read, and the same");
}

#[test]
fn kinds_without_effect_are_told_of_without_being_objects() {
    let mut followed = Followed::new();
    followed.directory.write(
        "x.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\n",
    );
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(
        followed.findings,
        ["x.yaml:5:1: Sidecar a: not enforced by this controller yet"]
    );
}
