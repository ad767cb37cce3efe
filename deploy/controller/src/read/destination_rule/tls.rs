//! `tls`.

use yaml::{Cursor, Error, scalar::word};

use crate::{
    objects::destination_rule::{ClientTls, ClientTlsMode},
    read::{field, line, name},
};

const FIELDS: &[&str] = &[
    "caCertificates",
    "caCrl",
    "clientCertificate",
    "credentialName",
    "insecureSkipVerify",
    "mode",
    "privateKey",
    "sni",
    "subjectAltNames",
];

/// One certificate has hardly more.
const MAX_NAMES: usize = 1000;

/// What this asks is for others to judge: files are not opened.
pub(super) fn client_tls(at: &Cursor<'_>) -> Result<ClientTls, Error> {
    let object = at.object("a mapping with mode", FIELDS)?;
    let text = |name| line::line(&object, name);
    let modes = [
        ("DISABLE", ClientTlsMode::Disable),
        ("SIMPLE", ClientTlsMode::Simple),
        ("MUTUAL", ClientTlsMode::Mutual),
        ("ISTIO_MUTUAL", ClientTlsMode::IstioMutual),
    ];
    let tls = ClientTls {
        mode: object
            .nullable("mode", |at| word(at, &modes))?
            .unwrap_or_default(),
        sni: field::text(&object, "sni", name::hostname)?.unwrap_or_default(),
        subject_alt_names: field::list_up_to(
            &object,
            "subjectAltNames",
            "a list of names",
            MAX_NAMES,
            line::text,
        )?,
        credential_name: text("credentialName")?,
        client_certificate: text("clientCertificate")?,
        private_key: text("privateKey")?,
        ca_certificates: text("caCertificates")?,
        ca_crl: text("caCrl")?,
        insecure_skip_verify: field::switch(&object, "insecureSkipVerify")?,
    };
    if tls.mode == ClientTlsMode::Mutual && tls.credential_name.is_empty() {
        for (name, value) in [
            ("clientCertificate", &tls.client_certificate),
            ("privateKey", &tls.private_key),
        ] {
            if value.is_empty() {
                return Err(object.missing(name, "a file, or credentialName, for the mode MUTUAL"));
            }
        }
    }
    Ok(tls)
}
