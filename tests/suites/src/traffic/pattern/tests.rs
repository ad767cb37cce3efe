//! A check that would not notice is worth nothing.

use super::{BLOCK_BYTES, Pattern};

const LENGTH: u64 = 300_001;

fn written() -> Vec<u8> {
    let mut bytes = Vec::new();
    Pattern::new(1).write(&mut bytes, LENGTH).unwrap();
    assert_eq!(bytes.len() as u64, LENGTH);
    bytes
}

fn passes(bytes: &[u8]) -> bool {
    Pattern::new(1).check(&mut &bytes[..], LENGTH).is_ok()
}

#[test]
fn what_was_written_passes() {
    assert!(passes(&written()));
}

#[test]
fn one_changed_bit_is_found_wherever_it_is() {
    for at in [0, 7, 8, BLOCK_BYTES - 1, BLOCK_BYTES, 300_000] {
        let mut bytes = written();
        bytes[at] ^= 1;
        assert!(!passes(&bytes), "{at}");
    }
}

#[test]
fn swapped_doubled_and_lost_blocks_and_another_seed_are_found() {
    let bytes = written();
    let (first, second) = (&bytes[..BLOCK_BYTES], &bytes[BLOCK_BYTES..2 * BLOCK_BYTES]);
    let rest = &bytes[2 * BLOCK_BYTES..];
    assert!(!passes(&[second, first, rest].concat()));
    assert!(!passes(&[first, first, rest].concat()));
    assert!(!passes(&[first, rest].concat()));
    assert!(Pattern::new(2).check(&mut &bytes[..], LENGTH).is_err());
}
