//! Lists of our own and from elsewhere, as peers and openssl see them.

use std::sync::Arc;

use identity::{asn1, tls};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::{CertificateError, RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateRevocationListDer, UnixTime, pem::PemObject as _};
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

use super::{LIST_LIFE, RevokeError, revoke_at};
use crate::ca::{
    Authority, AuthorityError, CertificateRequest, CrlError, Issued, Options, PluggedError,
    request_rotation,
    testkit::{
        Ca, DAY, Folder, HOUR, START, at, cacerts, certificates, csr, hours, id, open, openssl,
        split,
    },
};

fn issue(authority: &Authority, now: u64) -> Issued {
    let request = CertificateRequest::from_pem(&csr(&[])).unwrap();
    authority
        .issue(&id("client"), &request, Some(hours(24)), at(now))
        .unwrap()
}

fn lists(pem: &str) -> Vec<CertificateRevocationListDer<'static>> {
    CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

fn numbers(pem: &str) -> Vec<u64> {
    let lists = lists(pem);
    let number = |der: &CertificateRevocationListDer<'_>| {
        let (_, list) = CertificateRevocationList::from_der(der).unwrap();
        u64::try_from(list.crl_number().unwrap()).unwrap()
    };
    lists.iter().map(number).collect()
}

/// Whether a peer that reads the published lists believes a certificate.
fn believed(issued: &Issued, bundle: &str, list: &str, now: u64) -> Result<(), rustls::Error> {
    let (chain, _) = split(&issued.chain);
    let mut roots = RootCertStore::empty();
    for root in certificates(bundle) {
        roots.add(root).unwrap();
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .with_crls(lists(list))
        .enforce_revocation_expiration()
        .build()
        .unwrap()
        .verify_client_cert(
            &chain[0],
            &chain[1..],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(now)),
        )
        .map(|_| ())
}

const REVOKED: Result<(), rustls::Error> =
    Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));

#[test]
fn a_revoked_certificate_is_refused_by_peers_and_others_are_not() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let (good, bad) = (issue(&authority, START), issue(&authority, START));
    assert!(!folder.file("ca-crl.pem").exists(), "nothing is revoked");
    revoke_at(folder.path(), &bad.serial.to_uppercase(), at(START)).unwrap();
    authority.tick(at(START + 1)).unwrap();
    let list = folder.read("ca-crl.pem");
    let bundle = authority.bundle();
    assert_eq!(believed(&bad, &bundle, &list, START + 2), REVOKED);
    assert_eq!(believed(&good, &bundle, &list, START + 2), Ok(()));

    let file = |name| folder.file(name).display().to_string();
    let checked = openssl(&[
        "crl",
        "-in",
        &file("ca-crl.pem"),
        "-CAfile",
        &file("root-cert.pem"),
        "-noout",
        "-text",
    ]);
    if let Some(text) = checked {
        assert!(text.contains("verify OK"), "{text}");
        let serial = bad.serial.to_uppercase();
        assert!(text.contains(&format!("Serial Number: {serial}")), "{text}");
        folder.write("good.pem", &good.chain[0]);
        openssl(&[
            "verify",
            "-crl_check",
            "-attime",
            &(START + 2).to_string(),
            "-CAfile",
            &file("root-cert.pem"),
            "-CRLfile",
            &file("ca-crl.pem"),
            &file("good.pem"),
        ]);
    }
}

#[test]
fn a_list_is_signed_anew_before_it_ends_with_a_higher_number_and_after_a_restart() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    revoke_at(folder.path(), "01", at(START)).unwrap();
    authority.tick(at(START)).unwrap();
    let first = folder.read("ca-crl.pem");
    let half = LIST_LIFE.as_secs() / 2;
    authority.tick(at(START + half - 1)).unwrap();
    assert_eq!(folder.read("ca-crl.pem"), first);
    authority.tick(at(START + half)).unwrap();
    let second = folder.read("ca-crl.pem");
    assert!(numbers(&second) > numbers(&first));
    // A clock that was set back: the number grows all the same.
    authority.tick(at(START + half - DAY)).unwrap();
    let third = folder.read("ca-crl.pem");
    assert!(numbers(&third) > numbers(&second));
    drop(authority);
    drop(open(
        &folder,
        Options::default(),
        START + 2 * LIST_LIFE.as_secs(),
    ));
    assert!(numbers(&folder.read("ca-crl.pem")) > numbers(&third));
}

#[test]
fn during_a_rotation_there_is_a_list_of_each_root_and_both_count() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    request_rotation(folder.path()).unwrap();
    authority.tick(at(START)).unwrap();
    let now = START + 23 * HOUR;
    let (old_good, old_bad) = (issue(&authority, now), issue(&authority, now));
    let now = START + 25 * HOUR;
    authority.tick(at(now)).unwrap();
    assert_eq!(authority.json()["rotation"], "switched");
    let (new_good, new_bad) = (issue(&authority, now), issue(&authority, now));
    revoke_at(folder.path(), &old_bad.serial, at(now)).unwrap();
    revoke_at(folder.path(), &new_bad.serial, at(now)).unwrap();
    authority.tick(at(now)).unwrap();
    let (list, bundle) = (folder.read("ca-crl.pem"), authority.bundle());
    assert_eq!(lists(&list).len(), 2);
    for (issued, expected) in [
        (old_good, Ok(())),
        (old_bad, REVOKED),
        (new_good, Ok(())),
        (new_bad, REVOKED),
    ] {
        assert_eq!(believed(&issued, &bundle, &list, now), expected);
    }
    authority.tick(at(START + 60 * HOUR)).unwrap();
    assert_eq!(lists(&folder.read("ca-crl.pem")).len(), 1);
}

#[test]
fn a_serial_number_is_taken_in_every_usual_form_and_once() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let issued = issue(&authority, START);
    let pairs: Vec<_> = issued
        .serial
        .as_bytes()
        .chunks(2)
        .map(|p| std::str::from_utf8(p).unwrap())
        .collect();
    for form in [
        issued.serial.clone(),
        pairs.join(":"),
        format!(" 00{}\n", issued.serial),
    ] {
        revoke_at(folder.path(), &form, at(START)).unwrap();
    }
    assert_eq!(folder.read("revoked").lines().count(), 1);
    for form in ["", "xyz", "0", "00", &"11".repeat(21), "--help"] {
        let error = revoke_at(folder.path(), form, at(START)).unwrap_err();
        assert!(
            matches!(error, RevokeError::Serial { .. }),
            "{form}: {error:?}"
        );
    }
}

#[test]
fn a_line_that_cannot_be_read_does_not_hide_the_others() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let issued = issue(&authority, START);
    folder.write(
        "revoked",
        &format!(
            "what\n\n01\nzz 2027-01-01T00:00:00Z\n{} 2027-01-01T00:00:00Z\n",
            issued.serial
        ),
    );
    authority.tick(at(START)).unwrap();
    let list = folder.read("ca-crl.pem");
    assert_eq!(
        believed(&issued, &authority.bundle(), &list, START),
        REVOKED
    );
    // What is taken back is taken back.
    folder.write("revoked", "");
    authority.tick(at(START + 1)).unwrap();
    assert!(!folder.file("ca-crl.pem").exists());
}

#[test]
fn nothing_is_revoked_where_the_root_is_somebody_elses() {
    let folder = Folder::new();
    let error = revoke_at(folder.path(), "01", at(START)).unwrap_err();
    assert!(matches!(error, RevokeError::NoRoot), "{error:?}");
}

fn list_of(ca: &Ca, serial: u64) -> String {
    let date = |time| asn1(at(time)).unwrap().to_datetime();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date(START),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date(START),
        next_update: date(START + DAY),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer()).unwrap().pem().unwrap()
}

#[test]
fn an_operators_lists_are_passed_on_when_the_chain_or_a_root_has_signed_them() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let (root, stranger) = (Ca::root("root"), Ca::root("stranger"));
    let middle = root.below("middle");
    // Named like the root, signed by nobody that is believed.
    let impostor = Ca::root("root");
    cacerts(&plugged, &middle, &middle.pem, &root.pem);
    plugged.write(
        "ca-crl.pem",
        &format!("a remark\n{}{}", list_of(&root, 7), list_of(&middle, 8)),
    );
    let options = Options {
        cacerts: Some(plugged.path().to_owned()),
        ..Options::default()
    };
    let authority = Authority::load_or_create(folder.path(), options, at(START)).unwrap();
    let published = folder.read("ca-crl.pem");
    assert_eq!(lists(&published), lists(&plugged.read("ca-crl.pem")));
    assert!(!published.contains("remark"));

    for bad in [
        list_of(&stranger, 1),
        list_of(&impostor, 1),
        String::new(),
        list_of(&root, 9) + &list_of(&stranger, 1),
    ] {
        plugged.write("ca-crl.pem", &bad);
        authority.tick(at(START + 1)).unwrap();
        let error = authority.tick(at(START + 2)).unwrap_err();
        let AuthorityError::Plugged(PluggedError::Crl { source, .. }) = error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(
                source,
                CrlError::Foreign { .. } | CrlError::Count { found: 0 }
            ),
            "{source:?}"
        );
        assert_eq!(
            folder.read("ca-crl.pem"),
            published,
            "the last good one stays"
        );
    }
    // One past its next update is better than none.
    let old = list_of(&root, 10);
    plugged.write("ca-crl.pem", &old);
    authority.tick(at(START + 2 * DAY)).unwrap();
    authority.tick(at(START + 2 * DAY)).unwrap();
    assert_eq!(lists(&folder.read("ca-crl.pem")), lists(&old));
    std::fs::remove_file(plugged.file("ca-crl.pem")).unwrap();
    authority.tick(at(START + 2 * DAY)).unwrap();
    authority.tick(at(START + 2 * DAY)).unwrap();
    assert!(!folder.file("ca-crl.pem").exists());
}

#[test]
fn a_certificate_that_may_not_sign_lists_has_signed_none() {
    let (folder, plugged) = (Folder::absent(), Folder::new());
    let root = Ca::root("root");
    let mut params = Ca::params("middle", START - DAY, START + DAY);
    let middle = Ca::signed(params.clone(), Some(&root));
    let list = list_of(&middle, 1);
    // The same name and key, without cRLSign.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = rcgen::KeyPair::from_pem(&middle.key).unwrap();
    let pem = params.signed_by(&key, &root.issuer()).unwrap().pem();
    let middle = Ca {
        pem,
        key: middle.key,
    };
    cacerts(&plugged, &middle, &middle.pem, &root.pem);
    plugged.write("ca-crl.pem", &list);
    let options = Options {
        cacerts: Some(plugged.path().to_owned()),
        ..Options::default()
    };
    let error = Authority::load_or_create(folder.path(), options, at(START)).unwrap_err();
    let AuthorityError::Plugged(PluggedError::Crl { source, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(source, CrlError::Foreign { position: 0 }),
        "{source:?}"
    );
}

#[test]
fn a_date_that_no_certificate_can_hold_costs_only_its_line() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let issued = issue(&authority, START);
    let bad = "02 1960-01-01T00:00:00Z\n03 -000001-01-01T00:00:00Z\n";
    folder.write("revoked", bad);
    revoke_at(folder.path(), &issued.serial, at(START)).unwrap();
    authority.tick(at(START)).unwrap();
    let list = folder.read("ca-crl.pem");
    assert_eq!(
        believed(&issued, &authority.bundle(), &list, START),
        REVOKED
    );
    assert!(
        folder.read("revoked").starts_with(bad),
        "what cannot be read is left for its author to mend"
    );
}

#[test]
fn a_full_file_makes_room_by_certificates_that_have_ended_and_by_no_others() {
    let folder = Folder::absent();
    let authority = open(&folder, Options::default(), START);
    let lines = |from: u64, to: u64, date: &str| -> String {
        (from..to)
            .map(|i| format!("{:08x} {date}\n", 0x1000_0000 + i))
            .collect()
    };
    // START is 2027-01-15T08:00:00Z.
    let full = lines(0, 10_000, "2027-01-14T08:00:00Z");
    folder.write("revoked", &full);
    let error = revoke_at(folder.path(), "01", at(START)).unwrap_err();
    assert!(matches!(error, RevokeError::TooMany), "{error:?}");
    assert_eq!(folder.read("revoked"), full);
    // Dates to come are somebody's wrong clock, not the end of a certificate.
    folder.write(
        "revoked",
        &(lines(0, 9_999, "2027-01-10T08:00:00Z") + &lines(9_999, 10_000, "2030-01-01T00:00:00Z")),
    );
    revoke_at(folder.path(), "01", at(START)).unwrap();
    let left = folder.read("revoked");
    assert_eq!(left.lines().count(), 2, "{left}");
    assert!(left.contains(" 2030-") && left.contains("\n01 2027-01-15"));
    authority.tick(at(START)).unwrap();
}
