//! Edits of headers.

use crate::{
    objects::HeaderEdit,
    render::routing::edits::{Values, authority, edits, merged},
};

fn edit(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderEdit {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    HeaderEdit {
        set: map(set),
        add: map(add),
        remove: remove.iter().map(|it| (*it).to_owned()).collect(),
    }
}

#[test]
fn a_percent_sign_of_the_gateway_api_is_only_that() {
    let it = edit(&[("x-share", "100%")], &[("x-user", "%REQ(x)%")], &[]);
    let literal = edits(&it, Values::Literals).unwrap();
    assert_eq!(literal.set[0].value, "100%%");
    assert_eq!(literal.add[0].value, "%%REQ(x)%%");
    let format = edits(&it, Values::Formats).unwrap();
    assert_eq!(format.add[0].value, "%REQ(x)%");
}

#[test]
fn an_edit_of_the_authority_is_no_edit_of_headers() {
    let it = edit(
        &[("host", "a")],
        &[(":authority", "b"), (":path", "/")],
        &["host"],
    );
    assert_eq!(edits(&it, Values::Formats), None);
    assert_eq!(authority(&it), Some("a"));
    assert_eq!(authority(&edit(&[], &[("host", "b")], &[])), Some("b"));
    assert_eq!(authority(&edit(&[("x", "b")], &[], &[])), None);
}

/// What an edit makes of a message, one after the other as the wire says.
fn applied(edits: &[HeaderEdit]) -> Vec<(String, String)> {
    let mut headers = vec![
        ("a".to_owned(), "0".to_owned()),
        ("b".to_owned(), "0".to_owned()),
    ];
    for it in edits {
        headers.retain(|(name, _)| !it.remove.contains(name));
        for (name, value) in &it.set {
            headers.retain(|(is, _)| is != name);
            headers.push((name.clone(), value.clone()));
        }
        for (name, value) in &it.add {
            headers.push((name.clone(), value.clone()));
        }
    }
    // Several lines of a header are one list.
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        match joined.iter_mut().find(|(is, _)| *is == name) {
            Some((_, known)) => *known = format!("{known},{value}"),
            None => joined.push((name, value)),
        }
    }
    joined.sort();
    joined
}

#[test]
fn two_edits_as_one_do_what_they_do_one_after_the_other() {
    let some = [
        edit(&[], &[], &[]),
        edit(&[("a", "1")], &[], &[]),
        edit(&[], &[("a", "2")], &[]),
        edit(&[], &[], &["a"]),
        edit(&[("a", "3")], &[("a", "4"), ("b", "5")], &["b"]),
        edit(&[("c", "6")], &[("a", "7")], &["a"]),
    ];
    for first in &some {
        for then in &some {
            let one = applied(&[merged(first, then)]);
            let both = applied(&[first.clone(), then.clone()]);
            assert_eq!(one, both, "{first:?}, {then:?}");
        }
    }
}
