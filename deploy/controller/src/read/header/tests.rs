//! What may be done to which header.

use yaml::{Document, Node, cursor::Unknown};

use super::*;

fn read<T>(
    text: &str,
    read: impl Fn(&Cursor<'_>) -> Result<T, Error>,
) -> (Result<T, String>, usize) {
    let node = Node::parse(text).unwrap();
    let document = Document::new("m.yaml", Unknown::Warn);
    let value = read(&document.top(&node)).map_err(|error| error.to_string());
    (value, document.into_warnings().len())
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn edits_are_read_with_names_in_lower_case() {
    let (edits, warnings) = read(
        "request: {set: {X-A: '%REQ(x)%', Host: h}, add: {b: ''}, remove: [C, c]}\nresponse: {add: {d: e}}",
        edits,
    );
    let expected = HeaderEdits {
        request: HeaderEdit {
            set: pairs(&[("x-a", "%REQ(x)%"), (":authority", "h")]),
            add: pairs(&[("b", "")]),
            remove: BTreeSet::from(["c".to_owned()]),
        },
        response: HeaderEdit {
            add: pairs(&[("d", "e")]),
            ..HeaderEdit::default()
        },
    };
    assert_eq!((edits, warnings), (Ok(expected), 0));
    // There is one authority, so to add it is to set it.
    let (added, _) = read("request: {add: {':authority': h}}", super::edits);
    assert_eq!(added.unwrap().request.set, pairs(&[(":authority", "h")]));
}

#[test]
fn the_framing_and_what_begins_with_a_colon_are_left_alone() {
    for wrong in [
        "request: {set: {Content-Length: '1'}}",
        "request: {add: {transfer-encoding: chunked}}",
        "request: {remove: [content-length]}",
        "request: {remove: [host]}",
        "request: {remove: [':authority']}",
        "request: {set: {':path': /}}",
        "response: {set: {host: h}}",
        "response: {set: {':status': '200'}}",
    ] {
        let (edits, _) = read(wrong, edits);
        assert!(edits.unwrap_err().ends_with(EDITABLE), "{wrong}");
    }
    for (wrong, error) in [
        (
            "request: {set: {'a b': c}}",
            "1:17: request.set[\"a b\"]: found \"a b\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "request: {set: {a: \"b\\nc\"}}",
            "1:20: request.set.a: found \"b\\nc\", expected the value of a header: at most 4096 bytes without control characters",
        ),
        (
            "request: {set: {A: b, a: c}}",
            "1:23: request.set.a: found \"a\", expected each header once: their names know no case",
        ),
        (
            "request: {set: {host: b}, add: {':authority': c}}",
            "1:32: request.add: found a mapping of 1, expected no other :authority than that of set",
        ),
        (
            "request: {set: [a]}",
            "1:16: request.set: found a list of 1, expected a mapping of names of headers to values",
        ),
    ] {
        assert_eq!(read(wrong, edits).0, Err(format!("m.yaml:{error}")));
    }
}

#[test]
fn a_filter_has_lists_whose_first_of_a_name_counts() {
    let modifier = |at: &Cursor<'_>| modifier(at, Of::Request);
    let (edit, warnings) = read(
        "set: [{name: A, value: b}, {name: a, value: c}]\nremove: [d]",
        modifier,
    );
    let expected = HeaderEdit {
        set: pairs(&[("a", "b")]),
        add: BTreeMap::new(),
        remove: BTreeSet::from(["d".to_owned()]),
    };
    assert_eq!((edit, warnings), (Ok(expected), 1));
    for (wrong, error) in [
        (
            "{}",
            "1:1: top level: found a mapping of 0, expected a mapping with at least one of set, add and remove",
        ),
        (
            "set: [{name: a}]",
            "1:7: set[0].value: missing, expected the value of a header: at most 4096 bytes without control characters",
        ),
        (
            "set: [{value: a}]",
            "1:7: set[0].name: missing, expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "set: {a: b}",
            "1:6: set: found a mapping of 1, expected a list of headers with name and value",
        ),
    ] {
        assert_eq!(read(wrong, modifier).0, Err(format!("m.yaml:{error}")));
    }
    let seventeen: String = (0..17).map(|n| format!("- h{n}\n")).collect();
    let (edit, _) = read(&format!("remove:\n{seventeen}"), modifier);
    assert!(edit.unwrap_err().ends_with("at most 16"));
}
