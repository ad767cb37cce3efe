//! A root of the controller's own: what it signs, how it is kept, how it is replaced.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use identity::wall;
use x509_parser::extensions::GeneralName;

use super::{Authority, AuthorityError, Options};
use crate::ca::{
    CertificateRequest, IssueError, Issued, KeptError, StateError, request_rotation, signed,
    state::StateDir,
    testkit::{
        DAY, Folder, HOUR, START, at, believed, certificates, csr, hours, id, open, openssl,
        reopen, split,
    },
};

mod serving;

fn issue(authority: &Authority, ttl: Option<Duration>, now: u64) -> Result<Issued, IssueError> {
    let request = CertificateRequest::from_pem(&csr(&[])).unwrap();
    authority.issue(&id("client"), &request, ttl, at(now))
}

fn end(authority: &Authority, ttl: Option<Duration>) -> u64 {
    let issued = issue(authority, ttl, START).unwrap();
    let leaf = certificates(&issued.chain[0]).remove(0);
    let parsed = signed::certificate(&leaf).unwrap();
    assert_eq!(wall(parsed.validity().not_after), issued.not_after);
    let since = issued.not_after.duration_since(at(START)).unwrap();
    since.as_secs()
}

#[test]
fn an_answer_is_the_leaf_and_the_roots_and_openssl_agrees() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let issued = issue(&authority, None, START).unwrap();
    assert_eq!(issued.chain.len(), 2, "a leaf, and the bundle");
    assert_eq!(issued.chain[1], folder.read("root-cert.pem"));
    assert_eq!(*authority.bundle(), issued.chain[1]);
    let (chain, bundle) = split(&issued.chain);
    assert_eq!(believed(&chain, &bundle, at(START)), Ok(()));

    let leaf = signed::certificate(&chain[0]).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(san.critical);
    let expected = GeneralName::URI("spiffe://cluster.local/ns/default/sa/client");
    assert_eq!(san.value.general_names, [expected]);
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !leaf.is_ca());
    assert_eq!(wall(leaf.validity().not_before), at(START - 120));
    assert_eq!(issued.serial.len(), 32);
    let roots = certificates(&bundle);
    let root = signed::certificate(&roots[0]).unwrap();
    assert!(
        root.subject()
            .to_string()
            .starts_with("O=cluster.local, CN=root ")
    );

    folder.write("leaf.pem", &issued.chain[0]);
    let (leaf, root) = (folder.file("leaf.pem"), folder.file("root-cert.pem"));
    let (leaf, root) = (leaf.display().to_string(), root.display().to_string());
    let time = START.to_string();
    for purpose in ["sslserver", "sslclient"] {
        openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-attime",
            &time,
            "-CAfile",
            &root,
            &leaf,
        ]);
    }
}

#[test]
fn the_life_of_a_leaf_is_what_is_asked_for_within_bounds() {
    let folder = Folder::absent();
    let options = Options {
        max_ttl: hours(48),
        ..Options::default()
    };
    let authority = open(&folder, options, START);
    assert_eq!(end(&authority, None), DAY);
    assert_eq!(end(&authority, Some(hours(1))), HOUR);
    assert_eq!(end(&authority, Some(hours(1000))), 2 * DAY);
    assert_eq!(end(&authority, Some(Duration::MAX)), 2 * DAY);
}

#[test]
fn a_leaf_ends_no_later_than_the_root() {
    let folder = Folder::absent();
    let options = Options {
        root_life: hours(5),
        renew_root_below: 0,
        ..Options::default()
    };
    let authority = open(&folder, options, START);
    assert_eq!(end(&authority, None), 5 * HOUR);
    let error = issue(&authority, None, START + 5 * HOUR).unwrap_err();
    assert!(matches!(error, IssueError::Authority(_)), "{error:?}");
}

#[test]
fn the_root_outlives_the_process_and_only_the_owner_can_read_its_key() {
    let folder = Folder::absent();
    let bundle = open(&folder, Options::default(), START).bundle();
    assert_eq!(
        open(&folder, Options::default(), START + DAY).bundle(),
        bundle
    );
    let mode = |name| {
        fs::metadata(folder.file(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode(""), mode("roots.json"), mode("root-cert.pem")),
        (0o700, 0o600, 0o644)
    );
    for (name, text) in [
        ("root-cert.pem", folder.read("root-cert.pem")),
        (
            "debug",
            format!("{:?}", open(&folder, Options::default(), START)),
        ),
    ] {
        assert!(!text.contains("PRIVATE"), "{name}");
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let folder = Folder::absent();
    drop(open(&folder, Options::default(), START));
    fs::set_permissions(folder.file("roots.json"), Permissions::from_mode(0o644)).unwrap();
    let error = reopen(&folder, Options::default(), START).unwrap_err();
    let exposed = matches!(
        &error,
        AuthorityError::Kept(KeptError::State(StateError::Exposed { .. }))
    );
    assert!(exposed, "{error:?}");
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_new_root() {
    let folder = Folder::absent();
    drop(open(&folder, Options::default(), START));
    let (whole, bundle) = (folder.read("roots.json"), folder.read("root-cert.pem"));
    for cut in [0, 1, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        folder.write("roots.json", &whole[..cut]);
        let error = reopen(&folder, Options::default(), START).unwrap_err();
        assert!(
            matches!(error, AuthorityError::Kept(KeptError::Damaged(_))),
            "{cut}: {error:?}"
        );
        assert_eq!(folder.read("roots.json"), whole[..cut]);
        assert_eq!(folder.read("root-cert.pem"), bundle);
    }
    // A letter of the key, a letter of the certificate, another version.
    let key = whole.replacen(
        "BEGIN PRIVATE KEY-----\\nM",
        "BEGIN PRIVATE KEY-----\\nX",
        1,
    );
    let certificate = whole.replacen(
        "BEGIN CERTIFICATE-----\\nM",
        "BEGIN CERTIFICATE-----\\nX",
        1,
    );
    for (text, what) in [
        (key, "key"),
        (certificate, "certificate"),
        (whole.replace("\"version\": 1", "\"version\": 2"), "version"),
    ] {
        assert_ne!(text, whole, "{what}");
        folder.write("roots.json", &text);
        let error = reopen(&folder, Options::default(), START);
        assert!(
            matches!(error, Err(AuthorityError::Kept(_))),
            "{what}: {error:?}"
        );
    }
    folder.write("roots.json", &whole);
    assert_eq!(*open(&folder, Options::default(), START).bundle(), bundle);
}

#[test]
fn a_lost_key_is_an_error_and_never_a_new_root() {
    let folder = Folder::absent();
    drop(open(&folder, Options::default(), START));
    fs::remove_file(folder.file("roots.json")).unwrap();
    let error = reopen(&folder, Options::default(), START).unwrap_err();
    assert!(matches!(error, AuthorityError::Orphan), "{error:?}");
}

#[test]
fn a_second_controller_on_the_same_folder_is_refused() {
    let folder = Folder::absent();
    let first = open(&folder, Options::default(), START);
    let error =
        Authority::load_or_create(folder.path(), Options::default(), at(START)).unwrap_err();
    assert!(
        matches!(error, AuthorityError::State(StateError::Locked { .. })),
        "{error:?}"
    );
    drop(first);
    open(&folder, Options::default(), START);
}

#[test]
fn published_roots_that_are_lost_come_back() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    fs::remove_file(folder.file("root-cert.pem")).unwrap();
    authority.tick(at(START + 1)).unwrap();
    assert_eq!(folder.read("root-cert.pem"), *authority.bundle());
}

#[test]
fn a_rotation_on_request_survives_a_restart_at_every_point() {
    let folder = Folder::absent();
    let mut authority = open(&folder, Options::default(), START);
    let first = authority.bundle();
    request_rotation(folder.path()).unwrap();
    let mut stages = vec![];
    // Everybody who has a certificate that lives, with the bundle that came with it.
    let mut holders: Vec<(u64, Vec<_>, String)> = vec![];
    for hour in (0..60).step_by(4) {
        let now = START + hour * HOUR;
        authority.tick(at(now)).unwrap();
        let stage = authority.json()["rotation"].to_string();
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        let bundle = authority.bundle();
        drop(authority);
        authority = open(&folder, Options::default(), now);
        assert_eq!(authority.bundle(), bundle, "hour {hour}");
        assert_eq!(folder.read("root-cert.pem"), *bundle);
        let (chain, bundle) = split(&issue(&authority, None, now).unwrap().chain);
        holders.push((now + DAY, chain, bundle));
        holders.retain(|(end, ..)| *end >= now);
        for (_, chain, _) in &holders {
            for (_, _, bundle) in &holders {
                assert_eq!(believed(chain, bundle, at(now)), Ok(()), "hour {hour}");
            }
        }
    }
    assert_eq!(stages, ["\"announced\"", "\"switched\"", "\"steady\""]);
    assert_ne!(authority.bundle(), first);
    assert_eq!(certificates(&authority.bundle()).len(), 1);
    authority.tick(at(START + 1000 * HOUR)).unwrap();
    assert_eq!(
        authority.json()["rotation"],
        "steady",
        "a request is carried out once"
    );
}

#[test]
fn a_request_that_was_carried_out_before_a_crash_is_void_after_it() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    request_rotation(folder.path()).unwrap();
    let request = folder.read("rotate");
    authority.tick(at(START)).unwrap();
    assert!(!folder.file("rotate").exists());
    drop(authority);
    // The crash came between the announcement and the removal of the request.
    folder.write("rotate", &request);
    let authority = open(&folder, Options::default(), START + 1);
    for day in 0..10 {
        authority.tick(at(START + day * DAY)).unwrap();
    }
    assert_eq!(authority.json()["rotation"], "steady");
    assert!(!folder.file("rotate").exists());
}

#[test]
fn a_request_for_the_new_root_waits_for_the_end_of_the_rotation() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    request_rotation(folder.path()).unwrap();
    authority.tick(at(START)).unwrap();
    authority.tick(at(START + DAY + HOUR)).unwrap();
    assert_eq!(authority.json()["rotation"], "switched");
    let second = authority.json()["roots"][0].clone();
    request_rotation(folder.path()).unwrap();
    authority.tick(at(START + DAY + 2 * HOUR)).unwrap();
    assert!(folder.file("rotate").exists());
    authority.tick(at(START + 2 * DAY + 2 * HOUR)).unwrap();
    assert_eq!(authority.json()["rotation"], "announced");
    assert_eq!(authority.json()["roots"][0], second);
}

#[test]
fn a_shorter_limit_does_not_shorten_the_overlap_that_longer_leaves_need() {
    let folder = Folder::absent();
    let long = Options {
        max_ttl: hours(24 * 30),
        ..Options::default()
    };
    drop(open(&folder, long, START));
    let authority = open(&folder, Options::default(), START);
    request_rotation(folder.path()).unwrap();
    authority.tick(at(START)).unwrap();
    authority.tick(at(START + 29 * DAY)).unwrap();
    assert_eq!(authority.json()["rotation"], "announced");
    authority.tick(at(START + 31 * DAY)).unwrap();
    assert_eq!(authority.json()["rotation"], "switched");
    authority.tick(at(START + 62 * DAY)).unwrap();
    assert_eq!(authority.json()["rotation"], "steady");
    // From now on the shorter one counts.
    request_rotation(folder.path()).unwrap();
    authority.tick(at(START + 62 * DAY)).unwrap();
    authority.tick(at(START + 64 * DAY)).unwrap();
    assert_eq!(authority.json()["rotation"], "switched");
}

#[test]
fn an_old_root_is_replaced_by_itself() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let life = 3650 * DAY;
    authority.tick(at(START + life * 79 / 100)).unwrap();
    assert_eq!(authority.json()["rotation"], "steady");
    authority.tick(at(START + life * 81 / 100)).unwrap();
    assert_eq!(authority.json()["rotation"], "announced");
}

#[test]
fn a_root_that_ended_while_nobody_was_here_is_replaced_before_it_is_used() {
    let folder = Folder::absent();
    let options = Options {
        root_life: hours(100),
        ..Options::default()
    };
    let first = open(&folder, options.clone(), START).bundle();
    let now = START + 200 * HOUR;
    let authority = open(&folder, options, now);
    assert_eq!(authority.json()["rotation"], "switched");
    assert!(authority.bundle().contains(&*first));
    let (chain, bundle) = split(&issue(&authority, None, now).unwrap().chain);
    assert_eq!(believed(&chain, &bundle, at(now)), Ok(()));
}

#[test]
fn a_rotation_cannot_be_asked_for_where_there_is_no_root() {
    let folder = Folder::new();
    let error = request_rotation(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no root of the controller's own"),
        "{error}"
    );
}

#[test]
fn a_step_that_cannot_be_written_is_not_taken() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let bundle = authority.bundle();
    request_rotation(folder.path()).unwrap();
    // A folder in the place of the draft: it can be neither removed as a file nor written.
    fs::create_dir(folder.file(".roots.json.new")).unwrap();
    authority.tick(at(START)).unwrap_err();
    assert_eq!(authority.bundle(), bundle);
    assert_eq!(authority.json()["rotation"], "steady");
    issue(&authority, None, START).unwrap();
    fs::remove_dir(folder.file(".roots.json.new")).unwrap();
    authority.tick(at(START)).unwrap();
    assert_eq!(authority.json()["rotation"], "announced");
}

#[test]
fn a_step_waits_for_whoever_asks_for_a_rotation_at_that_moment() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    request_rotation(folder.path()).unwrap();
    let edit = StateDir::open(folder.path()).unwrap().edit().unwrap();
    let (done, ticked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            authority.tick(at(START)).unwrap();
            done.send(()).unwrap();
        });
        let early = ticked.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err() && folder.file("rotate").exists());
        drop(edit);
        ticked.recv_timeout(Duration::from_secs(20)).unwrap();
    });
    assert!(!folder.file("rotate").exists());
    assert_eq!(authority.json()["rotation"], "announced");
}

#[test]
fn a_root_that_was_never_published_does_not_sign() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let old = authority.bundle();
    request_rotation(folder.path()).unwrap();
    // Something stands in the way of the bundle's draft.
    fs::create_dir(folder.file(".root-cert.pem.new")).unwrap();
    authority.tick(at(START)).unwrap_err();
    assert_eq!(authority.json()["rotation"], "announced");
    authority.tick(at(START + 2 * DAY)).unwrap_err();
    assert_eq!(authority.json()["rotation"], "announced");
    assert_eq!(folder.read("root-cert.pem"), *old);
    // It is published late, and lasts as long as ever from then on.
    fs::remove_dir(folder.file(".root-cert.pem.new")).unwrap();
    authority.tick(at(START + 2 * DAY + 1)).unwrap();
    authority.tick(at(START + 2 * DAY + 2)).unwrap();
    assert_eq!(authority.json()["rotation"], "announced");
    authority.tick(at(START + 3 * DAY + HOUR)).unwrap();
    assert_eq!(authority.json()["rotation"], "switched");
}
