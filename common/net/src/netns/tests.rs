//! Entering a namespace and coming back.

use std::{fs::File, net::TcpListener};

use nix::sched::{CloneFlags, unshare};

use super::Netns;

/// A fresh namespace, or `None` where this process may not make one.
fn fresh() -> Option<Netns> {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .ok()
            .and_then(|()| Netns::current().ok())
    })
    .join()
    .unwrap()
}

fn skipped() {
    #[expect(clippy::print_stdout, reason = "a test that cannot run says so")]
    {
        println!("skipped: network namespaces need CAP_SYS_ADMIN");
    }
}

#[test]
fn a_socket_belongs_to_the_namespace_that_it_was_made_in() {
    let Some(netns) = fresh() else {
        return skipped();
    };
    let here = Netns::current().unwrap();
    assert_ne!(netns.inode(), here.inode());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert!(TcpListener::bind(address).is_err());
    assert!(
        netns.run(|| TcpListener::bind(address)).unwrap().is_ok(),
        "the port is free inside"
    );
    assert!(
        TcpListener::bind(address).is_err(),
        "the thread is home again"
    );
    assert_eq!(Netns::current().unwrap().inode(), here.inode());
}

#[test]
fn the_thread_comes_home_when_the_work_unwinds() {
    let Some(netns) = fresh() else {
        return skipped();
    };
    let here = Netns::current().unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        netns.run(|| panic!("on purpose"))
    }));
    assert!(result.is_err());
    assert_eq!(Netns::current().unwrap().inode(), here.inode());
}

#[test]
fn a_descriptor_of_anything_else_is_refused() {
    for path in ["/dev/null", "/proc/self/ns/uts", "/proc/self/ns/mnt"] {
        assert!(
            Netns::from_fd(File::open(path).unwrap().into()).is_err(),
            "{path}"
        );
    }
}

#[test]
fn a_cookie_is_of_one_namespace() {
    let (Some(one), Some(other)) = (fresh(), fresh()) else {
        return skipped();
    };
    assert_eq!(one.cookie().unwrap(), one.cookie().unwrap());
    assert_ne!(one.cookie().unwrap(), other.cookie().unwrap());
}
