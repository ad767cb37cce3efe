//! What is read from the files, what is refused, and what a leaf looks like.

use std::{path::PathBuf, process::Command, time::Duration};

use mesh::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, RsaKeySize,
};
use rustls_pki_types::CertificateSigningRequestDer;

use super::FileCa;
use crate::{
    CaError, CertificateAuthority as _, FileCaError, Issued, SigningRequest,
    key::KeyRequest,
    testkit::{START, TestCa, at, ca_params, id, uri},
    x509,
};

fn sign(
    ca: &FileCa,
    id: &SpiffeId,
    csr: CertificateSigningRequestDer<'static>,
    ttl: u64,
) -> Result<Issued, CaError> {
    let request = SigningRequest {
        id: id.clone(),
        csr,
        ttl: Duration::from_secs(ttl),
        now: at(START),
    };
    futures_util::FutureExt::now_or_never(ca.issue(request)).unwrap()
}

fn issue(ca: &FileCa, ttl: u64) -> Issued {
    sign(
        ca,
        &id("client"),
        KeyRequest::new(&id("client")).unwrap().csr(),
        ttl,
    )
    .unwrap()
}

fn load(cert: &str, key: &str) -> FileCaError {
    FileCa::from_pem(cert, key, at(START)).unwrap_err()
}

#[test]
fn a_leaf_is_a_short_lived_p256_certificate_with_one_critical_uri_san() {
    let issued = issue(&TestCa::new("root").file_ca(), 3600);
    assert_eq!(issued.chain.len(), 1, "a root is not sent");
    let leaf = x509::parse(&issued.chain[0]).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(san.critical, "the subject is empty");
    assert_eq!(san.value.general_names.len(), 1);
    assert_eq!(
        x509::sole_uri_san(&leaf).unwrap(),
        "spiffe://cluster.local/ns/default/sa/client"
    );
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.any);
    assert!(!leaf.is_ca());
    assert_eq!(x509::wall(leaf.validity().not_before), at(START - 120));
    assert_eq!(x509::wall(leaf.validity().not_after), at(START + 3600));
    assert_eq!(leaf.raw_serial().len(), 16);

    let root = x509::parse(&issued.roots[0]).unwrap();
    let key_id = |oid: &str, c: &x509_parser::certificate::X509Certificate<'_>| {
        let extension = c
            .extensions()
            .iter()
            .find(|e| e.oid.to_id_string() == oid)
            .unwrap();
        extension.value[extension.value.len() - 20..].to_vec()
    };
    assert_eq!(
        key_id("2.5.29.35", &leaf),
        key_id("2.5.29.14", &root),
        "AKI is the issuer's SKI"
    );
}

#[test]
fn serial_numbers_differ() {
    let ca = TestCa::new("root").file_ca();
    let serial = || {
        x509::parse(&issue(&ca, 60).chain[0])
            .unwrap()
            .raw_serial()
            .to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_leaf_never_outlives_the_authority() {
    let mut params = ca_params("short");
    params.not_before = x509::asn1(at(START - 30)).unwrap().to_datetime();
    params.not_after = x509::asn1(at(START + 100)).unwrap().to_datetime();
    let ca = TestCa::with(params, KeyPair::generate().unwrap()).file_ca();
    let issued = issue(&ca, 3600);
    let leaf = x509::parse(&issued.chain[0]).unwrap();
    assert_eq!(x509::wall(leaf.validity().not_before), at(START - 30));
    assert_eq!(x509::wall(leaf.validity().not_after), at(START + 100));

    let csr = KeyRequest::new(&id("client")).unwrap().csr();
    let late = SigningRequest {
        id: id("client"),
        csr,
        ttl: Duration::from_secs(60),
        now: at(START + 100),
    };
    let error = futures_util::FutureExt::now_or_never(ca.issue(late))
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, CaError::Lifetime { .. }), "{error:?}");
}

#[test]
fn an_intermediate_signs_and_is_sent_and_the_root_is_believed() {
    let root = TestCa::new("root");
    let middle = root.intermediate(ca_params("middle"));
    let pem = middle.cert_pem() + &root.cert_pem();
    let ca = FileCa::from_pem(&pem, &middle.key_pem(), at(START)).unwrap();
    let issued = issue(&ca, 60);
    assert_eq!(issued.chain[1..], [middle.root()]);
    assert_eq!(issued.roots, [root.root()]);
}

#[test]
fn a_bundle_may_hold_a_second_root_even_an_old_one() {
    let (new, mut old) = (TestCa::new("new"), ca_params("old"));
    old.not_after = x509::asn1(at(START - 1)).unwrap().to_datetime();
    let old = TestCa::with(old, KeyPair::generate().unwrap());
    let pem = new.cert_pem() + &old.cert_pem();
    let issued = issue(
        &FileCa::from_pem(&pem, &new.key_pem(), at(START)).unwrap(),
        60,
    );
    assert_eq!(issued.roots, [new.root(), old.root()]);
    assert_eq!(issued.chain.len(), 1);
}

#[test]
fn keys_of_all_usual_kinds_sign() {
    for key in [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
    ] {
        let algorithm = format!("{:?}", key.algorithm());
        let ca = TestCa::with(ca_params("root"), key);
        let loaded = FileCa::from_pem(&ca.cert_pem(), &ca.key_pem(), at(START));
        assert!(loaded.is_ok(), "{algorithm}: {:?}", loaded.err());
    }
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_the_variable() {
    let (ca, other) = (TestCa::new("root"), TestCa::new("other"));
    let (cert, key) = (ca.cert_pem(), ca.key_pem());

    assert_eq!(
        load("", &key).to_string(),
        "FILE_CA_CERT: holds no certificate, expected the one that signs first"
    );
    assert!(matches!(load(&key, &key), FileCaError::Empty { .. }));
    assert_eq!(
        load(&cert, &cert).to_string(),
        "FILE_CA_KEY: no PEM block of the kind PRIVATE KEY can be read"
    );
    assert_eq!(
        load(&cert, &other.key_pem()).to_string(),
        "FILE_CA_KEY: does not belong to the first certificate of FILE_CA_CERT, expected the key that it was made for"
    );
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        load(&(cert + garbled), &key),
        FileCaError::Certificate { position: 1, .. }
    ));
}

#[test]
fn a_certificate_that_may_not_sign_is_refused() {
    let refuse = |change: fn(&mut CertificateParams)| {
        let mut params = ca_params("root");
        change(&mut params);
        let ca = TestCa::with(params, KeyPair::generate().unwrap());
        load(&ca.cert_pem(), &ca.key_pem())
    };
    assert_eq!(
        refuse(|p| p.is_ca = IsCa::NoCa).to_string(),
        "FILE_CA_CERT: \"O=Ambit, CN=root\" is not a certificate authority, expected basicConstraints with CA:TRUE"
    );
    assert_eq!(
        refuse(|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]).to_string(),
        "FILE_CA_CERT: \"O=Ambit, CN=root\" is not a certificate authority, expected keyUsage with keyCertSign"
    );
    let expired = refuse(|p| p.not_after = x509::asn1(at(START - 5)).unwrap().to_datetime());
    assert_eq!(
        expired.to_string(),
        "FILE_CA_CERT: \"O=Ambit, CN=root\" is valid from 2026-11-21T05:00:00Z to 2026-11-22T04:59:55Z, \
         expected it to cover now, 2026-11-22T05:00:00Z"
    );
    assert!(matches!(
        refuse(|p| p.not_before = x509::asn1(at(START + 5)).unwrap().to_datetime()),
        FileCaError::Lifetime { .. }
    ));
}

#[test]
fn a_chain_that_does_not_fit_is_found_at_load() {
    let (root, other) = (TestCa::new("root"), TestCa::new("other"));
    let middle = root.intermediate(ca_params("middle"));
    let pem = middle.cert_pem() + &other.cert_pem();
    assert!(matches!(
        load(&pem, &middle.key_pem()),
        FileCaError::Chain { .. }
    ));
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let error = FileCa::load(&missing, &missing, at(START)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "FILE_CA_CERT (/nonexistent/ca.pem): cannot be read, expected a PEM file"
    );
}

#[test]
fn a_request_for_another_name_is_refused() {
    let ca = TestCa::new("root").file_ca();
    let error = sign(
        &ca,
        &id("client"),
        KeyRequest::new(&id("other")).unwrap().csr(),
        60,
    )
    .unwrap_err();
    assert!(
        matches!(&error, CaError::Name { found, .. } if found.contains("sa/other")),
        "{error:?}"
    );
}

#[test]
fn a_request_with_more_than_the_name_is_refused() {
    let (ca, key) = (TestCa::new("root").file_ca(), KeyPair::generate().unwrap());
    let csr = |change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&id("client").to_string())];
        change(&mut params);
        params.serialize_request(&key).unwrap().into()
    };
    assert!(sign(&ca, &id("client"), csr(|_| {}), 60).is_ok());
    for extra in [
        csr(|p| {
            p.subject_alt_names
                .push(uri("spiffe://cluster.local/ns/default/sa/other"));
        }),
        csr(|p| p.subject_alt_names.clear()),
        csr(|p| p.distinguished_name.push(DnType::CommonName, "admin")),
    ] {
        assert!(matches!(
            sign(&ca, &id("client"), extra, 60),
            Err(CaError::Name { .. })
        ));
    }
}

#[test]
fn what_a_request_asks_for_beyond_the_name_is_not_granted() {
    let (ca, key) = (TestCa::new("root").file_ca(), KeyPair::generate().unwrap());
    let mut params = ca_params("client");
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(&id("client").to_string())];
    let issued = sign(
        &ca,
        &id("client"),
        params.serialize_request(&key).unwrap().into(),
        60,
    )
    .unwrap();
    let leaf = x509::parse(&issued.chain[0]).unwrap();
    assert!(!leaf.is_ca() && !leaf.key_usage().unwrap().unwrap().value.key_cert_sign());
}

#[test]
fn a_request_with_a_broken_signature_is_refused() {
    let ca = TestCa::new("root").file_ca();
    let mut csr = KeyRequest::new(&id("client")).unwrap().csr().to_vec();
    let last = csr.len() - 1;
    csr[last] ^= 1;
    assert!(matches!(
        sign(&ca, &id("client"), csr.into(), 60),
        Err(CaError::Request(_))
    ));
    assert!(matches!(
        sign(&ca, &id("client"), vec![0x30, 0].into(), 60),
        Err(CaError::Request(_))
    ));
}

#[test]
fn a_request_with_another_kind_of_key_is_refused() {
    let ca = TestCa::new("root").file_ca();
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&id("client").to_string())];
        let csr = params
            .serialize_request(&KeyPair::generate_for(algorithm).unwrap())
            .unwrap()
            .into();
        assert!(matches!(
            sign(&ca, &id("client"), csr, 60),
            Err(CaError::KeyKind)
        ));
    }
}

/// What only another implementation can say.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped check must be seen")]
fn openssl_reads_its_keys_and_believes_its_chains() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: no openssl on this machine");
        return;
    }
    let folder = std::env::temp_dir().join(format!("ambit-file-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "openssl {arguments:?}: {text}");
        text
    };
    let kinds: [&[&str]; 3] = [
        &["ecparam", "-name", "prime256v1", "-genkey", "-out"], // SEC 1, with a block of parameters before it
        &["genrsa", "-traditional", "-out"],                    // PKCS #1
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
            "-out",
        ], // PKCS #8
    ];
    for kind in kinds {
        let (key, cert, leaf) = (file("key.pem"), file("cert.pem"), file("leaf.pem"));
        openssl(&[kind, &[key.as_str()]].concat());
        openssl(&[
            "req",
            "-x509",
            "-new",
            "-key",
            &key,
            "-out",
            &cert,
            "-days",
            "30",
            "-subj",
            "/O=Ambit/OU=mesh/CN=root",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
        // Read after the certificate was made: it starts at that second.
        let now = net::clock::wall();
        let ca = FileCa::load(cert.as_ref(), key.as_ref(), now).unwrap();
        let csr = KeyRequest::new(&id("client")).unwrap().csr();
        let request = SigningRequest {
            id: id("client"),
            csr,
            ttl: Duration::from_secs(3600),
            now,
        };
        std::fs::write(file("csr.pem"), request.csr_pem()).unwrap();
        openssl(&["req", "-in", &file("csr.pem"), "-noout", "-verify"]);
        let issued = futures_util::FutureExt::now_or_never(ca.issue(request))
            .unwrap()
            .unwrap();
        std::fs::write(&leaf, crate::pem::encode("CERTIFICATE", &issued.chain[0])).unwrap();
        for purpose in ["sslserver", "sslclient"] {
            openssl(&[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &cert,
                &leaf,
            ]);
        }
        let text = openssl(&["x509", "-in", &leaf, "-noout", "-text"]);
        for expected in [
            "X509v3 Subject Alternative Name: critical",
            "URI:spiffe://cluster.local/ns/default/sa/client",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
    // The second OU would be lost on the way into a leaf's issuer.
    let (key, cert) = (file("key.pem"), file("cert.pem"));
    openssl(&[
        "req",
        "-x509",
        "-new",
        "-key",
        &key,
        "-out",
        &cert,
        "-subj",
        "/OU=one/OU=two/CN=root",
    ]);
    let error = FileCa::load(cert.as_ref(), key.as_ref(), net::clock::wall()).unwrap_err();
    assert!(matches!(error, FileCaError::Subject { .. }), "{error:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}
