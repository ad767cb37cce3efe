//! Valid and invalid headers of each version, and the way from a root to a child.

use proptest::prelude::*;

use super::*;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parse(text: &str) -> Option<Traceparent> {
    Traceparent::parse(text.as_bytes())
}

#[test]
fn a_valid_header_is_read_and_written_back() {
    let read = parse(VALID).unwrap();
    assert_eq!(
        read.trace_id.get(),
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
    );
    assert_eq!(read.parent_id.get(), 0x00f0_67aa_0ba9_02b7);
    assert!(read.sampled());
    assert_eq!(read.header_value(), VALID);
}

#[test]
fn malformed_headers_are_absent() {
    for text in [
        "",
        "00",
        // A digit short, a byte long, a second member.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // The 55th byte is inside a character.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    let known = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff";
    let read = parse(known).unwrap();
    assert_eq!(
        read,
        Traceparent {
            flags: SAMPLED,
            ..parse(VALID).unwrap()
        }
    );
    assert_eq!(parse(&format!("{known}-later")), Some(read));
    assert_eq!(parse(&format!("{known}.later")), None);
    assert_eq!(parse(&format!("{known}-{}", "x".repeat(MAX_BYTES))), None);
    assert_eq!(read.header_value(), VALID);
}

#[test]
fn a_child_keeps_trace_and_flags_and_no_id_is_ever_zero() {
    let parent = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-83").unwrap();
    let child = parent.child(0xb7ad_6b71_6920_3331);
    assert_eq!(
        child.header_value(),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-83"
    );
    assert_eq!(parent.child(0).parent_id.get(), 1);
    let root = Traceparent::root(0, 0, 0).header_value();
    assert_eq!(
        root,
        "00-00000000000000000000000000000001-0000000000000001-00"
    );
    assert!(Traceparent::parse(root.as_bytes()).is_some());
}

#[test]
fn two_headers_are_none() {
    let mut headers = HeaderMap::new();
    assert_eq!(Traceparent::from_headers(&headers), None);
    headers.append(NAME, HeaderValue::from_static(VALID));
    assert_eq!(Traceparent::from_headers(&headers), parse(VALID));
    headers.append(NAME, HeaderValue::from_static(VALID));
    assert_eq!(Traceparent::from_headers(&headers), None);
}

proptest! {
    #[test]
    fn every_value_round_trips(trace in any::<u128>(), span in any::<u64>(), flags in any::<u8>()) {
        let value = Traceparent::root(trace, span, flags);
        prop_assert_eq!(Traceparent::parse(value.header_value().as_bytes()), Some(value));
        prop_assert_eq!(value.to_string().len(), VERSION_00_BYTES);
    }

    #[test]
    fn no_header_panics(value in "[0-9a-f-]{0,4}[0-9a-fé-]{40,60}") {
        let _ = parse(&value);
    }
}
