//! New paths.

use mesh::route::{PathMatch, PathRewrite, RegexRewrite};

use super::{exact, prefix, regex, segments};
use crate::route::rewrite::{Unwritable, path_and_query};

fn check(rewrite: &PathRewrite, matched: Option<&PathMatch>, cases: &[(&str, &str)]) {
    for (asked, expected) in cases {
        let (path, query) = match asked.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (*asked, None),
        };
        let written = path_and_query(rewrite, matched, path, query);
        assert_eq!(
            written.as_deref(),
            Ok(*expected),
            "{rewrite:?} {matched:?} {asked}"
        );
    }
}

fn to(text: &str) -> PathRewrite {
    PathRewrite::Prefix(text.into())
}

#[test]
fn segments_are_replaced_as_the_gateway_api_says() {
    for matched in [segments("/foo"), segments("/foo/")] {
        let matched = Some(&matched);
        for written in ["/xyz", "/xyz/"] {
            check(
                &to(written),
                matched,
                &[
                    ("/foo/bar", "/xyz/bar"),
                    ("/foo", "/xyz"),
                    ("/foo/", "/xyz/"),
                ],
            );
        }
        for written in ["", "/"] {
            check(
                &to(written),
                matched,
                &[("/foo/bar", "/bar"), ("/foo", "/"), ("/foo/", "/")],
            );
        }
        check(
            &to("/x"),
            matched,
            &[("/foo?a=b", "/x?a=b"), ("/foo/?", "/x/?")],
        );
    }
    check(
        &to("/x"),
        Some(&segments("/")),
        &[("/", "/x/"), ("/a?b", "/x/a?b")],
    );
}

#[test]
fn prefixes_of_a_virtual_service_are_replaced_letter_by_letter() {
    check(
        &to("/b"),
        Some(&prefix("/a")),
        &[("/a", "/b"), ("/a/x", "/b/x"), ("/ax", "/bx")],
    );
    check(
        &to("/b/"),
        Some(&prefix("/a/")),
        &[("/a/", "/b/"), ("/a/x?y", "/b/x?y")],
    );
    check(
        &to("/"),
        Some(&prefix("/a/")),
        &[("/a/", "/"), ("/a/x", "/x")],
    );
    // So does Envoy; whoever wants `/x` matches `/a/`.
    check(
        &to("/"),
        Some(&prefix("/a")),
        &[("/a", "/"), ("/a/x", "//x")],
    );
    // What would be no path becomes one.
    check(&to("b"), Some(&prefix("/a")), &[("/a/x", "/b/x")]);
}

#[test]
fn case_makes_no_difference_to_what_is_replaced() {
    let matched = PathMatch::new(mesh::route::PathKind::Prefix("/Api".into()), true);
    check(
        &to("/v1"),
        Some(&matched),
        &[("/API/x", "/v1/x"), ("/api", "/v1")],
    );
}

#[test]
fn without_a_prefix_all_of_the_path_is_replaced() {
    for matched in [Some(exact("/a")), Some(regex("/a.*")), None] {
        check(&to("/b"), matched.as_ref(), &[("/a?q=1", "/b?q=1")]);
    }
    let full = PathRewrite::Full("/whole".into());
    check(
        &full,
        Some(&prefix("/a")),
        &[("/a/x?q", "/whole?q"), ("/a", "/whole")],
    );
    let full = PathRewrite::Full("/whole?own".into());
    check(&full, None, &[("/a?q", "/whole?own")]);
}

#[test]
fn every_match_of_an_expression_is_replaced_and_the_query_is_not_looked_at() {
    let rewrite = RegexRewrite::new("/v([0-9])", r"/version-\1").unwrap();
    let rewrite = PathRewrite::Regex(rewrite);
    check(
        &rewrite,
        None,
        &[
            ("/v1/a/v2?x=/v3", "/version-1/a/version-2?x=/v3"),
            ("/a", "/a"),
        ],
    );
}

#[test]
fn a_path_that_grows_too_long_is_an_error() {
    let rewrite = RegexRewrite::new("a", &"b".repeat(4000)).unwrap();
    let path = "/".to_owned() + &"a".repeat(100);
    let written = path_and_query(&PathRewrite::Regex(rewrite), None, &path, None);
    assert_eq!(written, Err(Unwritable));
}
