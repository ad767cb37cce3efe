//! The trie against a list of its keys.

use std::collections::BTreeMap;

use proptest::{
    prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest},
    sample::select,
};

use super::Trie;

fn found(trie: &Trie<usize>, text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    trie.visit(text.iter().copied(), |value| found.push(*value));
    found.sort_unstable();
    found
}

#[test]
fn an_empty_key_is_the_beginning_of_every_text() {
    let mut trie = Trie::default();
    *trie.entry(b"", false) = Some(1);
    *trie.entry(b"", true) = Some(2);
    assert_eq!(found(&trie, b""), [1, 2]);
    assert_eq!(found(&trie, b"a"), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_finds_what_a_list_would(
        keys in prop::collection::vec((prop::collection::vec(select(&b"ab\0\xff"[..]), 0..6), any::<bool>()), 0..20),
        texts in prop::collection::vec(prop::collection::vec(select(&b"ab\0\xff"[..]), 0..8), 8),
    ) {
        let mut trie = Trie::default();
        let mut list = BTreeMap::new();
        for (number, (key, whole)) in keys.into_iter().enumerate() {
            *trie.entry(&key, whole) = Some(number);
            list.insert((key, whole), number);
        }
        for text in &texts {
            let mut expected: Vec<usize> = list
                .iter()
                .filter(|((key, whole), _)| if *whole { text == key } else { text.starts_with(key) })
                .map(|(_, number)| *number)
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found(&trie, text), expected);
        }
    }
}
