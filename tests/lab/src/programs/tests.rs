//! Programs that are not there.

use super::{missing, require};

#[test]
fn a_missing_program_names_its_package() {
    let check = |program: &str, package: &str| {
        assert!(missing(program).to_string().ends_with(package), "{program}");
    };
    check("nginx", "apt-get install nginx-light");
    check("redis-cli", "apt-get install redis-tools");
    check("mariadb-install-db", "apt-get install mariadb-server");
}

#[test]
fn an_unknown_program_and_a_file_that_is_none_are_refused() {
    let text = require("no-such-program")
        .expect_err("it is not there")
        .to_string();
    assert!(text.contains("no-such-program: not found"), "{text}");
    assert!(require("/proc/version").is_err() && require("/").is_err());
    assert_eq!(
        require("/bin/sh").expect("it is there"),
        std::path::Path::new("/bin/sh")
    );
}
