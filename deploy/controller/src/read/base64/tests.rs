//! Both alphabets, with and without padding.

use super::decode;

#[test]
fn bytes_come_out_of_either_alphabet() {
    for (text, bytes) in [
        ("", &b""[..]),
        ("Zg==", b"f"),
        ("Zg", b"f"),
        ("Zm8=", b"fo"),
        ("Zm8", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYmFy", b"foobar"),
        ("+/8=", &[0xfb, 0xff]),
        ("-_8", &[0xfb, 0xff]),
        ("AAAA", &[0, 0, 0]),
    ] {
        assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
    }
}

#[test]
fn anything_else_is_no_base64() {
    for text in [
        "Z",
        "Zg=",
        "=",
        "====",
        "Zg==Zg==",
        "Zm9v Zm9v",
        "Zh==",
        "Zm9=",
        "Zm9v=",
        "Z\u{e9}",
        "Zg===",
    ] {
        assert_eq!(decode(text), None, "{text}");
    }
}
