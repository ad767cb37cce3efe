//! Who may read the folder, and that its files are always whole.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use super::{PUBLIC, SECRET, StateDir, StateError};
use crate::ca::testkit::Folder;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_folder_and_its_secrets_are_the_owners_alone() {
    let folder = Folder::absent();
    let state = StateDir::open(folder.path()).unwrap();
    state.write("secret", SECRET, b"s").unwrap();
    state.write("public", PUBLIC, b"p").unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(mode(&folder.file("secret")), 0o600);
    assert_eq!(mode(&folder.file("public")), 0o644);
}

#[test]
fn a_folder_that_is_there_keeps_its_mode_unless_others_may_write_to_it() {
    let folder = Folder::new();
    set_mode(folder.path(), 0o755);
    StateDir::open(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o755);
    set_mode(folder.path(), 0o777);
    let error = StateDir::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, StateError::Exposed { mode: 0o777, .. }),
        "{error}"
    );
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    state.write("secret", SECRET, b"s").unwrap();
    set_mode(&folder.file("secret"), 0o644);
    let error = state.read_secret("secret", 10).unwrap_err().to_string();
    let path = folder.file("secret");
    assert_eq!(
        error,
        format!(
            "{}: has mode 644, expected no access for others: chmod 600 it",
            path.display()
        )
    );
}

#[test]
fn the_groups_access_to_a_secret_is_taken_away() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    state.write("secret", SECRET, b"s").unwrap();
    set_mode(&folder.file("secret"), 0o660);
    assert_eq!(state.read_secret("secret", 10).unwrap().unwrap(), b"s");
    assert_eq!(mode(&folder.file("secret")), 0o600);
}

#[test]
fn one_controller_holds_the_folder() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    let held = state.lock().unwrap();
    let other = StateDir::open(folder.path()).unwrap();
    assert!(matches!(
        other.lock().unwrap_err(),
        StateError::Locked { .. }
    ));
    // Commands work beside it.
    drop(other.edit().unwrap());
    drop(held);
    // Another test may be starting a program, whose process has a copy of the file for an instant.
    let deadline = net::clock::now() + Duration::from_secs(10);
    while let Err(error) = other.lock() {
        assert!(net::clock::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_crash_left_behind_is_not_read_and_does_not_stand_in_the_way() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    state.write("file", SECRET, b"whole").unwrap();
    folder.write(".file.new", "ha");
    assert_eq!(state.read("file", 10).unwrap().unwrap(), b"whole");
    state.write("file", SECRET, b"next").unwrap();
    assert_eq!(state.read("file", 10).unwrap().unwrap(), b"next");
    assert!(!folder.file(".file.new").exists());
}

#[test]
fn reading_is_bounded_and_what_is_not_there_is_none() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    assert_eq!(state.read("file", 3).unwrap(), None);
    assert_eq!(state.read_secret("file", 3).unwrap(), None);
    folder.write("file", "abc");
    assert_eq!(state.read("file", 3).unwrap().unwrap(), b"abc");
    folder.write("file", "abcd");
    assert!(matches!(
        state.read("file", 3).unwrap_err(),
        StateError::TooLarge { max: 3, .. }
    ));
    state.remove("file").unwrap();
    state.remove("file").unwrap();
    assert!(!folder.file("file").exists());
}

/// Where the tests run as root, a file can be given to somebody else.
fn give_away(path: &Path) -> bool {
    nix::unistd::geteuid().is_root() && std::os::unix::fs::chown(path, Some(65534), None).is_ok()
}

#[test]
fn a_sticky_folder_that_all_may_write_to_is_refused() {
    let folder = Folder::new();
    set_mode(folder.path(), 0o1777);
    let error = StateDir::open(folder.path()).unwrap_err();
    assert!(matches!(error, StateError::Exposed { .. }), "{error}");
    set_mode(folder.path(), 0o1775);
    StateDir::open(folder.path()).unwrap();
}

#[test]
fn what_somebody_else_made_is_not_believed() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    for name in ["tokens", "roots.json"] {
        state.write(name, SECRET, b"x").unwrap();
        if !give_away(&folder.file(name)) {
            return;
        }
        for error in [
            state.read(name, 10).unwrap_err(),
            state.read_secret(name, 10).unwrap_err(),
        ] {
            assert!(
                matches!(error, StateError::Foreign { found: 65534, .. }),
                "{error}"
            );
        }
        // By another name it is his still.
        std::os::unix::fs::symlink(folder.file(name), folder.file("link")).unwrap();
        assert!(state.read("link", 10).is_err());
        state.remove("link").unwrap();
    }
    fs::create_dir(folder.file("cacerts")).unwrap();
    state.check_folder("cacerts").unwrap();
    assert!(give_away(&folder.file("cacerts")));
    assert!(state.check_folder("cacerts").is_err());
    assert!(give_away(folder.path()));
    assert!(StateDir::open(folder.path()).is_err());
}

#[test]
fn a_file_that_others_may_write_to_is_refused_and_the_group_may_no_longer() {
    let folder = Folder::new();
    let state = StateDir::open(folder.path()).unwrap();
    state.write("tokens", SECRET, b"x").unwrap();
    set_mode(&folder.file("tokens"), 0o602);
    let error = state.read("tokens", 10).unwrap_err();
    assert!(matches!(error, StateError::Exposed { .. }), "{error}");
    set_mode(&folder.file("tokens"), 0o664);
    assert_eq!(state.read("tokens", 10).unwrap().unwrap(), b"x");
    assert_eq!(mode(&folder.file("tokens")), 0o644);
}
