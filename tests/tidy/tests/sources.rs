//! Rust files keep their shape.

use tidy::{
    apply,
    sources::{MAX_LINES, attributes, roots, safety, shape},
    tree::{self, File},
};

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn every_rust_file_says_what_it_is_for_and_is_short() {
    assert_eq!(
        apply(&tree::rust_files().unwrap(), shape),
        Vec::<String>::new()
    );
}

#[test]
fn lints_are_expected_with_reasons_and_never_allowed() {
    assert_eq!(
        apply(&tree::rust_files().unwrap(), attributes),
        Vec::<String>::new()
    );
}

#[test]
fn what_the_compiler_cannot_check_stays_on_its_islands() {
    let files = tree::rust_files().unwrap();
    assert_eq!(apply(&files, safety), Vec::<String>::new());
    assert_eq!(apply(&files, roots), Vec::<String>::new());
}

#[test]
fn the_tree_is_found() {
    let files = tree::rust_files().unwrap();
    assert!(files.len() > 100, "{} files", files.len());
    assert!(
        files
            .iter()
            .any(|file| file.path == "tests/tidy/tests/sources.rs")
    );
}

#[test]
fn a_file_without_a_head_or_too_long_or_called_mod_is_found() {
    let complaints = |path: &str, text: &str| shape(&file(path, text)).len();
    assert_eq!(complaints("a.rs", "//! Something.\n"), 0);
    assert_eq!(complaints("a.rs", "use std::io;\n//! Something.\n"), 1);
    assert_eq!(
        complaints(
            "a.rs",
            &format!("//! Something.\n{}", "\n".repeat(MAX_LINES - 1))
        ),
        0
    );
    assert_eq!(
        complaints(
            "a.rs",
            &format!("//! Something.\n{}", "\n".repeat(MAX_LINES))
        ),
        1
    );
    assert_eq!(complaints("a/mod.rs", "//! Something.\n"), 1);
}

#[test]
fn an_attribute_that_allows_is_found_wherever_it_stands() {
    let complaints = |text: &str| attributes(&file("a.rs", text)).len();
    assert_eq!(complaints(concat!("#[al", "low(dead_code)]")), 1);
    assert_eq!(complaints(concat!("    #![al", "low(dead_code)]")), 1);
    assert_eq!(
        complaints(concat!("#[cfg_attr(test, al", "low(dead_code))]")),
        1
    );
    assert_eq!(
        complaints("#[expect(dead_code, reason = \"not yet\")]\nfn allow(x: u8) {}"),
        0
    );
}

#[test]
fn code_off_the_islands_is_found_and_words_that_only_look_like_it_are_not() {
    let code = concat!("    un", "safe { read(fd) }");
    let complaints = |path: &str, text: &str| safety(&file(path, text)).len();
    assert_eq!(complaints("common/mesh/src/a.rs", code), 1);
    assert_eq!(complaints("common/net/src/a.rs", code), 0);
    assert_eq!(
        complaints(
            "common/mesh/src/a.rs",
            concat!("#![forbid(un", "safe_code)]\n// un", "safe")
        ),
        0
    );
    assert_eq!(
        roots(&file("common/mesh/src/lib.rs", "//! Nouns.\n")).len(),
        1
    );
    assert_eq!(
        roots(&file("common/net/src/lib.rs", "//! Sockets.\n")).len(),
        0
    );
}
