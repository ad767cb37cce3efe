//! Where tokens are.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header::AUTHORIZATION};
use jwt::Refusal;

use super::{Place, clear_alike, find, take_out};
use crate::{
    access::token::{
        MAX_TOKENS,
        compiled::{Rule, RuleKeys},
    },
    body::Body,
};

fn rule(places: Vec<Place>) -> Rule {
    Rule {
        issuer: "issuer".into(),
        audiences: Vec::new(),
        keys: RuleKeys::Inline(Err(Refusal::Fetch)),
        places,
        forward: false,
        payload_header: None,
        claim_headers: Vec::new(),
        space_delimited: Vec::new(),
        timeout: std::time::Duration::ZERO,
    }
}

fn header(name: &'static str, prefix: &str) -> Place {
    Place::Header {
        name: HeaderName::from_static(name),
        prefix: prefix.into(),
    }
}

fn bearer() -> Place {
    header("authorization", "Bearer ")
}

fn parameter() -> Place {
    Place::Parameter("access_token".into())
}

fn request(uri: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

/// The tokens that one place finds.
fn found(place: Place, uri: &str, headers: &[(&'static str, &str)]) -> Vec<String> {
    let request = request(uri, headers);
    let rule = rule(vec![place]);
    let found = find(&[&rule], request.uri(), request.headers()).unwrap();
    let texts = found.into_iter().flat_map(|one| one.readings);
    texts.map(|reading| reading.text).collect()
}

#[test]
fn a_token_stands_behind_its_prefix_however_that_is_spelled() {
    let cases: &[(&str, &[&str])] = &[
        ("Bearer a.b.c", &["a.b.c"]),
        ("bearer a.b.c", &["a.b.c"]),
        ("BEARER   a.b.c  ", &["a.b.c"]),
        ("Basic x, Bearer a.b.c", &["a.b.c"]),
        ("Bearer \"a.b.c", &["a.b.c"]),
        ("Bearer a.b.c, more", &["a.b.c, more"]),
        // Meant as one.
        ("Bearer ???", &["Bearer ???"]),
        ("Bearer\ta.b.c", &["a.b.c"]),
        ("bEARER\t \ta.b.c\t", &["a.b.c"]),
        ("\tBearer a.b.c", &["a.b.c"]),
        ("Basic x,Bearer\ta.b.c", &["a.b.c"]),
        ("Bearera.b.c", &["a.b.c"]),
        ("Bearer=a.b.c", &["a.b.c"]),
        ("Bearer\u{a0}a.b.c", &["a.b.c"]),
        // One that is missing is none that may pass.
        ("Bearer", &["Bearer"]),
        ("bearer\t", &["bearer"]),
        ("Basic x, Bearer", &["Basic x, Bearer"]),
        // Of several the first, and all that comes behind it with it.
        ("Bearer a.b.c Bearer d.e.f", &["a.b.c Bearer d.e.f"]),
        // A password is no scheme.
        ("Basic QmVhcmVyBearerAAAA", &[]),
        ("Basic dXNlcjpwYXNzbearer/ab==", &[]),
        ("Basic YWxpY2U6", &[]),
        ("", &[]),
    ];
    for (value, tokens) in cases {
        assert_eq!(
            found(bearer(), "/", &[("authorization", value)]),
            *tokens,
            "{value:?}"
        );
    }
    let any = header("x-token", "");
    assert_eq!(
        found(any.clone(), "/", &[("x-token", " a.b.c ")]),
        ["a.b.c"]
    );
    assert_eq!(found(any, "/", &[("x-token", "")]), [""]);
}

#[test]
fn all_values_of_a_header_are_looked_at() {
    let headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(found(bearer(), "/", &headers), ["a", "b"]);
    let headers = [
        ("authorization", "Basic YWxpY2U6"),
        ("authorization", "bearer\ta"),
        ("authorization", ""),
        ("authorization", "BEARER"),
    ];
    assert_eq!(found(bearer(), "/", &headers), ["a", "BEARER"]);
}

#[test]
fn a_name_that_an_application_takes_for_the_one_is_taken_out_and_no_rules_own() {
    let rules = [
        rule(vec![header("x-jwt-token", "")]),
        // Somebody looks there, so what stands there is verified.
        rule(vec![header("x_jwt-token", ""), bearer()]),
    ];
    let mut request = request(
        "/",
        &[
            ("x-jwt-token", "a"),
            ("x_jwt-token", "b"),
            ("x-jwt_token", "c"),
            ("x_jwt_token", "d"),
            ("x-jwt-tokens", "e"),
            ("authorization", "f"),
        ],
    );
    clear_alike(&rules.each_ref(), request.headers_mut());
    let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "authorization",
            "x-jwt-token",
            "x-jwt-tokens",
            "x_jwt-token"
        ]
    );
}

#[test]
fn bytes_that_are_no_text_are_a_token_that_is_none() {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_bytes(b"Bearer a\xff.b.c").unwrap(),
    );
    let rule = rule(vec![bearer()]);
    let found = find(&[&rule], &Uri::from_static("/"), &headers).unwrap();
    assert_eq!(found[0].readings[0].text, "a\u{fffd}.b.c");
}

#[test]
fn a_parameter_is_read_as_an_application_reads_it() {
    let cases: &[(&str, &[&str])] = &[
        ("/?access_token=a.b.c", &["a.b.c"]),
        ("/?x=1&access_token=a.b.c&y", &["a.b.c"]),
        ("/?access%5Ftoken=a%2Eb.c", &["a.b.c"]),
        ("/?access_token=good&access_token=bad", &["good", "bad"]),
        ("/?access_token", &[""]),
        ("/?access_token=", &[""]),
        ("/?Access_Token=a&access_token2=b&x=access_token=c", &[]),
        ("/?access_token=%zz%4", &["%zz%4"]),
        ("/access_token=a", &[]),
        ("/?", &[]),
    ];
    for (uri, tokens) in cases {
        assert_eq!(found(parameter(), uri, &[]), *tokens, "{uri}");
    }
}

#[test]
fn cookies_of_all_lines_are_looked_at() {
    let place = || Place::Cookie("session".into());
    let cases: &[(&[&str], &[&str])] = &[
        (&["session=a.b.c"], &["a.b.c"]),
        (&["x=1; session=\"a.b.c\" ;y=2"], &["a.b.c"]),
        (&["x=1", "session=a", "session=b"], &["a", "b"]),
        (&["session=a; session=b"], &["a", "b"]),
        (&["Session=a; session2=b; session"], &[]),
    ];
    for (lines, tokens) in cases {
        let headers: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        assert_eq!(found(place(), "/", &headers), *tokens, "{lines:?}");
    }
}

#[test]
fn rules_that_look_at_the_same_place_share_what_is_there() {
    let rules = [rule(vec![bearer(), parameter()]), rule(vec![bearer()])];
    let request = request("/?access_token=p", &[("authorization", "Bearer h")]);
    let found = find(&rules.each_ref(), request.uri(), request.headers()).unwrap();
    let shape: Vec<_> = found
        .iter()
        .flat_map(|one| &one.readings)
        .map(|reading| (reading.text.as_str(), reading.rules.as_slice()))
        .collect();
    assert_eq!(shape, [("h", &[0, 1][..]), ("p", &[0][..])]);
}

#[test]
fn one_value_with_two_prefixes_is_one_token_with_two_readings() {
    let rules = [rule(vec![header("x", "")]), rule(vec![header("x", "JWT ")])];
    let request = request("/", &[("x", "JWT a.b.c")]);
    let found = find(&rules.each_ref(), request.uri(), request.headers()).unwrap();
    assert_eq!(found.len(), 1);
    let readings: Vec<_> = found[0].readings.iter().map(|one| &*one.text).collect();
    assert_eq!(readings, ["JWT a.b.c", "a.b.c"]);
}

#[test]
fn more_tokens_than_anybody_sends_are_refused() {
    let rule = rule(vec![bearer(), parameter(), Place::Cookie("c".into())]);
    let many = |headers: usize, parameters: usize, cookies: usize| {
        let query = vec!["access_token=a"; parameters].join("&");
        let uri = format!("/?{query}");
        let mut all = vec![("authorization", "Bearer a"); headers];
        let line = vec!["c=a"; cookies].join(";");
        all.push(("cookie", &line));
        let request = request(&uri, &all);
        find(&[&rule], request.uri(), request.headers()).map(|found| found.len())
    };
    assert_eq!(many(MAX_TOKENS, 0, 0), Ok(MAX_TOKENS));
    for (headers, parameters, cookies) in [(9, 0, 0), (0, 1000, 0), (0, 0, 1000), (3, 3, 3)] {
        let refused = many(headers, parameters, cookies).unwrap_err();
        assert_eq!(refused.to_string(), "Found multiple Jwt tokens");
    }
}

#[test]
fn a_token_is_taken_out_and_nothing_else() {
    let out = |place: Place, uri: &str, headers: &[(&'static str, &str)]| {
        let mut request = request(uri, headers);
        let rule = rule(vec![place]);
        let found = find(&[&rule], request.uri(), request.headers()).unwrap();
        let spots: Vec<_> = found.iter().map(|one| one.spot).collect();
        for spot in spots {
            take_out(spot, &mut request);
        }
        request
    };
    let both = [
        ("authorization", "Bearer a"),
        ("x", "y"),
        ("authorization", "Bearer b"),
    ];
    let left = out(bearer(), "/", &both);
    assert_eq!(left.headers().len(), 1);

    let uris = [
        ("/a%2Fb?x=%41&access_token=t&y", "/a%2Fb?x=%41&y"),
        ("/?access_token=t", "/"),
        ("/?access_token=t&access%5ftoken=u&", "/?"),
        ("http://host/p?access_token=t&z=1", "http://host/p?z=1"),
        ("/?x=1", "/?x=1"),
    ];
    for (before, after) in uris {
        assert_eq!(out(parameter(), before, &[]).uri(), after);
    }

    let lines = [
        ("cookie", "a=1; s=t;b=2"),
        ("cookie", "s=u"),
        ("cookie", "c"),
    ];
    let left = out(Place::Cookie("s".into()), "/", &lines);
    let left: Vec<_> = left.headers().get_all("cookie").iter().collect();
    assert_eq!(left, ["a=1; b=2", "c"]);
}
