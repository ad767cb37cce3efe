//! What a request proves, and every way to make it say more.

use identity::pem;
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    IsCa, KeyPair, RsaKeySize, SanType,
};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};

use super::{CertificateRequest, MAX_REQUEST_BYTES, RequestError};
use crate::ca::testkit::{Folder, csr, csr_with, id, openssl, uri};

const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/client";
const OTHER: &str = "spiffe://cluster.local/ns/default/sa/other";

/// What comes of a request by somebody who may be `client`.
fn ask(pem: &str) -> Result<(), RequestError> {
    CertificateRequest::from_pem(pem)?
        .key_for(&id("client"))
        .map(|_| ())
}

fn named(found: &str) -> Result<(), RequestError> {
    Err(RequestError::Name {
        expected: id("client"),
        found: found.to_owned(),
    })
}

fn malformed(problem: &'static str) -> Result<(), RequestError> {
    Err(RequestError::Malformed { problem })
}

#[test]
fn a_request_names_the_identity_or_nobody() {
    assert_eq!(ask(&csr(&[CLIENT])), Ok(()));
    assert_eq!(ask(&csr(&[])), Ok(()));
}

#[test]
fn a_request_for_somebody_else_is_refused() {
    assert_eq!(ask(&csr(&[OTHER])), named(OTHER));
    assert_eq!(
        ask(&csr(&[CLIENT, OTHER])),
        named(&format!("{CLIENT}, {OTHER}"))
    );
    assert_eq!(
        ask(&csr(&[CLIENT, CLIENT])),
        named(&format!("{CLIENT}, {CLIENT}"))
    );
    let foreign = CLIENT.replace("cluster.local", "elsewhere");
    assert_eq!(ask(&csr(&[&foreign])), named(&foreign));
    let dns = vec![
        uri(CLIENT),
        SanType::DnsName("istiod.istio-system.svc".try_into().unwrap()),
    ];
    let pem = csr_with(dns, &KeyPair::generate().unwrap());
    assert_eq!(ask(&pem), named(&format!("{CLIENT}, (no URI)")));
}

/// An extension request with one subjectAltName, DER.
fn extension_request(uri: &str) -> Vec<u8> {
    let wrap = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag];
        match u8::try_from(inner.len()).unwrap() {
            short @ 0..=127 => out.push(short),
            long => out.extend([0x81, long]),
        }
        out.extend(inner);
        out
    };
    let names = wrap(0x30, &wrap(0x86, uri.as_bytes()));
    let extension = [wrap(0x06, &[0x55, 0x1d, 0x11]), wrap(0x04, &names)].concat();
    wrap(0x31, &wrap(0x30, &wrap(0x30, &extension)))
}

#[test]
fn a_second_name_in_a_second_extension_request_is_found() {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(CLIENT)];
    let key = KeyPair::generate().unwrap();
    let second = Attribute {
        oid: &[1, 2, 840, 113_549, 1, 9, 14],
        values: extension_request(OTHER),
    };
    let request = params
        .serialize_request_with_attributes(&key, vec![second])
        .unwrap();
    // Attributes are a set: their order is that of their bytes.
    let names = named(&format!("{OTHER}, {CLIENT}"));
    assert_eq!(ask(&request.pem().unwrap()), names);
}

#[test]
fn a_name_that_cannot_be_read_is_no_missing_name() {
    let mut params = CertificateParams::default();
    let junk = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x05, 0x86]);
    params.custom_extensions = vec![junk];
    let request = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    let result = ask(&request.pem().unwrap());
    assert!(
        matches!(result, Err(RequestError::Malformed { .. })),
        "{result:?}"
    );
}

#[test]
fn what_else_a_request_wishes_for_is_not_looked_at() {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "admin");
    params.subject_alt_names = vec![uri(CLIENT)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0])];
    let request = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    assert_eq!(ask(&request.pem().unwrap()), Ok(()));
}

#[test]
fn keys_of_all_usual_kinds_are_accepted() {
    for key in [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
    ] {
        let result = ask(&csr_with(vec![uri(CLIENT)], &key));
        assert_eq!(result, Ok(()), "{:?}", key.algorithm());
    }
}

#[test]
fn weak_and_unusual_keys_are_refused() {
    let folder = Folder::new();
    let path = folder.file("key.pem").display().to_string();
    for (kind, expected) in [
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..],
            RequestError::Signature,
        ),
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"][..],
            RequestError::KeyKind,
        ),
        (
            &[
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:secp256k1",
            ][..],
            RequestError::Signature,
        ),
    ] {
        let generate = [&["genpkey", "-out", &path][..], kind].concat();
        let request = ["req", "-new", "-key", &path, "-subj", "/CN=x"];
        let Some(pem) = openssl(&generate).and_then(|_| openssl(&request)) else {
            return;
        };
        assert_eq!(ask(&pem), Err(expected), "{kind:?}");
    }
}

#[test]
fn a_signature_over_sha1_proves_nothing() {
    let folder = Folder::new();
    let path = folder.file("key.pem").display().to_string();
    let generate = ["genpkey", "-out", &path, "-algorithm", "RSA"];
    let request = ["req", "-new", "-key", &path, "-subj", "/CN=x", "-sha1"];
    if let Some(pem) = openssl(&generate).and_then(|_| openssl(&request)) {
        assert_eq!(ask(&pem), Err(RequestError::Signature));
    }
}

fn der(pem: &str) -> Vec<u8> {
    CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

fn again(der: &[u8]) -> String {
    pem::encode("CERTIFICATE REQUEST", der)
}

#[test]
fn a_request_with_somebody_elses_key_does_not_verify() {
    // The key of a certificate that was seen on the wire, put into a request of one's own.
    let (own, seen) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut bytes = der(&csr_with(vec![uri(CLIENT)], &own));
    let (own, seen) = (own.public_key_raw(), seen.public_key_raw());
    let place = bytes.windows(own.len()).position(|w| w == own).unwrap();
    bytes[place..place + seen.len()].copy_from_slice(seen);
    assert_eq!(ask(&again(&bytes)), Err(RequestError::Signature));
}

#[test]
fn no_bit_of_a_request_can_be_changed() {
    let good = der(&csr(&[CLIENT]));
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert!(ask(&again(&bad)).is_err(), "byte {place}");
    }
}

#[test]
fn what_is_no_request_is_refused_with_what_was_expected() {
    assert_eq!(ask(""), malformed("no such PEM block"));
    assert_eq!(ask("\u{0}\u{ffff}"), malformed("no such PEM block"));
    let request = csr(&[CLIENT]);
    assert_eq!(
        ask(&request.replace(" REQUEST", "")),
        malformed("no such PEM block")
    );
    assert_eq!(
        ask(&(request.clone() + &request)),
        malformed("more than one PEM block")
    );
    assert_eq!(ask(&request[..request.len() / 2]), malformed("not PEM"));
    let mut longer = der(&request);
    longer.push(0);
    assert_eq!(ask(&again(&longer)), malformed("bytes after its end"));
    assert_eq!(ask(&again(b"0")), malformed("not a PKCS #10 request"));
    let large = " ".repeat(MAX_REQUEST_BYTES) + &request;
    let found = large.len();
    assert_eq!(ask(&large), Err(RequestError::TooLarge { found }));
}
