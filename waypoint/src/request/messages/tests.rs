//! Tests of counting the messages of gRPC.

use super::*;

fn stream(lengths: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for length in lengths {
        bytes.push(0);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.resize(bytes.len() + *length as usize, 0xff);
    }
    bytes
}

#[test]
fn messages_are_counted_however_the_stream_is_cut() {
    let bytes = stream(&[0, 1, 5, 300, 0, 70_000]);
    for cut in [1, 2, 3, 5, 7, 64, 1024, bytes.len()] {
        let mut messages = Messages::default();
        for chunk in bytes.chunks(cut) {
            messages.push(chunk);
        }
        assert_eq!(messages.count(), 6, "{cut}");
    }
}

#[test]
fn a_prefix_that_is_not_whole_is_no_message() {
    let mut messages = Messages::default();
    messages.push(&stream(&[3]));
    messages.push(&[0, 0, 0, 0]);
    assert_eq!(messages.count(), 1);
    messages.push(&[9]);
    assert_eq!(messages.count(), 2);
}
