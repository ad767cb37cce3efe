//! The sorted list against a set.

use std::collections::BTreeSet;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::{MAX_RUN, Sorted};

proptest! {
    #[test]
    fn holds_what_a_set_holds_in_order_after_any_changes(
        changes in prop::collection::vec((any::<bool>(), 0_u16..300), 0..600),
        drained in 0_u16..300,
    ) {
        let (mut list, mut set) = (Sorted::default(), BTreeSet::new());
        // Ascending, so that there is something to remove and runs are cut.
        for item in 0..200_u16 {
            list.insert(item, |other: &u16| other.cmp(&item));
            set.insert(item);
        }
        for (insert, item) in changes {
            let before = list.clone();
            let had = before.len();
            if insert {
                list.insert(item, |other| other.cmp(&item));
                set.insert(item);
            } else {
                prop_assert_eq!(list.remove(|other| other.cmp(&item)).is_some(), set.remove(&item));
            }
            prop_assert_eq!(before.len(), had, "a clone changed");
        }
        prop_assert!(list.iter().eq(set.iter()));
        for item in drained..300 {
            list.remove(|other| other.cmp(&item));
            set.remove(&item);
        }
        prop_assert!(list.iter().eq(set.iter()));
        prop_assert_eq!(list.len(), set.len());
        prop_assert_eq!(list.first(), set.first());
        prop_assert!(list.runs.iter().all(|run| (1..=MAX_RUN).contains(&run.len())));
    }
}
