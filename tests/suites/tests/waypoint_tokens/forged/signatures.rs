//! Signatures of another form, of somebody else's token, or in another spelling.

use anyhow::{Context as _, Result};
use suites::asked::Token;

use super::super::NOT_SIGNED;
use super::{HEADER_BASE64, SIGNATURE_BASE64, Signers, Table, UNKNOWN_ISSUER};

pub(super) fn signatures(table: &mut Table, signers: &Signers) -> Result<()> {
    let good = signers.good()?;
    let (text, signature) = good.rsplit_once('.').context("a signature")?;
    // ECDSA: DER in the place of two numbers; zeros; too short.
    let of_ec = signers.ec.token("alice").text();
    let der = Token::part(&signers.ec.signature(&of_ec)?);
    table.bearer("ecdsa-der", format!("{of_ec}.{der}"), NOT_SIGNED);
    table.bearer(
        "ecdsa-zeros",
        format!("{of_ec}.{}", Token::part(&[0; 64])),
        NOT_SIGNED,
    );
    table.bearer(
        "ecdsa-short",
        format!("{of_ec}.{}", Token::part(&[1; 32])),
        NOT_SIGNED,
    );
    let of_ed = signers.ed.token("alice").text();
    table.bearer(
        "eddsa-zeros",
        format!("{of_ed}.{}", Token::part(&[0; 64])),
        NOT_SIGNED,
    );
    table.bearer(
        "eddsa-short",
        format!("{of_ed}.{}", Token::part(&[0; 63])),
        "Jwt ED25519 signature is wrong length",
    );
    table.bearer(
        "rsa-empty-number",
        format!("{text}.{}", Token::part(&[0; 256])),
        NOT_SIGNED,
    );
    table.bearer("rsa-one-byte", format!("{text}.AA"), NOT_SIGNED);
    // Of somebody else's token.
    let (header, _) = text.split_once('.').context("a header")?;
    let roots = signers.alice().claim("sub", "root").text();
    table.bearer("another's", format!("{roots}.{signature}"), NOT_SIGNED);
    table.bearer(
        "header-only",
        format!("{header}.e30.{signature}"),
        UNKNOWN_ISSUER,
    );

    // The same bytes in another spelling: 256 bytes leave four bits of the last letter unused.
    let last = good.chars().last().context("a letter")?;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).context("a letter of base64url")?;
    let next = alphabet.chars().nth(at + 1).context("a free bit")?;
    let mut spelt = good.clone();
    spelt.pop();
    table.bearer("bits-signature", format!("{spelt}{next}"), SIGNATURE_BASE64);
    table.bearer("padding-wrong", format!("{good}="), SIGNATURE_BASE64);
    table.bearer("padding-many", format!("{good}===="), SIGNATURE_BASE64);
    table.bearer(
        "alphabet",
        format!("{text}.+/{}", &signature[2..]),
        SIGNATURE_BASE64,
    );
    table.bearer("zero-byte", format!("{good}%00"), SIGNATURE_BASE64);
    table.bearer(
        "space-inside",
        format!("{text}. {signature}"),
        SIGNATURE_BASE64,
    );
    let (header, claims) = text.split_once('.').context("a header")?;
    table.bearer(
        "claims-alphabet",
        format!("{header}.+/{claims}.{signature}"),
        "Jwt payload is an invalid Base64url encoded",
    );
    table.bearer(
        "header-alphabet",
        format!("{header}+.{claims}.{signature}"),
        HEADER_BASE64,
    );
    Ok(())
}
