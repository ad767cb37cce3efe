//! Fields, paths, and what is told of them.

use super::{Cursor, Document, Error, Unknown};
use crate::{Node, scalar};

fn read<T>(
    text: &str,
    unknown: Unknown,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) -> (Result<T, String>, Vec<String>) {
    let node = Node::parse(text).unwrap();
    let document = Document::new("f.yaml", unknown);
    let result = read(&document.top(&node)).map_err(|error| error.to_string());
    let warnings = document.into_warnings();
    (result, warnings.iter().map(ToString::to_string).collect())
}

fn spec(at: &Cursor<'_>) -> Result<Option<bool>, Error> {
    let object = at.object("an object", &["spec"])?;
    let spec = object.optional("spec", |at| {
        at.object("a spec", &["hostNetwork", "nodeName"])?
            .nullable("hostNetwork", scalar::boolean)
    })?;
    Ok(spec.flatten())
}

#[test]
fn an_unknown_field_is_refused_or_warned_of_with_its_path() {
    let text = "spec:\n  hostNetwrk: true\n  x: 1\n  nodeName: n\n";
    assert_eq!(
        read(text, Unknown::Refuse, spec).0.unwrap_err(),
        "f.yaml:2:3: spec.hostNetwrk: unknown field (did you mean hostNetwork?), expected one of hostNetwork, nodeName"
    );
    let (result, warnings) = read(text, Unknown::Warn, spec);
    assert_eq!(result, Ok(None));
    assert_eq!(
        warnings,
        [
            "spec.hostNetwrk: unknown field, ignored (did you mean hostNetwork?)",
            "spec.x: unknown field, ignored"
        ]
    );
}

#[test]
fn a_key_that_comes_twice_is_refused_in_both_modes() {
    let text = "spec:\n  hostNetwork: true\n  hostNetwork: false\n";
    for unknown in [Unknown::Refuse, Unknown::Warn] {
        assert_eq!(
            read(text, unknown, spec).0.unwrap_err(),
            "f.yaml:3:3: spec.hostNetwork: found \"hostNetwork\", which line 2 has already, expected each key once"
        );
    }
    let mut many: String = (0..40).map(|n| format!("k{n}: 1\n")).collect();
    many.push_str("k7: 2\n");
    let (result, _) = read(&many, Unknown::Warn, |at| at.object("x", &[]).map(drop));
    assert_eq!(
        result.unwrap_err(),
        "f.yaml:41:1: k7: found \"k7\", which line 8 has already, expected each key once"
    );
}

#[test]
fn keys_that_come_twice_are_found_where_no_reader_looks() {
    let text = "spec:\n  a:\n    - b: 1\n    - {c: 1, c: 2}\n";
    assert_eq!(
        read(text, Unknown::Warn, |at| at.keys_once())
            .0
            .unwrap_err(),
        "f.yaml:4:14: spec.a[1].c: found \"c\", which line 4 has already, expected each key once"
    );
}

#[test]
fn one_field_is_read_whatever_stands_beside_it() {
    let text = "other: [1]\nkind: Pod\nnothing: null\n";
    let (kind, warnings) = read(text, Unknown::Warn, |at| {
        Ok((
            at.field("kind", scalar::text)?,
            at.field("nothing", scalar::text)?,
            at.field("absent", scalar::text)?,
        ))
    });
    assert_eq!(kind, Ok((Some("Pod".to_owned()), None, None)));
    assert!(warnings.is_empty());
    let (kind, _) = read("[1]", Unknown::Warn, |at| at.field("kind", scalar::text));
    assert_eq!(kind, Ok(None));
}

#[test]
fn paths_quote_what_is_no_plain_word() {
    let text = "metadata:\n  labels:\n    app.kubernetes.io/name: [x]\n";
    let (result, _) = read(text, Unknown::Warn, |at| {
        at.field("metadata", |at| {
            at.field("labels", |at| {
                at.entries("labels", |_, value| scalar::text(value).map(drop))
            })
        })
    });
    assert_eq!(
        result.unwrap_err(),
        "f.yaml:3:29: metadata.labels[\"app.kubernetes.io/name\"]: found a list of 1, expected a text"
    );
}

#[test]
fn warnings_are_bounded() {
    let text: String = (0..1000).map(|n| format!("k{n}: 1\n")).collect();
    let (_, warnings) = read(&text, Unknown::Warn, |at| at.object("x", &[]).map(drop));
    assert_eq!(warnings.len(), super::MAX_WARNINGS);
}
