//! What certificates, requests and lists of revoked certificates have in common: something, and a signature over it.
//!
//! In: DER. Out: yes or no. Never: believes SHA-1, RSA below 2048 bits, or an algorithm that TLS does not use.

use identity::tls;
use rustls_pki_types::CertificateDer;
use x509_parser::{
    asn1_rs::{Any, FromDer as _},
    certificate::X509Certificate,
    x509::SubjectPublicKeyInfo,
};

/// One certificate and nothing behind it.
pub(crate) fn certificate<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match x509_parser::parse_x509_certificate(der.as_ref()) {
        Ok(([], certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    }
}

/// Whether `der`, a sequence of something, an algorithm and a signature, was signed with the key of `public`.
pub(crate) fn is_signed_by(der: &[u8], public: &SubjectPublicKeyInfo<'_>) -> bool {
    check(der, public).is_some()
}

fn check(der: &[u8], public: &SubjectPublicKeyInfo<'_>) -> Option<()> {
    let (rest, outer) = Any::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let (after, _) = Any::from_der(outer.data).ok()?;
    let (message, _) = outer
        .data
        .split_at_checked(outer.data.len() - after.len())?;
    let (after, algorithm) = Any::from_der(after).ok()?;
    let (rest, signature) = Any::from_der(after).ok()?;
    // A BIT STRING of whole bytes: the first byte counts the bits that are not used.
    let (0, signature) = signature.data.split_first()? else {
        return None;
    };
    let (_, key) = Any::from_der(public.raw).ok()?;
    let (_, key_algorithm) = Any::from_der(key.data).ok()?;
    if !rest.is_empty() {
        return None;
    }
    tls::provider()
        .signature_verification_algorithms
        .all
        .iter()
        .filter(|known| {
            known.public_key_alg_id().as_ref() == key_algorithm.data
                && known.signature_alg_id().as_ref() == algorithm.data
        })
        .find_map(|known| {
            let key = public.subject_public_key.data.as_ref();
            known.verify_signature(key, message, signature).ok()
        })
}
