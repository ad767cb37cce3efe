//! What templates mean, by the examples of Istio's documentation and by those that try to get round them.

use super::Template;

fn matches(template: &str, path: &str) -> bool {
    assert!(Template::is_valid(template), "{template}");
    Template::new(template).matches(path.as_bytes())
}

#[test]
fn one_star_is_one_segment() {
    assert!(matches("/foo/{*}", "/foo/bar"));
    assert!(!matches("/foo/{*}", "/foo/bar/baz"));
    assert!(!matches("/foo/{*}", "/foo/bar/"));
    assert!(!matches("/foo/{*}", "/foo/"));
    assert!(!matches("/foo/{*}", "/foo"));
    assert!(matches("/{*}", "/a"));
    assert!(!matches("/{*}", "/"));
    assert!(matches("/{*}/x/{*}", "/a/x/b"));
    assert!(!matches("/{*}/x/{*}", "//x/b"));
    assert!(!matches("/{*}/x", "/a/x/"));
    assert!(!matches("/{*}/x", "/a/xy"));
}

#[test]
fn two_stars_are_any_number_of_segments() {
    assert!(matches("/foo/{**}/", "/foo/bar/"));
    assert!(matches("/foo/{**}/", "/foo/bar/baz/"));
    assert!(matches("/foo/{**}/", "/foo//"));
    assert!(!matches("/foo/{**}/", "/foo/bar"));
    assert!(!matches("/foo/{**}/", "/foo/"));
    assert!(matches("/foo/{*}/bar/{**}", "/foo/buzz/bar/"));
    assert!(matches("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz"));
    assert!(!matches("/foo/{*}/bar/{**}", "/foo/buzz/bar"));
    assert!(matches("/{**}", "/"));
    assert!(matches("/{**}", "/a/b/c"));
}

#[test]
fn the_end_behind_two_stars_does_not_share_letters_with_the_beginning() {
    assert!(!matches("/foo/{**}/bar", "/foo/bar"));
    assert!(matches("/foo/{**}/bar", "/foo//bar"));
    assert!(matches("/foo/{**}/bar", "/foo/x/bar"));
    assert!(!matches("/foo/{**}/bar", "/foo/x/rebar"));
    assert!(!matches("/foo/{**}/bar", "/fo/x/bar"));
}

#[test]
fn an_encoded_slash_stays_within_its_segment() {
    assert!(matches("/foo/{*}", "/foo/a%2Fb"));
    assert!(matches("/foo/{*}", "/foo/..%2fadmin"));
    assert!(!matches("/foo/{*}/c", "/foo/a%2Fc"));
    assert!(!matches("/foo/{*}", "/foo%2Fa"));
}

#[test]
fn any_letter_may_stand_in_a_segment() {
    assert!(matches("/foo/{*}", "/foo/a\"b"));
    assert!(matches("/foo/{*}", "/foo/{*}"));
    assert!(Template::new("/foo/{*}").matches(b"/foo/\xff"));
}

#[test]
fn what_istio_refuses_is_no_template() {
    for text in [
        "",
        "foo/{*}",
        "/*/baz/{*}",
        "/**/baz/{*}",
        "/{**}/foo/{*}",
        "/{**}/{**}",
        "/foo/{*}.txt",
        "/foo{*}",
        "/foo/{***}",
        "/foo/{a}",
        "/foo/{*}}",
    ] {
        assert!(!Template::is_valid(text), "{text}");
    }
}

#[test]
fn it_is_found_by_its_segments_and_by_its_end() {
    let segments = |text| -> Vec<(usize, &str)> { Template::literal_segments(text).collect() };
    assert_eq!(segments("/foo/{*}/x"), [(0, "foo"), (2, "x")]);
    assert_eq!(segments("/{*}/x/{**}/y"), [(1, "x")]);
    assert_eq!(segments("/{**}/x"), []);
    assert_eq!(segments("/a//b/"), [(0, "a"), (2, "b")]);
    assert_eq!(Template::new("/{*}/{**}/y").tail(), b"/y");
    assert_eq!(Template::new("/{*}/y").tail(), b"");
}

#[test]
fn it_is_found_by_what_stands_before_the_first_star() {
    assert_eq!(Template::new("/foo/{*}/x").literal_prefix(), b"/foo/");
    assert_eq!(Template::new("/foo/{**}").literal_prefix(), b"/foo/");
    assert_eq!(Template::new("/foo").literal_prefix(), b"/foo");
    assert_eq!(Template::new("{*}/x").literal_prefix(), b"");
}
