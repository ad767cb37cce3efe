//! Much is held, and reads become small; it is let go, and they are large again.

use super::*;

#[test]
fn reads_are_small_while_much_is_held_for_slow_readers() {
    let large = chunk::MAX_CHUNK_BYTES;
    assert_eq!(limit(large), large);
    let mut held = Held::default();
    held.set(MANY_BYTES);
    assert_eq!(limit(large), SMALL_BYTES);
    assert_eq!(limit(1), 1);
    held.set(0);
    assert_eq!(limit(large), large);
    held.set(MANY_BYTES);
    drop(held);
    assert_eq!(limit(large), large);
}
