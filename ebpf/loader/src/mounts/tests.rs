//! Mounts as the kernel writes them.

use std::path::PathBuf;

use super::{Mount, parse};

#[test]
fn mounts_are_read_with_and_without_optional_fields() {
    let text = "22 1 0:20 / /sys rw - sysfs sysfs rw\n\
        31 22 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw\n\
        32 22 0:27 /../.. /host/a\\040b rw - cgroup2 none rw\n\
        broken line\n";
    let mount = |root: &str, point: &str, kind: &str| Mount {
        root: root.to_owned(),
        point: PathBuf::from(point),
        kind: kind.to_owned(),
    };
    assert_eq!(
        parse(text),
        [
            mount("/", "/sys", "sysfs"),
            mount("/", "/sys/fs/cgroup/unified", "cgroup2"),
            mount("/../..", "/host/a b", "cgroup2"),
        ]
    );
}
