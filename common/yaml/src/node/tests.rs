//! YAML with positions.

use std::fmt::Write as _;

use super::{Node, Value};

/// The tree in one line, with the position of every node.
fn shape(node: &Node) -> String {
    let tag = node
        .tag
        .as_deref()
        .map_or(String::new(), |tag| format!("!{tag}:"));
    let at = format!("@{}:{}", node.position.line, node.position.column);
    match &node.value {
        Value::Null => format!("{tag}null{at}"),
        Value::Scalar(text) => format!("{tag}{text}{at}"),
        Value::List(items) => format!(
            "{tag}[{}]{at}",
            items.iter().map(shape).collect::<Vec<_>>().join(" ")
        ),
        Value::Mapping(entries) => {
            let mut text = String::new();
            for (key, value) in entries {
                let separator = if text.is_empty() { "" } else { " " };
                write!(
                    text,
                    "{separator}{}@{}:{}={}",
                    key.text,
                    key.position.line,
                    key.position.column,
                    shape(value)
                )
                .unwrap();
            }
            format!("{tag}{{{text}}}{at}")
        }
    }
}

#[test]
fn every_node_knows_where_it_stands() {
    let node = Node::parse("a: x\nb:\n  - 1\n  - \"two\"\nc: {80: 8080}\n").unwrap();
    assert_eq!(
        shape(&node),
        "{a@1:1=x@1:4 b@2:1=[1@3:5 two@4:5]@3:3 c@5:1={80@5:5=8080@5:9}@5:4}@1:1"
    );
}

#[test]
fn scalars_keep_what_was_written() {
    let node = Node::parse("- 1.10\n- 007\n- no\n- TRUE\n- 0x50\n- 1e3\n- \"80\"\n- 18446744073709551616\n- .inf\n- 1_000  # x\n").unwrap();
    let Value::List(items) = node.value else {
        panic!("no list")
    };
    let texts: Vec<_> = items
        .iter()
        .map(|item| match &item.value {
            Value::Scalar(text) => text.as_str(),
            Value::Null | Value::List(_) | Value::Mapping(_) => "not a scalar",
        })
        .collect();
    assert_eq!(
        texts,
        [
            "1.10",
            "007",
            "no",
            "TRUE",
            "0x50",
            "1e3",
            "80",
            "18446744073709551616",
            ".inf",
            "1_000"
        ]
    );
}

#[test]
fn nothing_null_and_a_tilde_are_null_but_quotes_are_text() {
    assert_eq!(
        shape(&Node::parse("[null, ~, '', \"null\"]").unwrap()),
        "[null@1:2 null@1:8 @1:11 null@1:15]@1:1"
    );
    assert_eq!(shape(&Node::parse("a:\n").unwrap()), "{a@1:1=null@1:2}@1:1");
}

#[test]
fn tags_are_kept_without_their_marks_and_standard_ones_dropped() {
    let node = Node::parse("- !Exact x\n- !Presence\n- !!str 80\n- !Prefix [a]\n").unwrap();
    let Value::List(items) = &node.value else {
        panic!("no list")
    };
    let tags: Vec<_> = items.iter().map(|item| item.tag.as_deref()).collect();
    assert_eq!(
        tags,
        [Some("Exact"), Some("Presence"), None, Some("Prefix")]
    );
}

#[test]
fn an_alias_repeats_its_anchor_and_points_at_what_was_written() {
    let node = Node::parse("a: &ips\n  - 10.0.0.1\nb: *ips\n").unwrap();
    assert_eq!(
        shape(&node),
        "{a@1:1=[10.0.0.1@2:5]@2:3 b@3:1=[10.0.0.1@2:5]@2:3}@1:1"
    );
}

#[test]
fn an_unquoted_star_is_explained() {
    let error = Node::parse("a:\n  - *-suffix\n").unwrap_err();
    assert_eq!((error.position.line, error.position.column), (2, 5));
    assert!(
        error.message.contains("has to be quoted"),
        "{}",
        error.message
    );
    let error = Node::parse("a:\n  - *\n").unwrap_err();
    assert_eq!(error.position.line, 2);
    assert!(
        error.message.contains("has to be quoted"),
        "{}",
        error.message
    );
}

#[test]
fn malformed_yaml_names_its_line() {
    for (text, line) in [
        ("a: 1\nb: [1, 2\n", 2),
        ("a: 1\n b: 2\n", 2),
        ("a: 1\nb: \"x\n", 3),
        ("a: 1\n---\nb: 2\n", 3),
        ("a: 1\n\tb: 1\n", 1),
    ] {
        let error = Node::parse(text).unwrap_err();
        assert_eq!(error.position.line, line, "{text:?}: {}", error.message);
        assert!(!error.message.is_empty());
    }
}

#[test]
fn resources_are_bounded() {
    let deep = "[".repeat(1000);
    assert!(Node::parse(&deep).is_err());
    let mut deep = String::new();
    for level in 0..200 {
        writeln!(deep, "{}a:", " ".repeat(level)).unwrap();
    }
    assert!(Node::parse(&deep).is_err());
    // Nine levels of ten aliases each would be a billion nodes.
    let mut bomb = String::from("a0: &a0 [x]\n");
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{items}]").unwrap();
    }
    assert!(Node::parse(&bomb).is_err());
}

#[test]
fn schemas_may_be_deep() {
    // On the small stack of a test's thread.
    let mut deep = String::new();
    for level in 0..90 {
        writeln!(deep, "{}a:", " ".repeat(level)).unwrap();
    }
    let mut node = &Node::parse(&deep).unwrap();
    let mut depth = 0;
    while let Value::Mapping(entries) = &node.value {
        node = &entries[0].1;
        depth += 1;
    }
    assert_eq!(depth, 90);
}
