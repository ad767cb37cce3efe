//! A request for a certificate (PKCS #10): what it proves, and what it may say.
//!
//! In: PEM of a caller. Out: a public key, for exactly one identity. Never: lets a request choose its name,
//! its purposes or its life; all that is taken from it is the key.
//!
//! Source: RFC 2986; istio.v1.auth `IstioCertificateRequest.csr`.

use mesh::SpiffeId;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData as _, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer as _,
};

use super::signed;
use crate::words::quoted;

/// The most bytes of a request. One with an RSA key of 8192 bits has 3 KiB.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many bytes.
    #[error("certificate request has {found} bytes, expected at most {MAX_REQUEST_BYTES}")]
    TooLarge {
        /// How many.
        found: usize,
    },
    /// No PKCS #10.
    #[error(
        "certificate request: {problem}, expected one PEM block CERTIFICATE REQUEST with a PKCS #10 request"
    )]
    Malformed {
        /// What is wrong.
        problem: &'static str,
    },
    /// The signature is not that of the key in it: whoever sends it need not have the key.
    #[error("certificate request is not signed with its own key by an algorithm that is accepted")]
    Signature,
    /// A key that is weak or unknown.
    #[error(
        "certificate request holds a key that is not ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
    )]
    KeyKind,
    /// It names somebody else.
    #[error(
        "certificate request names {found:?}, expected no subjectAltName or the one URI {expected}"
    )]
    Name {
        /// The identity that the caller may have.
        expected: SpiffeId,
        /// What the request names, cut to a length that is fit for a log line.
        found: String,
    },
}

/// A request that proved possession of its key.
#[derive(Debug)]
pub struct CertificateRequest {
    key: SubjectPublicKeyInfo,
    /// The URI SANs, and `None` for every SAN of another kind.
    names: Vec<Option<String>>,
}

impl CertificateRequest {
    /// Reads a request and checks its signature.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_pem(pem: &str) -> Result<Self, RequestError> {
        let malformed = |problem| RequestError::Malformed { problem };
        if pem.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge { found: pem.len() });
        }
        let mut blocks = CertificateSigningRequestDer::pem_slice_iter(pem.as_bytes());
        let der = blocks
            .next()
            .ok_or(malformed("no such PEM block"))?
            .map_err(|_| malformed("not PEM"))?;
        if blocks.next().is_some() {
            return Err(malformed("more than one PEM block"));
        }
        let request = match X509CertificationRequest::from_der(&der) {
            Ok(([], request)) => request,
            Ok(_) => return Err(malformed("bytes after its end")),
            Err(_) => return Err(malformed("not a PKCS #10 request")),
        };
        let public = &request.certification_request_info.subject_pki;
        if !signed::is_signed_by(&der, public) {
            return Err(RequestError::Signature);
        }
        let key = SubjectPublicKeyInfo::from_der(public.raw).map_err(|_| RequestError::KeyKind)?;
        let known = [
            &PKCS_ECDSA_P256_SHA256,
            &PKCS_ECDSA_P384_SHA384,
            &PKCS_ED25519,
            &PKCS_RSA_SHA256,
        ];
        if !known.contains(&key.algorithm()) {
            return Err(RequestError::KeyKind);
        }
        Ok(Self {
            names: names(&request)?,
            key,
        })
    }

    /// The key, if the request does not ask for another name than `id`.
    ///
    /// This is what makes a captured request useless: who presents it gets it signed for himself or not at all.
    ///
    /// # Errors
    /// [`RequestError::Name`].
    pub fn key_for(&self, id: &SpiffeId) -> Result<&SubjectPublicKeyInfo, RequestError> {
        let expected = id.to_string();
        match self.names.as_slice() {
            [] => Ok(&self.key),
            [Some(uri)] if *uri == expected => Ok(&self.key),
            names => Err(RequestError::Name {
                expected: id.clone(),
                found: quoted(
                    &names
                        .iter()
                        .map(|name| name.as_deref().unwrap_or("(no URI)"))
                        .collect::<Vec<_>>()
                        .join(", "),
                ),
            }),
        }
    }
}

/// Every subjectAltName of every extension request; extensions of other kinds are not looked at.
fn names(request: &X509CertificationRequest<'_>) -> Result<Vec<Option<String>>, RequestError> {
    let mut names = Vec::new();
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else {
            continue;
        };
        for extension in &requested.extensions {
            if extension.oid != OID_X509_EXT_SUBJECT_ALT_NAME {
                continue;
            }
            let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() else {
                let problem = "a subjectAltName that cannot be read";
                return Err(RequestError::Malformed { problem });
            };
            names.extend(san.general_names.iter().map(|name| {
                if let GeneralName::URI(uri) = name {
                    Some((*uri).to_owned())
                } else {
                    None
                }
            }));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
