//! Tests of paths as routing and policy see them.

use super::*;

fn check(mode: Normalization, path: &str, expected: Result<&str, MalformedPath>) {
    let found = normalize(path, mode);
    assert_eq!(
        found.as_deref().map_err(|e| *e),
        expected,
        "{mode:?} {path}"
    );
    if let Ok(once) = found {
        assert_eq!(
            normalize(&once, mode).as_deref(),
            Ok(&*once),
            "{mode:?} {path}: twice is once"
        );
    }
}

#[test]
fn base_resolves_dot_segments_as_rfc_3986_says() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/./c", "/a/b/c"),
        ("/a/b/../../../../c", "/c"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/.", "/"),
        ("/../", "/"),
        ("/a//../b", "/a/b"),
        ("/a/...", "/a/..."),
        ("/a/..b/.c/d..", "/a/..b/.c/d.."),
        ("/.well-known/x", "/.well-known/x"),
    ] {
        check(Normalization::Base, path, Ok(expected));
    }
}

#[test]
fn base_takes_a_backslash_for_a_slash() {
    check(Normalization::Base, "/a/..\\c", Ok("/c"));
    check(Normalization::Base, "/a\\b", Ok("/a/b"));
    check(Normalization::Base, "\\a", Ok("/a"));
}

#[test]
fn base_undoes_escapes_of_unreserved_characters_and_keeps_all_others_as_they_are_written() {
    for (path, expected) in [
        ("/a/b/%2E%2e/c", "/a/c"),
        ("/%61dmin", "/admin"),
        ("/%7euser", "/~user"),
        ("/%5c%25", "/%5c%25"),
        ("/a/%2F%2f/c", "/a/%2F%2f/c"),
        ("/%c0%af", "/%c0%af"),
        ("/A/B/C", "/A/B/C"),
        ("/a%20b", "/a%20b"),
    ] {
        check(Normalization::Base, path, Ok(expected));
    }
}

#[test]
fn slashes_are_merged_only_where_that_is_asked_for() {
    check(Normalization::Base, "/a//b", Ok("/a//b"));
    check(Normalization::MergeSlashes, "/a//b///", Ok("/a/b/"));
    check(Normalization::MergeSlashes, "//", Ok("/"));
    check(Normalization::MergeSlashes, "/a/%2f/b", Ok("/a/%2f/b"));
}

#[test]
fn escaped_slashes_are_decoded_only_where_that_is_asked_for() {
    let mode = Normalization::DecodeAndMergeSlashes;
    check(mode, "/a%2Fb", Ok("/a/b"));
    check(mode, "/a%5cb", Ok("/a/b"));
    check(mode, "/a%2f%2Fb", Ok("/a/b"));
    check(mode, "/public/..%2fadmin", Ok("/admin"));
    check(mode, "/public%2f%2e%2e%2fadmin", Ok("/admin"));
}

#[test]
fn a_parent_between_escaped_slashes_is_refused_where_slashes_stay_escaped() {
    for path in [
        "/public/..%2fadmin",
        "/public/%2e%2e%2Fadmin",
        "/public%2f..",
        "/public%5c..%5cadmin",
        "/public/x%2f../y",
    ] {
        check(Normalization::Base, path, Err(MalformedPath::HiddenParent));
        check(
            Normalization::MergeSlashes,
            path,
            Err(MalformedPath::HiddenParent),
        );
    }
    check(Normalization::Base, "/a%2f..b", Ok("/a%2f..b"));
}

#[test]
fn dots_with_parameters_are_refused() {
    let modes = [
        Normalization::Base,
        Normalization::MergeSlashes,
        Normalization::DecodeAndMergeSlashes,
    ];
    let refused = Err(MalformedPath::DotsWithParameters);
    for mode in modes {
        for path in [
            "/public/..;/admin",
            "/public/..;x=y/admin",
            "/public/.;/../admin",
            "/public/%2e%2e;/admin",
            "/public/..%3b/admin",
            "/public/..;",
            "/.;",
        ] {
            check(mode, path, refused);
        }
        for path in ["/a/..b;/c", "/a/...;/c", "/a;../b", "/a;x/b", "/;/a"] {
            check(mode, path, Ok(path));
        }
    }
    let hidden = Err(MalformedPath::HiddenParent);
    check(Normalization::Base, "/public/x%2f..;/y", hidden);
    check(Normalization::None, "/a/..;/b", Ok("/a/..;/b"));
}

#[test]
fn an_escaped_nul_is_refused() {
    check(
        Normalization::Base,
        "/xyz/.%00../abc",
        Err(MalformedPath::Nul),
    );
    check(
        Normalization::None,
        "/xyz/.%00../abc",
        Ok("/xyz/.%00../abc"),
    );
}

#[test]
fn a_stray_percent_sign_never_becomes_an_escape() {
    check(
        Normalization::Base,
        "/a/%%32%65%%32%65/b",
        Ok("/a/%%32e%%32e/b"),
    );
    check(Normalization::Base, "/100%", Ok("/100%"));
    check(Normalization::Base, "/100%/%7e", Ok("/100%/~"));
    check(Normalization::Base, "/%2", Ok("/%2"));
    check(Normalization::Base, "/%2%35", Ok("/%2%35"));
    check(Normalization::Base, "/%zz", Ok("/%zz"));
}

#[test]
fn none_leaves_everything_as_it_is() {
    check(Normalization::None, "/a/../b//c\\d", Ok("/a/../b//c\\d"));
}

#[test]
fn the_asterisk_form_is_left_and_a_relative_path_is_refused() {
    check(Normalization::Base, "*", Ok("*"));
    check(Normalization::Base, "a/b", Err(MalformedPath::Relative));
}

#[test]
fn a_plain_path_is_not_copied() {
    for path in ["/", "/a/b/c.html", "/a.b/c..d/e%", "/x/%20"] {
        let found = normalize(path, Normalization::Base).unwrap();
        assert!(matches!(found, Cow::Borrowed(_)), "{path}");
    }
}

#[test]
fn no_random_path_has_a_second_normal_form() {
    let alphabet = [
        "/", "\\", ".", "%", "2", "e", "F", "a", "%2e", "%2F", "%5c", "%32", "//", "..",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200_000 {
        let mut path = String::from("/");
        for _ in 0..random.usize(0..12) {
            path.push_str(alphabet[random.usize(0..alphabet.len())]);
        }
        for mode in [
            Normalization::Base,
            Normalization::MergeSlashes,
            Normalization::DecodeAndMergeSlashes,
        ] {
            let Ok(once) = normalize(&path, mode) else {
                continue;
            };
            assert!(once.starts_with('/'), "{mode:?} {path} -> {once}");
            let climbs = once.split('/').any(|segment| segment == "..");
            assert!(!climbs, "{mode:?} {path} -> {once}");
            assert_eq!(
                normalize(&once, mode).as_deref(),
                Ok(&*once),
                "{mode:?} {path} -> {once}"
            );
        }
    }
}
