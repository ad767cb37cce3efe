//! The bound on what slow applications make the process hold. One test, because the count is the process's.

use super::{Held, MANY_BYTES, MAX_HELD_BYTES, SMALL_WINDOW, window};

#[test]
fn windows_shrink_and_streams_are_refused_as_more_is_held_and_all_of_it_is_given_back() {
    const CONFIGURED: u32 = 4 * 1024 * 1024;
    assert_eq!(window(CONFIGURED), CONFIGURED);
    let mut first = Held::default();
    assert!(first.add(MANY_BYTES));
    assert_eq!(window(CONFIGURED), SMALL_WINDOW);
    assert_eq!(window(1024), 1024, "a smaller one stays");
    let mut second = Held::default();
    assert!(second.add(MAX_HELD_BYTES - MANY_BYTES));
    assert!(!second.add(1), "one more is too many");
    second.take(2);
    assert!(second.add(1));
    drop(second);
    assert_eq!(
        window(CONFIGURED),
        SMALL_WINDOW,
        "the first still holds its share"
    );
    first.take(usize::MAX);
    assert_eq!(window(CONFIGURED), CONFIGURED);
    assert!(first.add(1));
}
