//! Whatever the bytes of a file are, reading it ends in a value or an error.

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::super::{FileError, Resources, parse};

const EXAMPLE: &str = include_str!("../../../../../deploy/examples/local/mesh.yaml");

/// Pieces that YAML or the format give a meaning.
const PIECES: &[&str] = &[
    "- ",
    ": ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "*",
    "&a ",
    "*a",
    "!Exact ",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "---\n",
    "<<: ",
    "~",
    "null",
    "0",
    "65536",
    "-1",
    "1e999",
    ".inf",
    "::",
    "/",
    "/0",
    "10.0.0.1",
    "\t",
    "\u{0}",
    "\u{feff}",
    "é",
    "principals",
    "notPrincipals",
    "rules",
    "policies",
    "workloads: []\n",
    "{exact: ",
    "{presence: {}}",
];

/// What every outcome must satisfy.
fn judge(text: &str) {
    match parse(text, "mesh.yaml") {
        Ok(resources) => {
            // Reading it again finds the same, so nothing would be sent twice.
            let again = parse(text, "mesh.yaml").unwrap();
            assert!(again.changes_since(&resources).is_empty());
            let first = resources.changes_since(&Resources::default());
            assert_eq!(first.upserts.len(), resources.len());
        }
        Err(error) => {
            let lines = u64::try_from(text.lines().count()).unwrap() + 1;
            let line = error.line().unwrap();
            assert!(
                (1..=lines).contains(&line),
                "line {line} of {lines}: {error}"
            );
            assert!(error.to_string().starts_with("mesh.yaml:"), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            match &error {
                FileError::Field { field, .. } => assert!(!field.is_empty()),
                FileError::Yaml { message, .. } => assert!(!message.is_empty()),
                FileError::Read { .. }
                | FileError::NotAFile { .. }
                | FileError::TooLarge { .. }
                | FileError::Changing { .. }
                | FileError::NotUtf8 { .. } => panic!("{error}"),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Delete { at: usize, length: usize },
    Insert { at: usize, piece: &'static str },
    Repeat { at: usize, length: usize },
    Cut { at: usize },
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 1_usize..40).prop_map(|(at, length)| Edit::Delete { at, length }),
        (any::<usize>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Insert {
            at,
            piece: PIECES[piece]
        }),
        (any::<usize>(), 1_usize..200).prop_map(|(at, length)| Edit::Repeat { at, length }),
        any::<usize>().prop_map(|at| Edit::Cut { at }),
    ]
}

fn apply(text: &mut Vec<char>, edit: &Edit) {
    let length = text.len();
    match *edit {
        Edit::Delete { at, length: count } => {
            let start = at % (length + 1);
            text.drain(start..(start + count).min(length));
        }
        Edit::Insert { at, piece } => {
            let start = at % (length + 1);
            text.splice(start..start, piece.chars());
        }
        Edit::Repeat { at, length: count } => {
            let start = at % (length + 1);
            let piece = text[start..(start + count).min(length)].to_vec();
            text.splice(start..start, piece);
        }
        // Mostly the end of the file, as a writer that was interrupted leaves it.
        Edit::Cut { at } => text.truncate(length - at % (length / 4 + 1)),
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_file_never_panics(edits in prop::collection::vec(edit(), 1..6)) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for edit in &edits {
            apply(&mut text, edit);
        }
        judge(&text.iter().collect::<String>());
    }

    #[test]
    fn arbitrary_pieces_never_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        judge(&pieces.iter().map(|piece| PIECES[*piece]).collect::<String>());
    }
}
