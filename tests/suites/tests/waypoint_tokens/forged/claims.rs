//! Tokens that are rightly signed and claim what does not count here, or not now.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::super::{ISSUER, NO_KEY, OTHER};
use super::{Sent, Signers, Table, UNKNOWN_ISSUER};

pub(super) fn claims(table: &mut Table, signers: &Signers) -> Result<()> {
    let now = signers.alice().claims["iat"].as_u64().context("iat")?;
    let with = |name: &str, value: Value| signers.rsa.sign(&signers.alice().claim(name, value));
    let wrong: [(&'static str, &str, Value, &'static str); 17] = [
        ("exp-over", "exp", (now - 120).into(), "Jwt is expired"),
        ("exp-zero", "exp", 0.into(), "Jwt is expired"),
        (
            "exp-text",
            "exp",
            "4000000000".into(),
            "Jwt payload [exp] field is not an integer",
        ),
        (
            "exp-null",
            "exp",
            Value::Null,
            "Jwt payload [exp] field is not an integer",
        ),
        (
            "exp-negative",
            "exp",
            (-1).into(),
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            "exp-float",
            "exp",
            json!(1e300),
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        ("nbf-far", "nbf", (now + 3600).into(), "Jwt not yet valid"),
        (
            "nbf-text",
            "nbf",
            "0".into(),
            "Jwt payload [nbf] field is not an integer",
        ),
        (
            "iss-slash",
            "iss",
            format!("{ISSUER}/").into(),
            UNKNOWN_ISSUER,
        ),
        (
            "iss-upper",
            "iss",
            ISSUER.to_uppercase().into(),
            UNKNOWN_ISSUER,
        ),
        (
            "iss-space",
            "iss",
            format!(" {ISSUER}").into(),
            UNKNOWN_ISSUER,
        ),
        (
            "iss-zero",
            "iss",
            format!("{ISSUER}\0").into(),
            UNKNOWN_ISSUER,
        ),
        ("iss-other", "iss", OTHER.into(), NO_KEY),
        (
            "iss-list",
            "iss",
            json!([ISSUER]),
            "Jwt payload [iss] field is not a string",
        ),
        ("iss-empty", "iss", "".into(), UNKNOWN_ISSUER),
        (
            "aud-object",
            "aud",
            json!({"shop": true}),
            "Jwt payload [aud] field is not a string or string list",
        ),
        (
            "sub-list",
            "sub",
            json!(["alice"]),
            "Jwt payload [sub] field is not a string",
        ),
    ];
    for (name, claim, value, text) in wrong {
        table.bearer(name, with(claim, value)?, text);
    }
    for (name, value) in [
        ("aud-other", json!("bank")),
        ("aud-part", json!("sho")),
        ("aud-longer", json!("shop.evil.example")),
        ("aud-list", json!(["bank", "Shop"])),
        ("aud-none", json!([])),
        ("aud-joined", json!("bank,shop")),
    ] {
        let token = Sent::Bearer(with("aud", value)?);
        table.sent(name, token, 403, "Audiences in Jwt are not allowed");
    }
    let header = signers.alice().header.to_string();
    let without = signers.signed(&header, "{\"sub\":\"alice\",\"aud\":\"shop\"}")?;
    table.bearer("iss-none", without, UNKNOWN_ISSUER);
    Ok(())
}
