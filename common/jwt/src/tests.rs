//! Tokens of a made-up issuer, good ones and forged ones.

mod attacks;
mod claims;
mod form;
mod keys;
mod properties;
mod signer;
mod time;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh::Name;
use serde_json::{Value, json};

use crate::{KeySet, Refusal, Symmetric, Token, Verified};
use signer::Signer;

/// The time of all tests: 2026-11-14.
const NOW: u64 = 1_794_600_000;
const ISSUER: &str = "https://issuer.example";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What an ordinary token says.
fn ordinary() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "shop", "iat": NOW - 10, "exp": NOW + 300})
}

/// A set of public keys.
fn set(signers: &[&Signer]) -> KeySet {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    parse(&json!({ "keys": keys }))
}

fn parse(set: &Value) -> KeySet {
    KeySet::parse(set.to_string().as_bytes(), Symmetric::Refused).unwrap()
}

/// The whole way of a token, as a waypoint goes it.
fn judge(text: &str, keys: &KeySet) -> Result<Verified, Refusal> {
    judge_for(text, keys, &[])
}

fn judge_for(text: &str, keys: &KeySet, audiences: &[&str]) -> Result<Verified, Refusal> {
    let audiences: Vec<Name> = audiences.iter().map(|name| Name::from(*name)).collect();
    let mut token = Token::parse(text)?;
    token.check(ISSUER, &audiences, at(NOW))?;
    token.verify(keys, &[])
}
