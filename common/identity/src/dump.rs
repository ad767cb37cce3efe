//! Credentials as `/config_dump` shows them.
//!
//! Source: Istio ztunnel admin `certificates[]`: field names, `pem` as base64 of the PEM text.

use std::sync::Arc;

use mesh::SpiffeId;
use rustls_pki_types::CertificateDer;
use serde::Serialize;

use crate::{Credential, pem, refusal::rfc3339, x509};

/// How it stands with one identity.
#[derive(Debug)]
pub(crate) enum State {
    /// Asked for, no answer yet.
    Initializing,
    /// In use.
    Available(Arc<Credential>),
    /// None that could be shown to a peer, and why.
    Unavailable(String),
}

/// One identity of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDump {
    /// The SPIFFE id.
    pub identity: String,
    /// `Initializing`, `Available` or `Unavailable: <reason>`.
    pub state: String,
    /// Leaf first; empty unless available.
    pub cert_chain: Vec<Certificate>,
    /// The trust bundle; empty unless available.
    pub root_certs: Vec<Certificate>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// base64 of the PEM text.
    pub pem: String,
    /// Decimal.
    pub serial_number: String,
    /// RFC 3339, UTC.
    pub valid_from: String,
    /// RFC 3339, UTC.
    pub expiration_time: String,
}

impl CertificateDump {
    pub(crate) fn new(id: &SpiffeId, state: &State) -> Self {
        let (text, credential) = match state {
            State::Initializing => ("Initializing".to_owned(), None),
            State::Available(credential) => ("Available".to_owned(), Some(credential)),
            State::Unavailable(reason) => (format!("Unavailable: {reason}"), None),
        };
        let shown = |certificates: &[CertificateDer<'_>]| {
            certificates.iter().filter_map(certificate).collect()
        };
        Self {
            identity: id.to_string(),
            state: text,
            cert_chain: credential.map_or_else(Vec::new, |it| shown(it.chain())),
            root_certs: credential.map_or_else(Vec::new, |it| shown(&it.roots())),
        }
    }
}

/// `None` cannot happen: a credential holds certificates that were read before.
fn certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let parsed = x509::parse(der).ok()?;
    Some(Certificate {
        pem: pem::base64(pem::encode("CERTIFICATE", der).as_bytes()),
        serial_number: parsed.tbs_certificate.serial.to_string(),
        valid_from: rfc3339(x509::wall(parsed.validity().not_before)),
        expiration_time: rfc3339(x509::wall(parsed.validity().not_after)),
    })
}
