//! Documents point at what is there.

use tidy::{
    apply, documents,
    tree::{self, File},
};

#[test]
fn links_lead_somewhere() {
    let root = tree::root();
    assert_eq!(
        apply(&tree::documents().unwrap(), |file| documents::links(
            file, &root
        )),
        Vec::<String>::new()
    );
}

#[test]
fn paths_lead_somewhere() {
    let root = tree::root();
    assert_eq!(
        apply(&tree::documents().unwrap(), |file| documents::paths(
            file, &root
        )),
        Vec::<String>::new()
    );
}

#[test]
fn a_dead_link_and_a_dead_path_are_found() {
    let root = tree::root();
    let file = |text: &str| File {
        path: "tests/tidy/README.md".to_owned(),
        text: text.to_owned(),
    };
    let dead_links = |text: &str| documents::links(&file(text), &root).len();
    assert_eq!(
        dead_links(
            "[a](../lab/README.md) [b](https://example.org/x) [c](README.md#tidy) [d](#tidy)"
        ),
        0
    );
    assert_eq!(dead_links("[a](../lab/NOTHING.md)"), 1);
    assert_eq!(dead_links("[a](README.md#nothing)"), 1);
    assert_eq!(dead_links("```\n[a](../lab/NOTHING.md)\n```"), 0);
    let dead_paths = |text: &str| documents::paths(&file(text), &root).len();
    assert_eq!(
        dead_paths(
            "`tests/lab/src/lib.rs` and `tests/tidy/tests/documents.rs::links_lead_somewhere`, `a/b`"
        ),
        0
    );
    assert_eq!(dead_paths("`tests/lab/src/nothing.rs`"), 1);
    assert_eq!(
        dead_paths("`common/<crate>/src/lib.rs` and `target/release/ztunnel`"),
        0
    );
}
