//! Where a mount shows a cgroup.

use std::path::PathBuf;

use super::{populated, resolve, walk};
use crate::mounts::Mount;

fn mount(root: &str, point: &str) -> Mount {
    Mount {
        root: root.to_owned(),
        point: PathBuf::from(point),
        kind: "cgroup2".to_owned(),
    }
}

#[test]
fn a_cgroup_is_found_below_the_part_that_is_mounted() {
    let whole = mount("/", "/sys/fs/cgroup");
    let part = mount("/kubepods/pod1", "/sys/fs/cgroup");
    let hosts = mount("/../..", "/host/cgroup");
    for (mount, cgroup, found) in [
        (&whole, "/", Some("/sys/fs/cgroup")),
        (&whole, "/a/b", Some("/sys/fs/cgroup/a/b")),
        (&part, "/kubepods/pod1/c", Some("/sys/fs/cgroup/c")),
        (&part, "/kubepods/pod10", None),
        // Above its own root a process has no names.
        (&hosts, "/", None),
    ] {
        assert_eq!(resolve(mount, cgroup), found.map(PathBuf::from), "{cgroup}");
    }
}

#[test]
fn a_tree_is_walked_until_something_is_found() {
    let root = std::env::temp_dir().join(format!("ambit-walk-{}", std::process::id()));
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::create_dir_all(root.join("c")).unwrap();
    assert_eq!(
        walk(&root, &mut |path| path.ends_with("b")),
        Some(root.join("a/b"))
    );
    assert_eq!(walk(&root, &mut |_| false), None);
    assert_eq!(populated(&root, &[1]), Some(Vec::new()));
    std::fs::remove_dir_all(&root).unwrap();
}
