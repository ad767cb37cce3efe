//! JSON Web Tokens: what they say, and whether to believe it.
//!
//! ```text
//!   text ─▶ Token::parse ─▶ Token::check ─▶ Token::verify ─▶ Verified
//!           (its form)      (who, when,     (by whose key)   (claims, believed)
//!                            for whom)           ▲
//!   JWK set ───────────▶ KeySet::parse ──────────┘
//! ```
//! In: a token as it was sent, an issuer's keys, the time. Out: [`Verified`], which exists for no other token, or a
//! [`Refusal`] in the words of Envoy. Never: reads a clock, a file or the network; takes a key, the place of a key or a weaker
//! algorithm from the token.
//!
//! Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (JWA), RFC 7519 (JWT), RFC 8037 (Ed25519), RFC 8725 (current practice);
//! Envoy's `jwt_authn` for the order of checks and the texts.

#![forbid(unsafe_code)]

mod algorithm;
mod base64;
mod json;
mod key;
mod key_set;
mod p521;
mod refusal;
mod token;
mod verified;

pub use key_set::{KeySet, KeySetError, MAX_KEYS, MAX_SET_BYTES, Symmetric};
pub use refusal::Refusal;
pub use token::{CLOCK_SKEW, MAX_HEADER_BYTES, MAX_TOKEN_BYTES, Token};
pub use verified::{Texts, Verified};

#[cfg(test)]
mod tests;
