//! What holds for any bytes.

use proptest::prelude::*;

use crate::{KeySet, Symmetric, Token, base64, json};

proptest! {
    #[test]
    fn base64_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = base64::encode(&bytes);
        prop_assert_eq!(base64::decode(&text), Some(bytes));
    }

    #[test]
    fn what_decodes_has_one_spelling(text in "[A-Za-z0-9_-]{0,40}") {
        if let Some(bytes) = base64::decode(&text) {
            prop_assert_eq!(base64::encode(&bytes), text);
        }
    }

    #[test]
    fn nothing_that_is_sent_ends_the_process(text in "\\PC{0,200}") {
        drop(Token::parse(&text));
        drop(KeySet::parse(text.as_bytes(), Symmetric::Allowed));
    }

    #[test]
    fn parts_of_any_bytes_are_read_or_refused(
        header in proptest::collection::vec(any::<u8>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        signature in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let parts = [header, payload, signature].map(|part| base64::encode(&part));
        drop(Token::parse(&parts.join(".")));
        let payload = format!("eyJhbGciOiJSUzI1NiJ9.{}.{}", parts[1], parts[2]);
        drop(Token::parse(&payload));
    }

    #[test]
    fn json_without_doubles_is_what_others_read(text in r#"\{("[a-c]": ?(1|-2|0.5|true|null|"x"|\[\]|\{\}),?){0,3}\}"#) {
        if let Some(object) = json::object(text.as_bytes()) {
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::Value::Object(object), theirs);
        }
    }
}
