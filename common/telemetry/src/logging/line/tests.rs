//! The two formats of a line.

use tracing::Level;

use super::{Line, MAX_VALUE_BYTES};
use crate::{logging::Format, testkit::wall};

fn line(format: Format, fields: impl FnOnce(&mut Line<'_>)) -> String {
    let mut out = String::new();
    let mut line = Line::begin(
        &mut out,
        format,
        wall(),
        Level::INFO,
        "access",
        "it happened",
    );
    fields(&mut line);
    line.end();
    out
}

#[test]
fn a_text_line_has_a_tabbed_head_and_spaced_fields() {
    let text = line(Format::Text, |line| {
        line.bare("addr", "10.0.0.1:80");
        line.quoted("name", "client");
        line.literal("bytes", 7);
    });
    assert_eq!(
        text,
        "2024-11-21T15:33:44.464123Z\tinfo\taccess\tit happened\taddr=10.0.0.1:80 name=\"client\" bytes=7\n"
    );
}

#[test]
fn a_json_line_has_flat_keys() {
    let text = line(Format::Json, |line| {
        line.bare("addr", "10.0.0.1:80");
        line.quoted("a.name", "client");
        line.literal("bytes", 7);
    });
    assert_eq!(
        text,
        "{\"level\":\"info\",\"time\":\"2024-11-21T15:33:44.464123Z\",\"scope\":\"access\",\
         \"message\":\"it happened\",\"addr\":\"10.0.0.1:80\",\"a.name\":\"client\",\"bytes\":7}\n"
    );
}

#[test]
fn a_line_without_fields_ends_after_its_message() {
    assert_eq!(
        line(Format::Text, |_| {}),
        "2024-11-21T15:33:44.464123Z\tinfo\taccess\tit happened\n"
    );
}

#[test]
fn no_value_can_forge_a_line_or_drive_a_terminal() {
    let hostile = "a\"\n\t\u{1b}[2J\\\u{85}";
    let text = line(Format::Text, |line| line.quoted("error", hostile));
    assert!(
        text.ends_with("error=\"a\\\"\\n\\t\\u001b[2J\\\\\\u0085\"\n"),
        "{text:?}"
    );
    let json = line(Format::Json, |line| line.quoted("error", hostile));
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["error"], hostile);
}

#[test]
fn a_bare_value_that_would_look_like_two_fields_is_quoted() {
    for (value, expected) in [
        ("a b=\"c\"", "addr=\"a b=\\\"c\\\"\"\n"),
        ("", "addr=\"\"\n"),
        ("[::1]:80", "addr=[::1]:80\n"),
        ("a\nb", "addr=\"a\\nb\"\n"),
    ] {
        let text = line(Format::Text, |line| line.bare("addr", value));
        assert!(text.ends_with(expected), "{text:?}");
    }
}

#[test]
fn a_long_value_is_cut_at_a_character_and_marked() {
    let long = format!("{}ä-more", "x".repeat(MAX_VALUE_BYTES - 1));
    let text = line(Format::Text, |line| {
        line.quoted("long", &long);
        line.quoted("next", "kept");
    });
    let expected = format!(
        "long=\"{}…\" next=\"kept\"\n",
        "x".repeat(MAX_VALUE_BYTES - 1)
    );
    assert!(text.ends_with(&expected), "{}", &text[text.len() - 80..]);
}
