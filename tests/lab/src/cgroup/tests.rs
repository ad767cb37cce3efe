//! A tree of one's own, where the machine offers none.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{cpu_time, create, is_cgroup2, kill_and_remove, mount_private, private_mount, unmount};

#[test]
fn a_private_tree_kills_what_is_in_a_group_and_is_unmounted() {
    if !crate::possible() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("ambit-cgroup-test-{}", std::process::id()));
    let tree = mount_private(&folder).expect("mounted");
    assert!(is_cgroup2(&tree));
    let group = tree.join(format!("ambit_test_{}", std::process::id()));
    create(&group.join("inner")).expect("created");
    let procs = group.join("inner/cgroup.procs");
    let line = format!("echo 0 > {} && exec sleep 600", procs.display());
    let mut child = Command::new("/bin/sh")
        .args(["-c", &line])
        .spawn()
        .expect("started");
    crate::until("the program in its group", Duration::from_secs(5), || {
        fs::read_to_string(&procs).is_ok_and(|text| text.trim() == child.id().to_string())
    })
    .expect("it enters");
    cpu_time(&group).expect("counted");
    kill_and_remove(&group).expect("removed");
    assert!(!child.wait().expect("waited for").success());
    assert!(!group.exists());
    unmount(&folder).expect("unmounted");
    assert!(!is_cgroup2(&private_mount(&folder)));
    fs::remove_dir_all(folder).expect("removed");
}
