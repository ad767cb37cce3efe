//! Regular expressions that every proxy can take.

use yaml::{Document, Node, cursor::Unknown};

use super::*;

fn read<T>(text: &str, read: impl Fn(&Cursor<'_>) -> Result<T, Error>) -> Result<T, String> {
    let node = Node::parse(text).unwrap();
    let document = Document::new("m.yaml", Unknown::Warn);
    read(&document.top(&node)).map_err(|error| error.to_string())
}

#[test]
fn a_regex_is_one_that_waypoints_can_compile() {
    for pattern in [
        "a",
        "a|b",
        "^/v[0-9]+/.*$",
        "(?i)chrome",
        r"(a)(?P<b>b)\d",
        r"[\w.-]+",
        "a{1,100}",
        r"\Qa.b\E",
    ] {
        assert_eq!(read(&format!("'{pattern}'"), regex), Ok(pattern.to_owned()));
    }
    for pattern in [
        "",
        "*",
        "a)|(b",
        "(?x)a #",
        r"(a)\1",
        "(?=a)",
        "[z-a]",
        "((a{1000}){1000}){1000}",
    ] {
        let error = read(&format!("'{pattern}'"), regex).expect_err(pattern);
        let expected = format!("m.yaml:1:1: top level: found {pattern:?}, expected {REGEX}");
        assert!(error.starts_with(&expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let long = "a".repeat(MAX_REGEX_BYTES);
    assert!(read(&long, regex).is_ok());
    assert!(read(&format!("{long}a"), regex).is_err());
}

#[test]
fn a_match_is_one_of_three() {
    let text = |text: &str| text.to_owned();
    assert_eq!(read("{}", string_match), Ok(None));
    assert_eq!(
        read("{exact: ''}", string_match),
        Ok(Some(StringMatch::Exact(text(""))))
    );
    assert_eq!(
        read("{prefix: /a}", string_match),
        Ok(Some(StringMatch::Prefix(text("/a"))))
    );
    assert_eq!(
        read("{regex: a+, exact: null}", string_match),
        Ok(Some(StringMatch::Regex(text("a+"))))
    );
    for (wrong, error) in [
        (
            "null",
            "1:1: top level: found nothing, expected a mapping with one of exact, prefix and regex",
        ),
        (
            "{exact: a, prefix: b}",
            "1:1: top level: found a mapping of 2, expected a mapping with one of exact, prefix and regex",
        ),
        (
            "{prefix: ''}",
            "1:10: prefix: found \"\", expected a prefix that is not empty",
        ),
        (
            "{prefx: a}",
            "1:2: prefx: unknown field (did you mean prefix?), expected one of exact, prefix, regex",
        ),
        (
            "{exact: [a]}",
            "1:9: exact: found a list of 1, expected a text of at most 8192 bytes without control characters",
        ),
        (
            "{exact: \"a\\nb\"}",
            "1:9: exact: found \"a\\nb\", expected a text of at most 8192 bytes without control characters",
        ),
    ] {
        assert_eq!(read(wrong, string_match), Err(format!("m.yaml:{error}")));
    }
}

#[test]
fn names_of_headers_know_no_case() {
    fn headers(at: &Cursor<'_>) -> Result<ValueMatches, Error> {
        super::headers(at, |_, _| Ok(false))
    }
    let values = read("{X-A: {exact: b}, y: {}}", headers).unwrap();
    let b = StringMatch::Exact("b".to_owned());
    assert_eq!(
        Vec::from_iter(values),
        [("x-a".to_owned(), Some(b)), ("y".to_owned(), None)]
    );
    for (wrong, error) in [
        (
            "{X-A: {}, x-a: {}}",
            "1:11: [\"x-a\"]: found \"x-a\", expected each header once: their names know no case",
        ),
        (
            "{'@request.auth.claims.iss': {exact: a}}",
            "1:2: [\"@request.auth.claims.iss\"]: found \"@request.auth.claims.iss\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "{a: null}",
            "1:5: a: found nothing, expected a mapping with one of exact, prefix and regex",
        ),
    ] {
        assert_eq!(read(wrong, headers), Err(format!("m.yaml:{error}")));
    }
    let parameters = read("{A: {}, a: {}}", query_params).unwrap();
    assert_eq!(parameters.len(), 2);
    assert!(read("{'': {}}", query_params).is_err());
    let many: String = (0..=MAX_VALUES).map(|n| format!("a{n}: {{}}\n")).collect();
    assert!(read(&many, headers).is_err_and(|error| error.ends_with("at most 100")));
}
