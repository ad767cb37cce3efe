//! Expressions mean here what they mean in RE2.

use crate::route::{Pattern, PatternError, RegexRewrite, RewriteError};

fn check(pattern: &str, asked: &[(&str, bool)]) {
    let compiled = Pattern::new(pattern).unwrap();
    for (text, expected) in asked {
        assert_eq!(
            compiled.matches(text.as_bytes()),
            *expected,
            "{pattern} {text}"
        );
        if *expected {
            let prefix = compiled.literal_prefix();
            assert!(text.starts_with(prefix), "{pattern} {text} {prefix}");
        }
    }
}

#[test]
fn all_of_a_text_has_to_match() {
    check(
        "/a|/b",
        &[("/a", true), ("/b", true), ("/ab", false), ("/a/b", false)],
    );
    check("a.*", &[("abc", true), ("xabc", false), ("a\nb", false)]);
    check("^/a$", &[("/a", true), ("/a\n", false)]);
    check("", &[("", true), ("a", false)]);
    check("a??b", &[("ab", true), ("b", true), ("aab", false)]);
}

#[test]
fn classes_are_those_of_ascii() {
    check(r"\d+", &[("12", true), ("\u{663}", false)]);
    check(r"\w", &[("a", true), ("\u{e9}", false)]);
    check("(?i)abc", &[("ABC", true), ("abd", false)]);
    check("(?i:k)", &[("K", true), ("\u{212a}", false)]);
    check("[[:alpha:]]+", &[("ab", true), ("1", false)]);
}

#[test]
fn classes_with_other_letters_are_read_as_unicode() {
    check("[\u{e9}x]", &[("\u{e9}", true), ("x", true), ("e", false)]);
    check("\u{e9}+", &[("\u{e9}", true), ("e", false)]);
}

#[test]
fn what_the_engine_reads_otherwise_is_translated() {
    check("/{id}", &[("/{id}", true), ("/id", false)]);
    check("a{2}", &[("aa", true), ("a", false)]);
    check("a{1,}b{0,2}", &[("aab", true), ("abbb", false)]);
    check("a{,2}", &[("a{,2}", true), ("aa", false)]);
    check("[[a]", &[("[", true), ("a", true), ("b", false)]);
    check("[a&&b]", &[("&", true), ("a", true), ("b", true)]);
    check("[]a]", &[("]", true), ("a", true)]);
    check("[^]a]", &[("b", true), ("]", false)]);
    check("[a-]", &[("-", true), ("a", true), ("b", false)]);
    check(
        "[+--]",
        &[("+", true), (",", true), ("-", true), (".", false)],
    );
    check(r"\Qa.b|c\E.", &[("a.b|cx", true), ("axb", false)]);
    check(r"\<a\>", &[("<a>", true)]);
    check(r"\x{41}\b", &[("A", true), ("a", false)]);
    check(r"[\d\-.]+", &[("1-2.3", true), ("a", false)]);
}

#[test]
fn what_is_no_expression_is_refused() {
    for (pattern, reason) in [
        ("a)|(b", "a parenthesis that nothing opens"),
        ("(a", "a parenthesis that nothing closes"),
        ("[a", "a bracket that nothing closes"),
        ("a\\", "a backslash at the end"),
        ("(?=a)", "a group with flags other than i, m, s and U"),
        ("(?x)a b", "a group with flags other than i, m, s and U"),
    ] {
        match Pattern::new(pattern) {
            Err(PatternError::Syntax { reason: found, .. }) => assert_eq!(found, reason),
            other => panic!("{pattern}: {other:?}"),
        }
    }
    for pattern in ["*", r"(a)\1", "[z-a]"] {
        let error = Pattern::new(pattern).unwrap_err();
        assert!(
            matches!(error, PatternError::Compile(_)),
            "{pattern}: {error:?}"
        );
    }
    let long = "a".repeat(5000);
    assert_eq!(Pattern::new(&long).unwrap_err(), PatternError::Long(5000));
    assert!(matches!(
        Pattern::new("((a{1000}){1000}){1000}").unwrap_err(),
        PatternError::Compile(_)
    ));
}

#[test]
fn texts_that_match_begin_alike() {
    for (pattern, prefix) in [
        ("/api/v1/.*", "/api/v1/"),
        ("/a?b", "/"),
        ("/ab*", "/a"),
        ("/ab+", "/ab"),
        ("/ab{0}", "/a"),
        (r"/a\.b[cd]", "/a.b"),
        ("^/a$", "/a"),
        ("/a|/b", ""),
        ("/a(b|c)", "/a"),
        ("/a(b)|/c", ""),
        ("(?i)/a", ""),
        (r"/\d", "/"),
        (r"\Q/a|b\E/c", "/a|b/c"),
        ("/\u{e9}*", "/"),
    ] {
        assert_eq!(
            Pattern::new(pattern).unwrap().literal_prefix(),
            prefix,
            "{pattern}"
        );
    }
}

#[test]
fn every_match_is_replaced() {
    for (pattern, substitution, text, expected) in [
        ("/v1", "/v2", "/v1/a/v1", "/v2/a/v2"),
        (
            "/users/([0-9]+)",
            r"/u/\1/x",
            "/users/12/users/3",
            "/u/12/x/u/3/x",
        ),
        ("^/a/(.*)$", r"/\1", "/a/b/c", "/b/c"),
        ("(a)|(b)", r"<\1\2>", "ab", "<a><b>"),
        ("b", r"[\0\\]", "abc", r"a[b\]c"),
        ("x*", "-", "ab", "-a-b-"),
        ("nothing", "x", "/a", "/a"),
        (r"\Q.\E", "_", "a.b.c", "a_b_c"),
    ] {
        let rewrite = RegexRewrite::new(pattern, substitution).unwrap();
        assert_eq!(rewrite.apply(text).as_deref(), Some(expected), "{pattern}");
    }
}

#[test]
fn a_substitution_that_asks_for_more_than_there_is_is_refused() {
    let error = |pattern, substitution| RegexRewrite::new(pattern, substitution).unwrap_err();
    let group = RewriteError::Group {
        wanted: 2,
        groups: 1,
    };
    assert_eq!(error("(a)", r"\2"), group);
    assert_eq!(error("a", r"\n"), RewriteError::Backslash);
    assert_eq!(error("a", "x\\"), RewriteError::Backslash);
    assert!(matches!(error("(", ""), RewriteError::Pattern(_)));
}

#[test]
fn a_rewritten_text_stays_small() {
    let rewrite = RegexRewrite::new("a", &"b".repeat(1000)).unwrap();
    assert!(rewrite.apply(&"a".repeat(10)).is_some());
    assert_eq!(rewrite.apply(&"a".repeat(1000)), None);
}
