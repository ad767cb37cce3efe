//! The trie against a plain list.

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use super::Trie;
use crate::{
    authorization::StringMatch,
    policy::key::{END, Key, MAX_INDEXED_BYTES, Text, head},
};

fn condition() -> impl Strategy<Value = StringMatch> {
    let text = || prop::string::string_regex("[ab]{0,5}").unwrap();
    proptest::prop_oneof![
        text().prop_map(StringMatch::Exact),
        text().prop_map(StringMatch::Prefix)
    ]
}

fn bits(bytes: &[u8]) -> Text<'_> {
    Text {
        head: head(bytes),
        bytes,
    }
}

fn found(trie: &Trie<usize>, text: &str) -> Vec<usize> {
    let bytes: Vec<u8> = text.bytes().chain([END]).collect();
    let mut found = Vec::new();
    let _: ControlFlow<()> = trie.visit(bits(&bytes), |value| {
        found.push(*value);
        ControlFlow::Continue(())
    });
    found.sort_unstable();
    found
}

proptest! {
    #[test]
    fn finds_what_a_list_finds_after_any_changes(
        changes in prop::collection::vec((condition(), any::<bool>()), 0..60),
        text in "[ab]{0,6}",
    ) {
        let mut trie = Trie::default();
        let mut list = BTreeMap::new();
        for (number, (condition, insert)) in changes.iter().enumerate() {
            let key = Key::principal(condition);
            let before = trie.clone();
            let had = found(&before, &text);
            trie.update(&key, |value| *value = insert.then_some(number));
            prop_assert_eq!(found(&before, &text), had, "a clone changed");
            if *insert {
                list.insert(key, number);
            } else {
                list.remove(&key);
            }
        }
        let bytes: Vec<u8> = text.bytes().chain([END]).collect();
        let mut expected: Vec<usize> =
            list.iter().filter(|(key, _)| key.begins(bits(&bytes))).map(|(_, value)| *value).collect();
        expected.sort_unstable();
        prop_assert_eq!(found(&trie, &text), expected);
        for (condition, _) in &changes {
            let key = Key::principal(condition);
            prop_assert_eq!(trie.get(&key), list.get(&key));
        }
        if list.is_empty() {
            prop_assert_eq!(trie.root.is_none(), true);
        }
    }
}

/// A trie as deep as keys can make it is changed, asked and dropped on an ordinary stack.
#[test]
fn the_deepest_trie_fits_on_a_stack() {
    let path = "a".repeat(MAX_INDEXED_BYTES);
    let mut keys = Vec::new();
    for length in 0..MAX_INDEXED_BYTES {
        // One key on the path, and one that leaves it at every bit of the next byte.
        keys.push(Key::principal(&StringMatch::Prefix(
            path[..length].to_owned(),
        )));
        for bit in 0..7 {
            let sibling = format!("{}{}", &path[..length], char::from(b'a' ^ 1 << bit));
            keys.push(Key::principal(&StringMatch::Prefix(sibling)));
        }
    }
    let mut trie = Trie::default();
    for (number, key) in keys.iter().enumerate() {
        trie.update(key, |value| *value = Some(number));
    }
    assert_eq!(found(&trie, &path).len(), MAX_INDEXED_BYTES);
    let shared = trie.clone();
    for key in &keys {
        trie.update(key, |value| *value = None);
    }
    assert!(found(&trie, &path).is_empty());
    drop(shared);
}
