//! Tokens and requests of attackers, as a table: what is sent, and the refusal that it must get.
//!
//! Whoever writes them has a good token of its own, every public key, and keys of its own; never the key of an issuer.

#[path = "forged/claims.rs"]
mod claims;
#[path = "forged/keys.rs"]
mod keys;
#[path = "forged/places.rs"]
mod places;
#[path = "forged/shapes.rs"]
mod shapes;
#[path = "forged/signatures.rs"]
mod signatures;

use anyhow::Result;
use suites::asked::{Issuer, Kind, Token};

use super::{ISSUER, OTHER};

pub(super) use places::places;

const UNKNOWN_ISSUER: &str = "Jwt issuer is not configured";
const NOT_SUPPORTED: &str = "Jwt header [alg] is not supported";
const HEADER_JSON: &str = "Jwt header is an invalid JSON";
const PAYLOAD_JSON: &str = "Jwt payload is an invalid JSON";
const HEADER_BASE64: &str = "Jwt header is an invalid Base64url encoded";
const SIGNATURE_BASE64: &str = "Jwt signature is an invalid Base64url encoded";

/// Where it stands in a request.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    /// Behind `authorization: Bearer `.
    Bearer(String),
    /// Headers as they are.
    Headers(Vec<String>),
    /// A query, and headers.
    Query(String, Vec<String>),
}

/// One attack.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    /// Its name, which is part of the path.
    pub(super) name: &'static str,
    /// What is sent.
    pub(super) sent: Sent,
    /// The status it must get.
    pub(super) status: u16,
    /// The text.
    pub(super) text: &'static str,
}

/// All who sign: three issuers, and a stranger who has no policy.
#[derive(Debug)]
pub(super) struct Signers {
    /// RS256; the issuer is [`ISSUER`], its tokens are for `shop`.
    pub(super) rsa: Issuer,
    /// RS256; the issuer is [`OTHER`].
    pub(super) other: Issuer,
    /// ES256.
    pub(super) ec: Issuer,
    /// EdDSA.
    pub(super) ed: Issuer,
    /// RS256; signs as `rsa`, under its name of a key.
    pub(super) stranger: Issuer,
}

impl Signers {
    pub(super) fn new(folder: &std::path::Path) -> Result<Self> {
        let strangers = folder.join("stranger");
        std::fs::create_dir_all(&strangers)?;
        Ok(Self {
            rsa: Issuer::new(folder, ISSUER, "rsa", Kind::Rsa)?,
            other: Issuer::new(folder, OTHER, "other", Kind::Rsa)?,
            ec: Issuer::new(folder, "https://ec.example", "ec", Kind::Ec)?,
            ed: Issuer::new(folder, "https://ed.example", "ed", Kind::Ed25519)?,
            stranger: Issuer::new(&strangers, ISSUER, "rsa", Kind::Rsa)?,
        })
    }

    /// A good token.
    pub(super) fn good(&self) -> Result<String> {
        self.rsa.sign(&self.alice())
    }

    fn alice(&self) -> Token {
        self.rsa.token("alice").claim("aud", "shop")
    }

    /// Claims that would be good, as text.
    fn claims(&self) -> String {
        self.alice().claims.to_string()
    }

    /// A token of these texts, rightly signed: an issuer that makes mistakes.
    fn signed(&self, header: &str, claims: &str) -> Result<String> {
        self.rsa.sign_text(&Token::joined(header, claims))
    }
}

struct Table(Vec<Attack>);

impl Table {
    fn bearer(&mut self, name: &'static str, token: impl Into<String>, text: &'static str) {
        self.sent(name, Sent::Bearer(token.into()), 401, text);
    }

    fn sent(&mut self, name: &'static str, sent: Sent, status: u16, text: &'static str) {
        self.0.push(Attack {
            name,
            sent,
            status,
            text,
        });
    }
}

/// All attacks by what a token is.
pub(super) fn tokens(signers: &Signers, jku: &str) -> Result<Vec<Attack>> {
    let mut table = Table(Vec::new());
    keys::algorithms(&mut table, signers)?;
    keys::names(&mut table, signers, jku)?;
    shapes::shapes(&mut table, signers)?;
    claims::claims(&mut table, signers)?;
    signatures::signatures(&mut table, signers)?;
    Ok(table.0)
}
