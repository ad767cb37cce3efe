//! Percentages, counts, status codes.

use yaml::{Document, Node, cursor::Unknown};

use super::*;

fn read<T>(
    text: &str,
    read: impl Fn(&Cursor<'_>) -> Result<T, Error>,
) -> (Result<T, String>, usize) {
    let node = Node::parse(&format!("'{text}'")).unwrap();
    let document = Document::new("m.yaml", Unknown::Warn);
    let value = read(&document.top(&node)).map_err(|error| error.to_string());
    (value, document.into_warnings().len())
}

#[test]
fn four_decimals_of_a_percentage_count() {
    for (text, parts, warnings) in [
        ("0", 0, 0),
        ("100", 1_000_000, 0),
        ("100.0", 1_000_000, 0),
        ("50", 500_000, 0),
        ("0.1", 1_000, 0),
        ("0.0001", 1, 0),
        ("33.3333", 333_333, 0),
        ("33.33333333", 333_333, 1),
        ("0.00001", 0, 1),
        ("1.00000000", 10_000, 0),
    ] {
        let share = Share::of_million(parts);
        assert_eq!(read(text, percent), (Ok(share), warnings), "{text}");
    }
    for text in [
        "",
        "-1",
        "100.0001",
        "101",
        "1e1",
        "1.",
        ".5",
        "1.2.3",
        "50%",
        " 50",
        "007",
        "1.-5",
        "NaN",
        "1.\u{661}",
    ] {
        let (share, _) = read(text, percent);
        let error = format!("m.yaml:1:1: top level: found {text:?}, expected {PERCENT}");
        assert_eq!(share, Err(error));
    }
}

#[test]
fn counts_are_those_of_the_api() {
    assert_eq!(read("2147483647", count).0, Ok(2_147_483_647));
    for text in ["2147483648", "-1", "1.0", "", "01"] {
        assert!(read(text, count).0.is_err(), "{text}");
    }
    assert_eq!(read("599", status).0, Ok(599));
    for text in ["199", "600", "100", "OK"] {
        assert!(read(text, status).0.is_err(), "{text}");
    }
}
