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
        .find(|chunk| chunk.len() == 100_000)
        .unwrap();
    assert!(
        buffer.as_ptr_range().contains(&large.as_ptr()),
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
