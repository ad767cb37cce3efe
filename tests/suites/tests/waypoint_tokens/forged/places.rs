//! Where a token stands, how often, and how it is announced.

use std::fmt::Write as _;

use anyhow::Result;

use super::super::{DENIED, FORM, NOT_SIGNED};
use super::{Attack, HEADER_BASE64, SIGNATURE_BASE64, Sent, Signers, Table};

/// All attacks by where a token stands: `good` and one that is not, in each order.
pub(in super::super) fn places(signers: &Signers) -> Result<Vec<Attack>> {
    let mut table = Table(Vec::new());
    let good = signers.good()?;
    let also = signers
        .rsa
        .sign(&signers.rsa.token("bob").claim("aud", "shop"))?;
    let bad = signers.stranger.sign(&signers.alice())?;
    let line = |token: &str| format!("authorization: Bearer {token}");
    let headers = |lines: &[String]| Sent::Headers(lines.to_vec());
    let refused = [
        (
            "two-headers",
            headers(&[line(&good), line(&bad)]),
            NOT_SIGNED,
        ),
        (
            "two-headers-first",
            headers(&[line(&bad), line(&good)]),
            NOT_SIGNED,
        ),
        (
            "two-in-one",
            headers(&[format!("{}, Bearer {bad}", line(&good))]),
            FORM,
        ),
        (
            "two-in-one-good",
            headers(&[format!("{}, Bearer {also}", line(&good))]),
            FORM,
        ),
        (
            "header-query",
            Sent::Query(format!("access_token={bad}"), vec![line(&good)]),
            NOT_SIGNED,
        ),
        (
            "query-header",
            Sent::Query(format!("access_token={good}"), vec![line(&bad)]),
            NOT_SIGNED,
        ),
        (
            "two-queries",
            Sent::Query(
                format!("access_token={good}&access_token={bad}"),
                Vec::new(),
            ),
            NOT_SIGNED,
        ),
        (
            "query-escaped",
            Sent::Query(
                format!("access%5Ftoken={bad}&access_token={good}"),
                Vec::new(),
            ),
            NOT_SIGNED,
        ),
        (
            "query-empty",
            Sent::Query(format!("access_token=&access_token={good}"), Vec::new()),
            FORM,
        ),
        (
            "bearer-lower",
            headers(&[format!("authorization: bearer {bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-upper",
            headers(&[format!("AUTHORIZATION: BEARER {bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-spaces",
            headers(&[format!("authorization: Bearer    {bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-tab",
            headers(&[format!("authorization: Bearer\t{bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-joined",
            headers(&[format!("authorization: Bearer{bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-behind",
            headers(&[format!("authorization: Basic Zm9vOmJhcg==, Bearer {bad}")]),
            NOT_SIGNED,
        ),
        (
            "bearer-twice",
            headers(&[format!("authorization: Bearer Bearer {good}")]),
            HEADER_BASE64,
        ),
        (
            "bearer-nothing",
            headers(&["authorization: Bearer ,".to_owned()]),
            FORM,
        ),
        (
            "bearer-quoted",
            headers(&[format!("authorization: Bearer \"{good}\"")]),
            SIGNATURE_BASE64,
        ),
        (
            "bearer-after",
            headers(&[format!("authorization: Bearer {good} x")]),
            SIGNATURE_BASE64,
        ),
        (
            "bearer-comma",
            headers(&[format!("authorization: Bearer {good},")]),
            SIGNATURE_BASE64,
        ),
    ];
    for (name, sent, text) in refused {
        table.sent(name, sent, 401, text);
    }
    // What nobody looks at as a token is none.
    let none = [
        (
            "none-basic",
            headers(&[format!("authorization: Basic {good}")]),
        ),
        ("none-bare", headers(&[format!("authorization: {good}")])),
        (
            "none-proxy",
            headers(&[format!("proxy-authorization: Bearer {good}")]),
        ),
        (
            "none-underscore",
            headers(&[format!("x_authorization: Bearer {good}")]),
        ),
        (
            "none-cookie",
            headers(&[format!("cookie: access_token={good}")]),
        ),
        (
            "none-case",
            Sent::Query(format!("Access_Token={good}"), Vec::new()),
        ),
        (
            "none-in-value",
            Sent::Query(format!("x=access_token={good}"), Vec::new()),
        ),
        (
            "none-semicolon",
            Sent::Query(format!("x=1;access_token={good}"), Vec::new()),
        ),
    ];
    for (name, sent) in none {
        table.sent(name, sent, 403, DENIED);
    }
    let mut many = String::new();
    for number in 0..20 {
        // Writing to a text cannot fail.
        let _ = write!(
            many,
            "{}access_token={good}",
            if number == 0 { "" } else { "&" }
        );
    }
    table.sent(
        "many",
        Sent::Query(many, Vec::new()),
        401,
        "Found multiple Jwt tokens",
    );
    Ok(table.0)
}
