//! What the queue gathers, gives out and counts.

use super::*;

#[test]
fn crumbs_are_gathered_in_order_and_large_chunks_are_not_copied() {
    let mut queue = Queue::default();
    let whole: Vec<u8> = (0..200_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let buffer = Bytes::from(whole.clone());
    let mut rest = buffer.clone();
    for length in [1, 1, 1000, 1, 5000, 3, 3, 100_000]
        .into_iter()
        .chain(std::iter::repeat_n(1, 50_000))
    {
        queue.push(rest.split_to(length));
    }
    assert!(queue.chunks.len() < 15, "{} chunks", queue.chunks.len());
    let large = queue
        .chunks
        .iter()
        .find(|chunk| chunk.bytes.len() == 100_000)
        .unwrap();
    assert!(
        buffer.as_ptr_range().contains(&large.bytes.as_ptr()),
        "a large chunk is not copied"
    );
    let length = queue.len();
    let mut out = Vec::new();
    while let Some(chunk) = queue.pop(7000) {
        out.extend_from_slice(&chunk);
    }
    assert!(queue.is_empty() && out == whole[..length]);
}

#[test]
fn a_large_chunk_counts_as_the_buffer_that_it_keeps() {
    let mut queue = Queue::default();
    assert_eq!(queue.footprint(), 0);
    queue.push(Bytes::from(vec![0; 5000]));
    assert_eq!(queue.footprint(), 5000);
    queue.push(Bytes::from(vec![0; 20_000]));
    assert_eq!(queue.footprint(), 5000 + chunk::MAX_CHUNK_BYTES);
}

#[test]
fn what_has_to_wait_is_copied_out_of_larger_buffers_once() {
    const SIZES: RangeInclusive<usize> = 9_000..=64_000;
    let buffer = Bytes::from((0..251_u8).cycle().take(300_000).collect::<Vec<_>>());
    let lies_in = |queue: &Queue| -> Vec<bool> {
        let chunks = queue.chunks.iter();
        chunks
            .map(|chunk| buffer.as_ptr_range().contains(&chunk.bytes.as_ptr()))
            .collect()
    };
    let mut queue = Queue::default();
    let mut rest = buffer.clone();
    for length in [200_000, 2000, 20_000] {
        queue.push(rest.split_to(length));
    }
    queue.own(&SIZES);
    assert_eq!(lies_in(&queue), [true, true, false]);
    assert_eq!(queue.footprint(), chunk::MAX_CHUNK_BYTES + 22_000);
    let copy = queue.chunks[2].bytes.as_ptr();

    // What comes later is looked at, and the first one again, which has become small.
    queue.push(rest.split_to(30_000));
    queue.advance(150_000);
    assert_eq!(
        queue.footprint(),
        22_000 + 2 * chunk::MAX_CHUNK_BYTES,
        "a part keeps the whole"
    );
    queue.own(&SIZES);
    assert_eq!(lies_in(&queue), [false, true, false, false]);
    assert_eq!(queue.chunks[2].bytes.as_ptr(), copy, "it was copied before");
    let later = queue.chunks[3].bytes.as_ptr();
    assert_eq!(
        later,
        copy.wrapping_add(20_000 + 50_000),
        "copies lie together"
    );
    assert_eq!(queue.footprint(), queue.len());

    let mut out = Vec::new();
    while let Some(chunk) = queue.pop(7000) {
        out.extend_from_slice(&chunk);
    }
    assert_eq!(out, buffer[150_000..252_000]);
    assert!(queue.slab.is_none(), "nothing waits, and nothing is kept");
    queue.push(rest.split_to(10_000));
    queue.own(&SIZES);
    assert_eq!(lies_in(&queue), [false], "it counts from the front");
}

#[test]
fn crumbs_of_a_large_buffer_are_copied_out_of_it_where_that_is_asked_for() {
    let mut rest = Bytes::from(vec![7; 100_000]);
    let buffer = rest.as_ptr_range();
    let mut queue = Queue::default();
    for length in [1000, 20_000, 1] {
        queue.push(rest.split_to(length));
    }
    queue.own(&(1..=256 * 1024));
    let mut chunks = queue.chunks.iter();
    assert!(chunks.all(|chunk| !buffer.contains(&chunk.bytes.as_ptr())));
    assert_eq!(queue.len(), 21_001);
}
