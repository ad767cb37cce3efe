//! What a file that changes does, and what a file that goes wrong changes: nothing.

use std::{fs, sync::Arc, time::Duration};

use super::{CLIENT, Folder, list, met_by_server, open, refusal};
use crate::{
    PeerRefusal,
    crl::{CrlError, CrlFile},
    testkit::{START, TestCa, TestClock, at, uri},
};

/// How long a condition is waited for before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_file_that_goes_wrong_changes_nothing() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let good = list(&root, &[&client.chain()[0]]);
    let crl = open(&folder, &good);
    let path = folder.path("ca-crl.pem");
    let is_refused = || refusal(met_by_server(&root, &crl, &client).server_error.as_ref());

    let half = &good[..good.len() / 2];
    let v1 = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    let mut failures = 0;
    for (content, matches) in [
        (
            Some(""),
            (|e| matches!(e, CrlError::Empty { .. })) as fn(&CrlError) -> bool,
        ),
        (Some("nothing to see"), |e| {
            matches!(e, CrlError::Empty { .. })
        }),
        (Some(half), |e| matches!(e, CrlError::Pem { .. })),
        (Some(v1), |e| {
            matches!(e, CrlError::List { position: 1, .. })
        }),
        (None, |e| matches!(e, CrlError::Read { .. })),
    ] {
        match content {
            Some(content) => drop(folder.write("ca-crl.pem", content)),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = crl.reload().unwrap_err();
        assert!(matches(&error), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        failures += 1;
        assert_eq!((crl.stats().failures, crl.stats().loads), (failures, 1));
        assert!(matches!(is_refused(), PeerRefusal::Revoked { .. }));
        crl.poll();
        assert_eq!(
            crl.stats().failures,
            failures,
            "what did not change is not read again"
        );
    }

    folder.write("ca-crl.pem", list(&root, &[]));
    crl.poll();
    assert!(
        met_by_server(&root, &crl, &client).succeeded(),
        "a new list lifts it"
    );
    assert_eq!((crl.stats().loads, crl.stats().entries), (2, 0));
    assert_eq!(crl.stats().loaded_at, Some(at(START)));
}

#[test]
fn a_file_that_is_not_there_yet_revokes_nothing() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let crl = CrlFile::open(folder.path("later.pem"), TestClock::new().clock());
    assert_eq!((crl.stats().failures, crl.stats().loaded_at), (1, None));
    assert!(met_by_server(&root, &crl, &client).succeeded());
    folder.write("later.pem", list(&root, &[&client.chain()[0]]));
    crl.poll();
    assert!(met_by_server(&root, &crl, &client).server_error.is_some());
}

#[tokio::test]
async fn a_mounted_file_is_followed_through_its_links() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    // As a kubelet mounts a ConfigMap: file -> ..data/file, ..data -> a directory per version.
    let publish = |version: &str, pem: &str| {
        let directory = folder.path(version);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("ca-crl.pem"), pem).unwrap();
        std::os::unix::fs::symlink(&directory, folder.path("..tmp")).unwrap();
        fs::rename(folder.path("..tmp"), folder.path("..data")).unwrap();
    };
    publish("1", &list(&root, &[]));
    std::os::unix::fs::symlink("..data/ca-crl.pem", folder.path("ca-crl.pem")).unwrap();
    let crl = CrlFile::open(folder.path("ca-crl.pem"), TestClock::new().clock());
    let mut changes = crl.subscribe();
    let task = tokio::spawn(Arc::clone(&crl).run_every(Duration::from_millis(5)));
    assert_eq!(crl.stats().loads, 1);

    publish("2", &list(&root, &[&client.chain()[0]]));
    tokio::time::timeout(DEADLINE, changes.changed())
        .await
        .expect("the change must be seen")
        .unwrap();
    assert!(met_by_server(&root, &crl, &client).server_error.is_some());
    task.abort();
}

#[test]
fn a_file_that_the_system_did_not_let_us_read_is_read_again_though_it_did_not_change() {
    let (root, folder) = (TestCa::new("root"), Folder::new());
    let client = root.leaf(vec![uri(CLIENT)], |_| {});
    let crl = open(&folder, &list(&root, &[]));
    let path = folder.path("ca-crl.pem");
    // A folder opens and cannot be read, for everybody: it stands for a disk that fails.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for failures in 1..4 {
        crl.poll();
        assert_eq!(crl.stats().failures, failures);
    }
    assert!(crl.reload().is_err());
    crl.poll();
    assert_eq!(crl.stats().failures, 5);
    fs::remove_dir(&path).unwrap();
    folder.write("ca-crl.pem", list(&root, &[&client.chain()[0]]));
    crl.poll();
    assert!(matches!(
        refusal(met_by_server(&root, &crl, &client).server_error.as_ref()),
        PeerRefusal::Revoked { .. }
    ));
    crl.poll();
    assert_eq!((crl.stats().loads, crl.stats().failures), (2, 5));
}
