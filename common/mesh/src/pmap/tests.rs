//! The map against one of the standard library.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
};

use proptest::{collection::vec, prelude::*};

use super::PersistentMap;

/// Hashes a `u16` to one of few values, so that whole hashes and long prefixes of them collide.
#[derive(Clone, Default)]
struct Colliding;

struct Few(u64);

impl BuildHasher for Colliding {
    type Hasher = Few;
    fn build_hasher(&self) -> Few {
        Few(0)
    }
}

impl Hasher for Few {
    fn write(&mut self, bytes: &[u8]) {
        let key = u64::from(bytes[0]);
        // Digits agree up to the last ones for some keys, wholly for those that share the value below.
        self.0 = match key % 4 {
            0 => 7,
            1 => (key / 8) << 60,
            2 => (key / 8) << 30 | 7,
            _ => key / 8,
        };
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    Remove(u16),
    Change(u16, u32),
    /// Keeps a clone, to be compared at the end.
    Fork,
}

fn step(keys: u16) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..keys, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        5 => (0..keys).prop_map(Step::Remove),
        2 => (0..keys, any::<u32>()).prop_map(|(key, value)| Step::Change(key, value)),
        1 => Just(Step::Fork),
    ]
}

fn behaves_as_a_hash_map<S: BuildHasher + Clone + Default>(keys: u16, steps: Vec<Step>) {
    let mut map = PersistentMap::<u16, u32, S>::default();
    let mut model = HashMap::<u16, u32>::new();
    let mut forks = Vec::new();
    for step in steps {
        match step {
            Step::Insert(key, value) => {
                assert_eq!(map.insert(key, value), model.insert(key, value));
            }
            Step::Remove(key) => assert_eq!(map.remove(&key), model.remove(&key)),
            Step::Change(key, value) => {
                assert_eq!(
                    map.get_mut(&key).map(|old| std::mem::replace(old, value)),
                    model.get_mut(&key).map(|old| std::mem::replace(old, value))
                );
            }
            Step::Fork => forks.push((map.clone(), model.clone())),
        }
        assert_eq!(map.len(), model.len());
    }
    forks.push((map, model));
    for (map, model) in forks {
        for key in 0..keys {
            assert_eq!(map.get(&key), model.get(&key));
        }
        assert_eq!(map.iter().len(), model.len());
        assert_eq!(
            map.iter()
                .map(|(key, value)| (*key, *value))
                .collect::<HashMap<_, _>>(),
            model
        );
        assert_eq!(map.iter().count(), model.len());
        let rebuilt: PersistentMap<u16, u32, S> = model.into_iter().collect();
        assert_eq!(map, rebuilt);
    }
}

proptest! {
    #[test]
    fn behaves_as_a_hash_map_whatever_happens(steps in vec(step(200), 0..600)) {
        behaves_as_a_hash_map::<std::hash::RandomState>(200, steps);
    }

    #[test]
    fn behaves_as_a_hash_map_where_hashes_collide(steps in vec(step(64), 0..600)) {
        behaves_as_a_hash_map::<Colliding>(64, steps);
    }
}

#[test]
fn an_emptied_map_holds_no_nodes() {
    let mut map = PersistentMap::<u16, (), Colliding>::default();
    for key in 0..256 {
        map.insert(key, ());
    }
    for key in (0..256).rev() {
        assert_eq!(map.remove(&key), Some(()));
    }
    assert!(map.is_empty());
    assert!(map.root.slots.is_empty(), "a node was left behind");
}

#[test]
fn a_change_copies_one_path_only() {
    let mut map: PersistentMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
    let before = map.clone();
    map.insert(77, 0);
    let shared = map.root.shared_with(&before.root);
    assert!(
        shared >= map.root.slots.len() - 1,
        "{shared} of {} nodes below the root are shared",
        map.root.slots.len()
    );
    assert_eq!((before.get(&77), map.get(&77)), (Some(&77), Some(&0)));
}

#[test]
fn a_missing_key_copies_nothing() {
    let mut map: PersistentMap<u32, u32> = (0..100).map(|key| (key, key)).collect();
    let before = map.clone();
    assert_eq!(map.remove(&100), None);
    assert_eq!(map.get_mut(&100), None);
    assert!(std::sync::Arc::ptr_eq(&map.root, &before.root));
}

#[test]
fn text_keys_are_found_by_text() {
    let mut map = PersistentMap::<crate::Uid, u32>::new();
    map.insert("cluster//Pod/default/a".into(), 1);
    assert_eq!(map.get("cluster//Pod/default/a"), Some(&1));
    assert_eq!(map.get("cluster//Pod/default/b"), None);
}

impl<K, V> super::Node<K, V> {
    /// How many direct children are the same node in both.
    fn shared_with(&self, other: &Self) -> usize {
        use super::node::Slot;
        let same = |(ours, theirs): &(&Slot<K, V>, &Slot<K, V>)| match (ours, theirs) {
            (Slot::Deeper(ours), Slot::Deeper(theirs)) => std::sync::Arc::ptr_eq(ours, theirs),
            (Slot::Entry { .. }, Slot::Entry { .. }) => true,
            (Slot::Entry { .. } | Slot::Collision { .. } | Slot::Deeper(_), _) => false,
        };
        self.slots.iter().zip(&other.slots).filter(same).count()
    }
}
