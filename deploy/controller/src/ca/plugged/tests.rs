//! An authority from elsewhere: what is accepted, what a change does, what a bad change does not do.

use std::{fs, os::unix::fs::symlink};

use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose};

use crate::ca::{
    Authority, AuthorityError, CertificateRequest, Options, PluggedError, SignerError,
    testkit::{
        Ca, DAY, Folder, HOUR, START, at, believed, cacerts, certificates, csr, hours, id, openssl,
        split,
    },
};

fn options(plugged: &Folder) -> Options {
    Options {
        cacerts: Some(plugged.path().to_owned()),
        ..Options::default()
    }
}

fn issue(authority: &Authority, now: u64) -> Vec<String> {
    let request = CertificateRequest::from_pem(&csr(&[])).unwrap();
    let issued = authority.issue(&id("client"), &request, Some(hours(24)), at(now));
    issued.unwrap().chain
}

/// Why a folder is refused.
fn refused(plugged: &Folder, now: u64) -> PluggedError {
    let folder = Folder::absent();
    match Authority::load_or_create(folder.path(), options(plugged), at(now)) {
        Err(AuthorityError::Plugged(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn cannot_sign(plugged: &Folder, now: u64) -> SignerError {
    match refused(plugged, now) {
        PluggedError::Signer { source, .. } => source,
        other @ (PluggedError::State(_)
        | PluggedError::Missing { .. }
        | PluggedError::Pem { .. }
        | PluggedError::Key { .. }
        | PluggedError::Crl { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_is_the_leaf_each_issuer_and_last_all_roots() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let (root, second) = (Ca::root("root"), Ca::root("second"));
    let upper = root.below("upper");
    let lower = upper.below("lower");
    // Istio's own tool writes the root into the chain too.
    let chain = format!("{}{}{}", lower.pem, upper.pem, root.pem);
    let roots = format!("{}{}", root.pem, second.pem);
    cacerts(&plugged, &lower, &chain, &roots);
    let authority = Authority::load_or_create(folder.path(), options(&plugged), at(START)).unwrap();
    let answer = issue(&authority, START);
    assert_eq!(answer.len(), 4);
    assert_eq!(certificates(&answer[1]), certificates(&lower.pem));
    assert_eq!(certificates(&answer[2]), certificates(&upper.pem));
    assert_eq!(certificates(&answer[3]), certificates(&roots));
    assert_eq!(
        certificates(&folder.read("root-cert.pem")),
        certificates(&roots)
    );
    assert!(!folder.file("roots.json").exists());
    let (chain, bundle) = split(&answer);
    assert_eq!(believed(&chain, &bundle, at(START)), Ok(()));
    assert_eq!(authority.json()["mode"], "cacerts");

    folder.write("leaf.pem", &answer[0]);
    folder.write("middle.pem", &(answer[1].clone() + &answer[2]));
    let file = |name| folder.file(name).display().to_string();
    openssl(&[
        "verify",
        "-attime",
        &START.to_string(),
        "-CAfile",
        &file("root-cert.pem"),
        "-untrusted",
        &file("middle.pem"),
        &file("leaf.pem"),
    ]);
}

#[test]
fn a_folder_in_the_state_folder_needs_no_option() {
    let folder = Folder::new();
    fs::create_dir(folder.file("cacerts")).unwrap();
    let root = Ca::root("root");
    for (name, text) in [
        ("ca-cert", &root.pem),
        ("ca-key", &root.key),
        ("cert-chain", &root.pem),
        ("root-cert", &root.pem),
    ] {
        folder.write(&format!("cacerts/{name}.pem"), text);
    }
    let authority =
        Authority::load_or_create(folder.path(), Options::default(), at(START)).unwrap();
    assert_eq!(
        issue(&authority, START).len(),
        2,
        "a root that signs is not sent"
    );
    assert_eq!(certificates(&authority.bundle()), certificates(&root.pem));
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let plugged = Folder::new();
    let (root, other) = (Ca::root("root"), Ca::root("other"));
    let middle = root.below("middle");
    let write = || cacerts(&plugged, &middle, &middle.pem, &root.pem);

    write();
    fs::remove_file(plugged.file("ca-key.pem")).unwrap();
    assert!(matches!(
        refused(&plugged, START),
        PluggedError::Missing { .. }
    ));
    write();
    plugged.write("ca-key.pem", &other.key);
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::ForeignKey
    ));
    write();
    plugged.write("ca-key.pem", &middle.pem);
    assert!(matches!(refused(&plugged, START), PluggedError::Pem { .. }));
    write();
    plugged.write("root-cert.pem", &other.pem);
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::Chain(_)
    ));
    write();
    plugged.write("root-cert.pem", "");
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::Count {
            of: "the roots",
            found: 0,
            ..
        }
    ));
    write();
    assert!(matches!(
        cannot_sign(&plugged, START + 51 * DAY),
        SignerError::Lifetime { .. }
    ));
    assert!(matches!(
        cannot_sign(&plugged, START - 2 * DAY),
        SignerError::Lifetime { .. }
    ));
    plugged.write("cert-chain.pem", &middle.pem.repeat(3));
    Authority::load_or_create(Folder::absent().path(), options(&plugged), at(START)).unwrap();

    // A leaf that somebody took for an authority.
    let mut params = Ca::params("leaf", START - DAY, START + DAY);
    params.is_ca = IsCa::NoCa;
    let leaf = Ca::signed(params, Some(&root));
    cacerts(&plugged, &leaf, &leaf.pem, &root.pem);
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::NotAuthority { position: 0, .. }
    ));
    // One that may sign lists only.
    let mut params = Ca::params("lists", START - DAY, START + DAY);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let lists = Ca::signed(params, Some(&root));
    cacerts(&plugged, &lists, &lists.pem, &root.pem);
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::NotAuthority { position: 0, .. }
    ));
    // One below an authority that allows none below it.
    let mut params = Ca::params("last", START - DAY, START + DAY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let last = Ca::signed(params, Some(&root));
    let below = last.below("below");
    cacerts(
        &plugged,
        &below,
        &(below.pem.clone() + &last.pem),
        &root.pem,
    );
    assert!(matches!(
        cannot_sign(&plugged, START),
        SignerError::Chain(_)
    ));
}

#[test]
fn a_leaf_ends_with_the_first_certificate_of_its_chain() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let root = Ca::root("root");
    let upper = Ca::signed(
        Ca::params("upper", START - DAY, START + 5 * HOUR),
        Some(&root),
    );
    let lower = upper.below("lower");
    cacerts(
        &plugged,
        &lower,
        &(lower.pem.clone() + &upper.pem),
        &root.pem,
    );
    let authority = Authority::load_or_create(folder.path(), options(&plugged), at(START)).unwrap();
    let request = CertificateRequest::from_pem(&csr(&[])).unwrap();
    let issued = authority
        .issue(&id("client"), &request, None, at(START))
        .unwrap();
    assert_eq!(issued.not_after, at(START + 5 * HOUR));
}

#[test]
fn a_change_is_used_whole_and_a_bad_one_is_not_used() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let (old, new) = (Ca::root("old"), Ca::root("new"));
    cacerts(&plugged, &old, &old.pem, &old.pem);
    let authority = Authority::load_or_create(folder.path(), options(&plugged), at(START)).unwrap();
    let bundle = authority.bundle();

    // Files are replaced one after the other: in between nothing fits, and nothing happens.
    plugged.write("ca-cert.pem", &new.pem);
    authority.tick(at(START + 1)).unwrap();
    plugged.write("ca-key.pem", &new.key);
    authority.tick(at(START + 2)).unwrap();
    assert_eq!(authority.bundle(), bundle);
    assert_eq!(
        believed(
            &split(&issue(&authority, START + 2)).0,
            &old.pem,
            at(START + 2)
        ),
        Ok(())
    );
    // What stays bad is reported, and the last good one signs on.
    let error = authority.tick(at(START + 3)).unwrap_err();
    assert!(
        matches!(error, AuthorityError::Plugged(PluggedError::Signer { .. })),
        "{error:?}"
    );
    issue(&authority, START + 3);
    plugged.write("cert-chain.pem", &new.pem);
    plugged.write("root-cert.pem", &(new.pem.clone() + &old.pem));
    authority.tick(at(START + 4)).unwrap();
    authority.tick(at(START + 4)).unwrap();
    let (chain, bundle) = split(&issue(&authority, START + 4));
    assert_eq!(believed(&chain, &new.pem, at(START + 4)), Ok(()));
    assert_eq!(certificates(&bundle).len(), 2);
    assert_eq!(
        certificates(&folder.read("root-cert.pem")),
        certificates(&bundle)
    );
    // A folder that is gone for a moment.
    fs::rename(plugged.path(), plugged.path().with_extension("gone")).unwrap();
    authority.tick(at(START + 5)).unwrap_err();
    issue(&authority, START + 5);
    fs::rename(plugged.path().with_extension("gone"), plugged.path()).unwrap();
    authority.tick(at(START + 6)).unwrap();
}

#[test]
fn a_mounted_secret_is_followed_when_its_symlink_is_swapped() {
    let (folder, mount) = (Folder::absent(), Folder::new());
    let (old, new) = (Ca::root("old"), Ca::root("new"));
    let names = [
        "ca-cert.pem",
        "ca-key.pem",
        "cert-chain.pem",
        "root-cert.pem",
    ];
    for (generation, ca) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(mount.file(generation)).unwrap();
        for (name, text) in names.iter().zip([&ca.pem, &ca.key, &ca.pem, &ca.pem]) {
            mount.write(&format!("{generation}/{name}"), text);
        }
    }
    symlink("..1", mount.file("..data")).unwrap();
    for name in names {
        symlink(format!("..data/{name}"), mount.file(name)).unwrap();
    }
    let authority = Authority::load_or_create(folder.path(), options(&mount), at(START)).unwrap();
    assert_eq!(certificates(&authority.bundle()), certificates(&old.pem));
    symlink("..2", mount.file("..next")).unwrap();
    fs::rename(mount.file("..next"), mount.file("..data")).unwrap();
    authority.tick(at(START + 1)).unwrap();
    authority.tick(at(START + 2)).unwrap();
    assert_eq!(certificates(&authority.bundle()), certificates(&new.pem));
}

#[test]
fn a_key_of_another_kind_signs_too() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let pem = Ca::params("p384", START - DAY, START + DAY)
        .self_signed(&key)
        .unwrap()
        .pem();
    let root = Ca {
        pem,
        key: key.serialize_pem(),
    };
    cacerts(&plugged, &root, &root.pem, &root.pem);
    let authority = Authority::load_or_create(folder.path(), options(&plugged), at(START)).unwrap();
    let (chain, bundle) = split(&issue(&authority, START));
    assert_eq!(believed(&chain, &bundle, at(START)), Ok(()));
}

#[test]
fn half_a_bundle_that_is_good_in_itself_is_not_used() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let (first, second) = (Ca::root("first"), Ca::root("second"));
    let both = format!("{}{}", first.pem, second.pem);
    cacerts(&plugged, &first, &first.pem, &both);
    let authority = Authority::load_or_create(folder.path(), options(&plugged), at(START)).unwrap();
    // The writer has come as far as the first block at one look, is back at the next, and so on.
    for round in 0..3 {
        plugged.write("root-cert.pem", &first.pem);
        authority.tick(at(START + round)).unwrap();
        assert_eq!(certificates(&authority.bundle()).len(), 2);
        plugged.write("root-cert.pem", &both);
        authority.tick(at(START + round)).unwrap();
    }
    // Somebody who means it.
    plugged.write("root-cert.pem", &first.pem);
    authority.tick(at(START + 4)).unwrap();
    authority.tick(at(START + 5)).unwrap();
    assert_eq!(certificates(&authority.bundle()).len(), 1);
}
