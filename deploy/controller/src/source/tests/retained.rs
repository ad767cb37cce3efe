//! What is wrong, and what stays in force for as long as it is.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::{Followed, node_of, pod};

const NOTHING: [&str; 0] = [];
const BAD: &str = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {nodeName: [1]}\n";

#[test]
fn a_bad_object_is_left_out_and_its_last_good_version_stays() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &(pod("a", "n") + BAD));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    let finding = [
        "x.yaml:12:18: Pod default/b: spec.nodeName: found a list of 1, expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside",
    ];
    assert_eq!(followed.findings, finding);
    followed
        .directory
        .write("x.yaml", &(pod("a", "n") + &pod("b", "n")));
    assert_eq!(followed.look(), ["+Pod default/b"]);
    assert_eq!(followed.findings, NOTHING);
    followed.directory.write("x.yaml", &(pod("a", "m") + BAD));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    assert_eq!(followed.findings, finding);
    assert_eq!(node_of(&followed.known, "b"), Some("n"));
    // Not even bad any more.
    followed.directory.write("x.yaml", &pod("a", "m"));
    assert_eq!(followed.look(), ["-Pod default/b"]);
}

#[test]
fn the_last_good_version_follows_its_object_to_another_file() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("b", "n"));
    followed.look();
    followed.directory.remove("x.yaml");
    followed.directory.write("y.yaml", BAD);
    assert_eq!(followed.look(), NOTHING);
    followed.directory.remove("y.yaml");
    assert_eq!(followed.look(), ["-Pod default/b"]);
}

#[test]
fn a_malformed_document_keeps_what_its_file_delivered() {
    let mut followed = Followed::new();
    let whole = pod("a", "n") + &pod("b", "n") + &pod("c", "n");
    followed.directory.write("x.yaml", &whole);
    followed.directory.write("y.yaml", &pod("d", "n"));
    assert_eq!(followed.look().len(), 4);
    // b cannot be told any more, c has gone, d comes from elsewhere, a goes on changing.
    let broken = pod("a", "m") + "---\nkind: Pod\nmetadata: {name: b\n";
    followed.directory.write("x.yaml", &broken);
    assert_eq!(followed.look(), ["+Pod default/a"]);
    assert_eq!(followed.findings.len(), 1);
    assert!(
        followed.findings[0].starts_with("x.yaml:1"),
        "{:?}",
        followed.findings
    );
    assert!(followed.findings[0].contains("malformed YAML"));
    followed.directory.write("y.yaml", "");
    assert_eq!(followed.look(), ["-Pod default/d"]);
    followed
        .directory
        .write("x.yaml", &(pod("a", "m") + &pod("b", "m")));
    assert_eq!(followed.look(), ["-Pod default/c", "+Pod default/b"]);
    assert_eq!(followed.findings, NOTHING);
}

#[test]
fn what_a_broken_file_delivered_may_be_taken_over_by_another() {
    let mut followed = Followed::new();
    followed
        .directory
        .write("x.yaml", &(pod("a", "n") + &pod("b", "n")));
    followed.look();
    followed.directory.write("x.yaml", "kind: [\n");
    followed.directory.write("y.yaml", &pod("a", "m"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    followed.directory.remove("y.yaml");
    assert_eq!(followed.look(), ["-Pod default/a"], "it was y's");
    followed.directory.remove("x.yaml");
    assert_eq!(followed.look(), ["-Pod default/b"]);
}

#[test]
fn an_object_whose_name_cannot_be_told_keeps_what_its_file_delivered() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("a", "n"));
    followed.look();
    followed.directory.write(
        "x.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: A}\nspec: {}\n",
    );
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings.len(), 1);
    followed.directory.write("x.yaml", "");
    assert_eq!(followed.look(), ["-Pod default/a"]);
}

#[test]
fn of_two_with_one_name_the_first_speaks() {
    let mut followed = Followed::new();
    followed.directory.write("b.yaml", &pod("a", "second"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    followed.directory.write(
        "a.yaml",
        &(pod("x", "n") + &pod("a", "first") + &pod("a", "third")),
    );
    assert_eq!(followed.look(), ["+Pod default/a", "+Pod default/x"]);
    assert_eq!(node_of(&followed.known, "a"), Some("first"));
    let twice = |place: &str, first: &str| {
        format!(
            "{place}: Pod default/a: found a second time, {first} has it already, expected each object once"
        )
    };
    assert_eq!(
        followed.findings,
        [
            twice("a.yaml:16", "a.yaml:9"),
            twice("b.yaml:2", "a.yaml:9")
        ]
    );
    // A first that becomes bad does not bring an old copy into force.
    followed.directory.write(
        "a.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: 1\n",
    );
    assert_eq!(followed.look(), ["-Pod default/x"]);
    assert_eq!(node_of(&followed.known, "a"), Some("first"));
    assert_eq!(
        followed.findings.last().unwrap(),
        &twice("b.yaml:2", "a.yaml:1")
    );
    followed.directory.remove("a.yaml");
    assert_eq!(followed.look(), ["+Pod default/a"]);
    assert_eq!(node_of(&followed.known, "a"), Some("second"));
    assert_eq!(followed.findings, NOTHING);
}

#[test]
fn a_file_that_cannot_be_read_keeps_what_it_delivered() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("a", "n"));
    followed.look();
    let path = followed.directory.at("x.yaml");

    fs::write(&path, b"# fine\n# \xff\n").unwrap();
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(
        followed.findings,
        ["x.yaml:2: found a byte that is not UTF-8, expected UTF-8 text"]
    );

    let large = fs::File::create(&path).unwrap();
    large.set_len((32 << 20) + 1).unwrap();
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(
        followed.findings,
        ["x.yaml: more than 33554432 bytes, expected several smaller files"]
    );

    fs::remove_file(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, ["x.yaml: expected a regular file"]);

    fs::remove_file(&path).unwrap();
    followed.directory.link("nowhere", "x.yaml");
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(
        followed.findings,
        [
            "x.yaml: cannot be read, expected a readable file: No such file or directory (os error 2)"
        ]
    );

    fs::remove_file(&path).unwrap();
    followed.directory.write("x.yaml", &pod("a", "n"));
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, NOTHING);

    fs::remove_file(&path).unwrap();
    assert_eq!(followed.look(), ["-Pod default/a"]);
}

#[test]
fn a_file_without_permission_keeps_what_it_delivered() {
    let mut followed = Followed::new();
    followed.directory.write("sub/x.yaml", &pod("a", "n"));
    followed.look();
    let (file, directory) = (
        followed.directory.at("sub/x.yaml"),
        followed.directory.at("sub"),
    );
    let set = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |name: &str, what: &str| {
        format!(
            "{name}: cannot be read, expected a readable {what}: Permission denied (os error 13)"
        )
    };
    set(&file, 0o000);
    if fs::read(&file).is_ok() {
        // Whoever runs this may read everything.
        return;
    }
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, [refused("sub/x.yaml", "file")]);
    set(&directory, 0o000);
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, [refused("sub", "directory")]);
    set(&directory, 0o755);
    set(&file, 0o644);
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings, NOTHING);
}

#[test]
fn a_folder_that_is_not_there_changes_nothing() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &pod("a", "n"));
    followed.look();
    let (path, aside) = (
        followed.directory.path.clone(),
        followed.directory.path.with_extension("aside"),
    );
    fs::rename(&path, &aside).unwrap();
    let scan = followed.folder.scan(net::clock::wall());
    assert_eq!(scan.batch, None);
    assert_eq!(
        scan.findings[0].text,
        format!(
            "{}: cannot be read, expected a directory: No such file or directory (os error 2)",
            path.display()
        )
    );
    assert_eq!(followed.folder.len(), 1);
    // One that is there and empty is an empty mesh.
    fs::create_dir(&path).unwrap();
    assert_eq!(followed.look(), ["-Pod default/a"]);
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(followed.look(), ["+Pod default/a"]);
}

#[test]
fn nothing_is_configured_before_the_folder_is_there() {
    let mut followed = Followed::new();
    fs::remove_dir(&followed.directory.path).unwrap();
    assert_eq!(followed.folder.scan(net::clock::wall()).batch, None);
    fs::write(&followed.directory.path, "a file").unwrap();
    let scan = followed.folder.scan(net::clock::wall());
    assert_eq!(scan.batch, None);
    assert!(scan.findings[0].text.ends_with(": expected a directory"));
    fs::remove_file(&followed.directory.path).unwrap();
    fs::create_dir(&followed.directory.path).unwrap();
    assert_eq!(
        followed.folder.scan(net::clock::wall()).batch,
        Some(Vec::new())
    );
}

#[test]
fn a_file_that_keeps_changing_is_told_of_after_a_while_and_holds_the_first_batch_back() {
    let mut followed = Followed::new();
    followed.directory.write("a.yaml", &pod("a", "n"));
    // Its size is said to be 0, but there is more to read: as of a file that grows.
    followed.directory.link("/proc/version", "x.yaml");
    for _ in 1..10 {
        let scan = followed.folder.scan(net::clock::wall());
        assert!(scan.again && scan.findings.is_empty());
        assert_eq!(scan.batch, None);
    }
    assert_eq!(followed.look(), ["+Pod default/a"]);
    let told = [
        "x.yaml: keeps changing while it is read, expected it to be replaced by renaming a complete file over it",
    ];
    assert_eq!(followed.findings, told);
    followed.directory.remove("x.yaml");
    followed.directory.write("x.yaml", &pod("b", "n"));
    assert_eq!(followed.look(), ["+Pod default/b"]);
    assert_eq!(followed.findings, NOTHING);
    // Once the folder was read, others do not wait for it.
    followed.directory.remove("x.yaml");
    followed.directory.link("/proc/version", "x.yaml");
    followed.directory.write("a.yaml", &pod("a", "m"));
    assert_eq!(followed.look(), ["+Pod default/a"]);
    assert_eq!(node_of(&followed.known, "b"), Some("n"));
}

#[test]
fn findings_are_bounded() {
    let mut followed = Followed::new();
    let text: String = (0..1500)
        .map(|n| format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}}}\n"))
        .collect();
    followed.directory.write("x.yaml", &text);
    assert_eq!(followed.look(), NOTHING);
    assert_eq!(followed.findings.len(), 1001);
    assert_eq!(
        followed.findings[1000],
        "500 more findings that are not shown"
    );
}

#[test]
fn a_file_that_is_emptied_in_place_keeps_its_objects_until_it_is_filled_or_stays_so() {
    let (now, later) = (net::clock::wall, || {
        net::clock::wall() + Duration::from_secs(3)
    });
    let both = pod("a", "n") + &pod("b", "n");
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", &both);
    assert_eq!(followed.look_at(now()).len(), 2);
    for partial in ["", &pod("a", "n")] {
        followed.directory.write("x.yaml", partial);
        let scan = followed.folder.scan(now());
        assert_eq!((scan.batch, scan.again), (Some(Vec::new()), true));
    }
    followed.directory.write("x.yaml", &both);
    assert_eq!(followed.look_at(now()), NOTHING);
    followed.directory.write("x.yaml", &pod("a", "n"));
    assert_eq!(followed.look_at(later()), ["-Pod default/b"]);
    // Another file in its place is complete.
    followed.directory.replace("x.yaml", "");
    assert_eq!(followed.look_at(now()), ["-Pod default/a"]);
}

#[test]
fn the_first_batch_waits_for_a_file_that_was_just_emptied() {
    let mut followed = Followed::new();
    followed.directory.write("x.yaml", "");
    assert_eq!(followed.folder.scan(net::clock::wall()).batch, None);
    let later = net::clock::wall() + Duration::from_secs(3);
    assert_eq!(followed.folder.scan(later).batch, Some(Vec::new()));
}

#[test]
fn a_misspelt_kind_or_group_keeps_the_last_good_objects_of_its_file() {
    let policy = |api: &str, kind: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    };
    let mut followed = Followed::new();
    let good = policy("security.istio.io/v1", "AuthorizationPolicy");
    followed.directory.replace("x.yaml", &good);
    assert_eq!(followed.look(), ["+AuthorizationPolicy default/a"]);
    for (api, kind) in [
        ("security.istio.io/v1", "AuthorizationPolicyy"),
        ("security.istio.i/v1", "AuthorizationPolicy"),
        ("security.istio.io", "AuthorizationPolicy"),
    ] {
        followed.directory.replace("x.yaml", &policy(api, kind));
        assert_eq!(followed.look(), NOTHING, "{api} {kind}");
        assert_eq!(followed.findings.len(), 1);
    }
}
