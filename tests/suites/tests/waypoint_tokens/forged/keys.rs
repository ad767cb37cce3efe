//! Other algorithms than the key's, and names of keys that lead elsewhere.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use suites::asked::Token;

use super::super::{FORM, NO_KEY, NOT_SIGNED};
use super::{NOT_SUPPORTED, Signers, Table};

pub(super) fn algorithms(table: &mut Table, signers: &Signers) -> Result<()> {
    let with = |algorithm: &str| signers.alice().head("alg", algorithm);
    let unsigned = |algorithm: &str| format!("{}.AAAA", with(algorithm).text());
    table.bearer(
        "alg-none-unsigned",
        format!("{}.", with("none").text()),
        FORM,
    );
    table.bearer("alg-none", unsigned("none"), NOT_SUPPORTED);
    table.bearer("alg-None", unsigned("nOnE"), NOT_SUPPORTED);
    table.bearer("alg-empty", unsigned(""), NOT_SUPPORTED);
    table.bearer("alg-lower", unsigned("rs256"), NOT_SUPPORTED);
    let mut number = signers.alice();
    number.header["alg"] = 256.into();
    table.bearer(
        "alg-number",
        format!("{}.AAAA", number.text()),
        "Jwt header [alg] field is required and must be a string",
    );
    // A public key as a secret, in each spelling that somebody might compare with.
    let pem = signers.rsa.public_pem()?;
    let jwk = signers.rsa.jwk()?;
    let secrets: [(&'static str, Vec<u8>); 4] = [
        ("confusion-pem", pem.clone()),
        ("confusion-trimmed", pem.trim_ascii().to_vec()),
        ("confusion-jwk", jwk.to_string().into_bytes()),
        (
            "confusion-modulus",
            jwk["n"].as_str().context("n")?.as_bytes().to_vec(),
        ),
    ];
    for (name, secret) in secrets {
        table.bearer(name, with("HS256").sign_with_secret(&secret)?, NO_KEY);
    }
    // Signed by the right key, under the name of another algorithm.
    for (name, algorithm) in [
        ("alg-RS512", "RS512"),
        ("alg-PS256", "PS256"),
        ("alg-ES256", "ES256"),
        ("alg-EdDSA", "EdDSA"),
    ] {
        table.bearer(name, signers.rsa.sign(&with(algorithm))?, NO_KEY);
    }
    Ok(())
}

pub(super) fn names(table: &mut Table, signers: &Signers, jku: &str) -> Result<()> {
    let stranger = &signers.stranger;
    table.bearer("stranger", stranger.sign(&signers.alice())?, NOT_SIGNED);
    let mut without = signers.alice();
    without.header = json!({"alg": "RS256"});
    table.bearer("kid-none", stranger.sign(&without)?, NOT_SIGNED);
    let long = "k".repeat(8 * 1024);
    let kids: [(&'static str, Value, &'static str); 13] = [
        ("kid-empty", "".into(), NOT_SIGNED),
        ("kid-path", "../../../../../../dev/null".into(), NO_KEY),
        (
            "kid-file",
            "file:///proc/sys/kernel/randomize_va_space".into(),
            NO_KEY,
        ),
        ("kid-sql", "rsa' OR '1'='1' --".into(), NO_KEY),
        ("kid-union", "x' UNION SELECT 'AAAA' --".into(), NO_KEY),
        ("kid-command", "rsa|/bin/true;$(id)".into(), NO_KEY),
        ("kid-zero", "rsa\0".into(), NO_KEY),
        ("kid-upper", "RSA".into(), NO_KEY),
        ("kid-space", "rsa ".into(), NO_KEY),
        ("kid-long", long.into(), NO_KEY),
        (
            "kid-number",
            1.into(),
            "Jwt header [kid] field is not a string",
        ),
        (
            "kid-list",
            json!(["rsa"]),
            "Jwt header [kid] field is not a string",
        ),
        (
            "kid-null",
            Value::Null,
            "Jwt header [kid] field is not a string",
        ),
    ];
    for (name, kid, text) in kids {
        table.bearer(
            name,
            stranger.sign(&signers.alice().head("kid", kid))?,
            text,
        );
    }
    // Issuer A's tokens by the key of issuer B, under both names.
    let crossed = |kid: &str| signers.other.sign(&signers.alice().head("kid", kid));
    table.bearer("crossed", crossed("other")?, NO_KEY);
    table.bearer("crossed-named", crossed("rsa")?, NOT_SIGNED);
    // The token brings its own key, or says where there is one.
    let jwk = stranger.jwk()?;
    let brought: [(&'static str, &'static str, Value); 6] = [
        ("jwk", "jwk", jwk.clone()),
        ("jku", "jku", jku.into()),
        ("x5u", "x5u", jku.into()),
        ("x5c", "x5c", json!([Token::part(&stranger.public_pem()?)])),
        ("jwks", "jwks", json!({"keys": [jwk]})),
        ("x5t", "x5t", "AAAA".into()),
    ];
    for (name, field, value) in brought {
        table.bearer(
            name,
            stranger.sign(&signers.alice().head(field, value))?,
            NOT_SIGNED,
        );
    }
    let elsewhere = signers.alice().head("jku", jku).head("kid", "theirs");
    table.bearer("jku-kid", stranger.sign(&elsewhere)?, NO_KEY);
    // Extensions that nobody here understands, rightly signed.
    for (name, critical) in [
        ("crit-exp", json!(["exp"])),
        ("crit-b64", json!(["b64"])),
        ("crit-empty", json!([])),
        ("crit-text", "exp".into()),
    ] {
        let token = signers.alice().head("crit", critical).head("b64", false);
        table.bearer(
            name,
            signers.rsa.sign(&token)?,
            "Jwt header [crit] is not supported",
        );
    }
    Ok(())
}
