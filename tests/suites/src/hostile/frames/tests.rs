//! The few things here that could be wrong in a way that a suite would not notice.

use super::{Frame, block, data, frame, integer, status};

#[test]
fn statuses_are_read_in_every_form() {
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(&[0x20, 0x8c]), Some(400), "after a table size");
    // RFC 7541 C.6.1: 302 as 6402, and C.5.1: 302 as text.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    assert_eq!(status(&[0x48, 0x03, b'3', b'0', b'2']), Some(302));
    // RFC 7541 C.6.2: 307 as 640eff.
    assert_eq!(status(&[0x08, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    assert_eq!(status(&[0x82]), None);
}

#[test]
fn frames_come_back_as_they_were() {
    let mut bytes = [data(5, b"hello"), frame(9, 4, 7, b"")].concat();
    bytes.push(1);
    let first = Frame::take(&mut bytes).unwrap();
    assert_eq!(
        (first.kind, first.stream, &first.payload[..]),
        (0, 5, &b"hello"[..])
    );
    assert_eq!(Frame::take(&mut bytes).unwrap().stream, 7);
    assert_eq!((Frame::take(&mut bytes), bytes), (None, vec![1]));
}

#[test]
fn long_integers_are_continued() {
    // RFC 7541 C.1.2: 1337 with a prefix of 5 bits.
    let mut bytes = Vec::new();
    integer(&mut bytes, 0, 5, 1337);
    assert_eq!(bytes, [31, 154, 10]);
    assert_eq!(block(&[("a", "b")]), [0, 1, b'a', 1, b'b']);
}
