//! The checks of an authority: its own certificates when it is loaded, and each request.

use std::time::SystemTime;

use mesh::SpiffeId;
use rcgen::{
    CertificateSigningRequestParams, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateSigningRequestDer;
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest,
    prelude::FromDer as _,
};

use super::{FileCaError, Origin};
use crate::{
    CaError,
    refusal::{cut, list},
    x509,
};

pub(super) fn check_authority(
    certificate: &X509Certificate<'_>,
    at: &Origin,
) -> Result<(), FileCaError> {
    let not_authority = |expected| FileCaError::NotAuthority {
        at: at.clone(),
        subject: x509::subject(certificate),
        expected,
    };
    if !certificate.is_ca() {
        return Err(not_authority("basicConstraints with CA:TRUE"));
    }
    match certificate.key_usage() {
        Ok(None) => {}
        Ok(Some(usage)) if usage.value.key_cert_sign() => {}
        Ok(Some(_)) | Err(_) => return Err(not_authority("keyUsage with keyCertSign")),
    }
    Ok(())
}

pub(super) fn check_lifetime(
    certificate: &X509Certificate<'_>,
    now: SystemTime,
    at: &Origin,
) -> Result<(), FileCaError> {
    let (not_before, not_after) = (starts(certificate), ends(certificate));
    if now < not_before || not_after <= now {
        let subject = x509::subject(certificate);
        return Err(FileCaError::Lifetime {
            at: at.clone(),
            subject,
            not_before,
            not_after,
            now,
        });
    }
    Ok(())
}

pub(super) fn starts(certificate: &X509Certificate<'_>) -> SystemTime {
    x509::wall(certificate.validity().not_before)
}

pub(super) fn ends(certificate: &X509Certificate<'_>) -> SystemTime {
    x509::wall(certificate.validity().not_after)
}

/// The public key of a CSR that names exactly `id` and proves possession of the key.
pub(super) fn checked_key(
    csr: &CertificateSigningRequestDer<'_>,
    id: &SpiffeId,
) -> Result<SubjectPublicKeyInfo, CaError> {
    // Verifies the signature and refuses extensions that we do not know.
    let named = CertificateSigningRequestParams::from_der(csr)
        .map_err(CaError::Request)?
        .params;
    let uri = match named.subject_alt_names.as_slice() {
        [SanType::URI(uri)] => Some(uri.as_str()),
        _ => None,
    };
    if uri != Some(id.to_string().as_str()) || named.distinguished_name.iter().next().is_some() {
        let found = list(named.subject_alt_names.iter().map(|san| format!("{san:?}")));
        return Err(CaError::Name {
            expected: id.clone(),
            found: cut(&found),
        });
    }
    // The algorithm of the key itself: the signature's does not say which curve.
    let unreadable = || CaError::Request(rcgen::Error::CouldNotParseCertificationRequest);
    let (_, parsed) = X509CertificationRequest::from_der(csr.as_ref()).map_err(|_| unreadable())?;
    let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw)
        .map_err(|_| CaError::KeyKind)?;
    if key.algorithm() == &PKCS_ECDSA_P256_SHA256 {
        Ok(key)
    } else {
        Err(CaError::KeyKind)
    }
}
