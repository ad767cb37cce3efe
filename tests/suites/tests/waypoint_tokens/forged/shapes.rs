//! Tokens of another size and form, and JSON with more than one meaning.

use anyhow::{Context as _, Result};
use suites::asked::Token;

use super::super::FORM;
use super::{HEADER_JSON, PAYLOAD_JSON, Signers, Table};

pub(super) fn shapes(table: &mut Table, signers: &Signers) -> Result<()> {
    let good = signers.good()?;
    let padded = |bytes: usize| {
        signers
            .rsa
            .sign(&signers.alice().claim("pad", "x".repeat(bytes)))
    };
    table.bearer("large", padded(26 * 1024)?, FORM);
    let head = signers.alice().head("pad", "x".repeat(14 * 1024));
    table.bearer("large-header", signers.rsa.sign(&head)?, FORM);
    let (text, signature) = good.rsplit_once('.').context("a signature")?;
    table.bearer("parts-1", text.replace('.', ""), FORM);
    table.bearer("parts-2", text, FORM);
    table.bearer("parts-4", format!("{good}.{signature}"), FORM);
    table.bearer("parts-5", format!("{good}.AAAA.AAAA"), FORM);
    table.bearer("parts-many", ".".repeat(5000), FORM);
    table.bearer("parts-empty", format!("{text}."), FORM);
    table.bearer(
        "parts-swapped",
        text.split('.')
            .rev()
            .chain([signature])
            .collect::<Vec<_>>()
            .join("."),
        "Jwt header [alg] field is required and must be a string",
    );

    let header = signers.alice().header.to_string();
    let claims = signers.claims();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let inside = |text: &str, more: &str| text.replacen('{', &format!("{{{more},"), 1);
    let bad_header = |more: &str| signers.signed(&inside(&header, more), &claims);
    let bad_claims = |more: &str| signers.signed(&header, &inside(&claims, more));
    table.bearer(
        "deep-header",
        bad_header(&format!("\"x\":{}", nested(40)))?,
        HEADER_JSON,
    );
    table.bearer(
        "deep",
        bad_claims(&format!("\"x\":{}", nested(40)))?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "deep-very",
        bad_claims(&format!("\"x\":{}", nested(8000)))?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "deep-objects",
        bad_claims(&format!(
            "\"x\":{}1{}",
            "{\"a\":".repeat(2000),
            "}".repeat(2000)
        ))?,
        PAYLOAD_JSON,
    );
    table.bearer("twice-alg", bad_header("\"alg\":\"none\"")?, HEADER_JSON);
    table.bearer("twice-kid", bad_header("\"kid\":\"other\"")?, HEADER_JSON);
    table.bearer("twice-sub", bad_claims("\"sub\":\"root\"")?, PAYLOAD_JSON);
    table.bearer(
        "twice-escaped",
        bad_claims("\"s\\u0075b\":\"root\"")?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "twice-deep",
        bad_claims("\"x\":{\"y\":[{\"z\":1,\"z\":2}]}")?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-comma",
        signers.signed(&header, &claims.replace('}', ",}"))?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-after",
        signers.signed(&header, &format!("{claims}{{}}"))?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-list",
        signers.signed(&header, &format!("[{claims}]"))?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-comment",
        signers.signed(&header, &format!("/**/{claims}"))?,
        PAYLOAD_JSON,
    );
    table.bearer("json-huge-number", bad_claims("\"x\":1e999")?, PAYLOAD_JSON);
    let bytes = |header: &[u8], claims: &[u8]| {
        signers
            .rsa
            .sign_text(&format!("{}.{}", Token::part(header), Token::part(claims)))
    };
    table.bearer(
        "json-utf8",
        bytes(header.as_bytes(), b"{\"x\":\"\xff\"}")?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-utf16",
        bytes(header.as_bytes(), b"\xff\xfe{\0}\0")?,
        PAYLOAD_JSON,
    );
    table.bearer(
        "json-bom",
        bytes(header.as_bytes(), format!("\u{feff}{claims}").as_bytes())?,
        PAYLOAD_JSON,
    );
    Ok(())
}
