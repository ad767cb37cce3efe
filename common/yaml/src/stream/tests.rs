//! Documents of one text.

use proptest::prelude::{prop, proptest};

use super::parts;
use crate::{Node, Value};

fn split(text: &str) -> Vec<(u64, &str)> {
    parts(text).map(|part| (part.line(), part.text())).collect()
}

#[test]
fn a_text_without_markers_is_one_document() {
    assert_eq!(split("a: 1\nb: 2"), [(1, "a: 1\nb: 2")]);
    assert_eq!(split("a: 1\n"), [(1, "a: 1\n")]);
}

#[test]
fn a_marker_opens_a_document_and_ends_the_one_before() {
    assert_eq!(
        split("---\na: 1\n---\nb: 2\n--- # third\nc: 3\n"),
        [
            (1, "---\na: 1\n"),
            (3, "---\nb: 2\n"),
            (5, "--- # third\nc: 3\n")
        ]
    );
    assert_eq!(
        split("a: 1\r\n---\r\nb: 2\r\n"),
        [(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]
    );
    assert_eq!(
        split("--- {a: 1}\n--- {b: 2}"),
        [(1, "--- {a: 1}\n"), (2, "--- {b: 2}")]
    );
}

#[test]
fn three_dots_end_a_document() {
    assert_eq!(
        split("a: 1\n...\n# between\n%YAML 1.2\n---\nb: 2\n...\n"),
        [
            (1, "a: 1\n...\n"),
            (3, "# between\n%YAML 1.2\n---\nb: 2\n...\n")
        ]
    );
}

#[test]
fn documents_in_which_nothing_is_written_are_left_out() {
    assert_eq!(split(""), []);
    assert_eq!(split("# only a comment\n\n"), []);
    assert_eq!(
        split("---\n---\n# x\n---\na: 1\n---\n"),
        [(4, "---\na: 1\n")]
    );
    assert_eq!(split("\u{feff}a: 1\n"), [(1, "a: 1\n")]);
}

#[test]
fn what_only_looks_like_a_marker_is_text() {
    for text in ["---a: 1\n", "a: |\n  ---\n  x\n", "----\n", "a: b ---\n"] {
        assert_eq!(split(text), [(1, text)], "{text:?}");
    }
}

#[test]
fn positions_are_those_of_the_whole_text() {
    let nodes: Vec<_> = Node::parse_all("# head\na: 1\n---\n\nb:\n  - x\n--- \nc: 2\n")
        .map(|node| match node.unwrap().value {
            Value::Mapping(entries) => {
                let (key, node) = &entries[0];
                (key.text.clone(), key.position.line, node.position.line)
            }
            Value::Null | Value::Scalar(_) | Value::List(_) => panic!("no mapping"),
        })
        .collect();
    assert_eq!(
        nodes,
        [
            ("a".to_owned(), 2, 2),
            ("b".to_owned(), 5, 6),
            ("c".to_owned(), 8, 8)
        ]
    );
}

#[test]
fn a_malformed_document_does_not_take_others_along() {
    let read: Vec<_> = Node::parse_all("a: 1\n---\nb: [\n---\nc: \"x\n---\nd: 4\n")
        .map(|node| {
            node.map(|node| node.position.line)
                .map_err(|e| e.position.line)
        })
        .collect();
    assert_eq!(read.len(), 4);
    assert_eq!((&read[0], &read[3]), (&Ok(1), &Ok(7)));
    assert!(matches!(read[1], Err(3..=4)), "{read:?}");
    assert!(matches!(read[2], Err(5..=6)), "{read:?}");
}

#[test]
fn anchors_do_not_cross_documents() {
    let read: Vec<_> = Node::parse_all("a: &x 1\n---\nb: *x\n")
        .map(|node| node.is_ok())
        .collect();
    assert_eq!(read, [true, false]);
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Together with what is left out, the parts are the text.
    #[test]
    fn nothing_that_is_written_is_lost(pieces in prop::collection::vec(0_usize..8, 0..30)) {
        const PIECES: [&str; 8] = ["---\n", "...\n", "a: 1\n", "# c\n", "\n", "%YAML 1.2\n", "--- x\n", "-- -\n"];
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut written = vec![false; lines.len()];
        for part in parts(&text) {
            let first = usize::try_from(part.line()).unwrap() - 1;
            for (offset, line) in part.text().split_inclusive('\n').enumerate() {
                assert_eq!(lines[first + offset], line);
                written[first + offset] = true;
            }
            assert!(part.text().split_inclusive('\n').skip(1).filter(|line| line.starts_with("--- ")).count() == 0
                || part.text().lines().next().unwrap().starts_with(['#', '%']) || part.text().starts_with('\n'));
        }
        for (line, written) in lines.iter().zip(written) {
            assert!(written || !matches!(*line, "a: 1\n" | "--- x\n" | "-- -\n"), "{line:?} is lost");
        }
    }
}
