//! Buffers on loan, and their return.

use std::task::{Context, Poll, Waker};

use super::{MAX_COPIED_BYTES, SHELF, poll_read};

fn read(mut input: &[u8], limit: usize) -> bytes::Bytes {
    match poll_read(&mut input, &mut Context::from_waker(Waker::noop()), limit) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("a slice is always ready"),
    }
}

#[test]
fn a_read_never_exceeds_its_limit_and_an_empty_one_is_the_end() {
    let input = vec![7; 100_000];
    assert_eq!(read(&input, 50_000).len(), 50_000);
    assert_eq!(read(&input[..10], 50_000), input[..10]);
    assert!(read(&[], 50_000).is_empty());
}

#[test]
fn a_buffer_returns_to_the_shelf_when_its_last_reader_is_gone() {
    let shelved = || SHELF.with_borrow(Vec::len);
    assert_eq!(shelved(), 0);
    let large = read(&vec![1; MAX_COPIED_BYTES + 1], usize::MAX);
    let part = large.slice(10..20);
    drop(large);
    assert_eq!(shelved(), 0, "a part of it is still read");
    drop(part);
    assert_eq!(shelved(), 1);
    let small = read(&[2; MAX_COPIED_BYTES], usize::MAX);
    assert_eq!(shelved(), 1, "a small read is copied out");
    drop(small);
}
