//! The answer of an authority, taken apart.
//!
//! In: PEM texts, the leaf first, the roots last. Out: certificates, counted and not yet believed.

use rustls_pki_types::{CertificateDer, pem, pem::PemObject as _};

use crate::{
    Issued,
    authority::{MAX_CHAIN, MAX_ROOTS},
};

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// Fewer texts than a leaf and its roots.
    #[error("cert_chain has {count} elements, expected the leaf first and the roots last")]
    TooShort {
        /// How many there are.
        count: usize,
    },
    /// One of the texts is no PEM.
    #[error("cert_chain[{index}] is not PEM of CERTIFICATE")]
    Pem {
        /// Which text.
        index: usize,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// One of the texts holds no certificate where one must be.
    #[error("cert_chain[{index}] holds no certificate")]
    Empty {
        /// Which text.
        index: usize,
    },
    /// More certificates than anybody looks at.
    #[error("more than {max} certificates before the roots")]
    ChainTooLong {
        /// The limit.
        max: usize,
    },
    /// More roots than a rotation needs.
    #[error("more than {max} roots")]
    TooManyRoots {
        /// The limit.
        max: usize,
    },
}

/// Splits `cert_chain`: the last text is the root bundle, all before it are the chain.
///
/// **Shape**: a text may hold several certificates; some authorities put all intermediates into one, and
/// some send an empty one when there are none.
pub(super) fn parse(texts: &[String]) -> Result<Issued, BadAnswer> {
    let [_leaf, .., roots] = texts else {
        return Err(BadAnswer::TooShort { count: texts.len() });
    };
    let mut chain = Vec::new();
    let end = texts.len() - 1;
    for (index, text) in texts.iter().take(end).enumerate() {
        // One more than allowed is enough to know.
        for certificate in certificates(text).take(MAX_CHAIN + 1) {
            chain.push(certificate.map_err(|source| BadAnswer::Pem { index, source })?);
        }
        if chain.is_empty() {
            return Err(BadAnswer::Empty { index });
        }
        if chain.len() > MAX_CHAIN {
            return Err(BadAnswer::ChainTooLong { max: MAX_CHAIN });
        }
    }
    let roots = certificates(roots)
        .take(MAX_ROOTS + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| BadAnswer::Pem { index: end, source })?;
    if roots.is_empty() {
        return Err(BadAnswer::Empty { index: end });
    }
    if roots.len() > MAX_ROOTS {
        return Err(BadAnswer::TooManyRoots { max: MAX_ROOTS });
    }
    Ok(Issued { chain, roots })
}

fn certificates(
    text: &str,
) -> impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>> + '_ {
    CertificateDer::pem_slice_iter(text.as_bytes())
}
