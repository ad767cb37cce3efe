//! Tests of headers as peers write them: whole, in pieces, and as an attacker would.

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses {
        source: at(source),
        destination: at(destination),
    }
}

/// Version 2, by hand.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE_V2.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

const V4: &[u8] = &[192, 0, 2, 9, 10, 96, 0, 1, 0xC0, 0x01, 0, 80];

fn whole(bytes: &[u8]) -> Header {
    match read(bytes).unwrap() {
        Read::Whole(header) => header,
        Read::More(more) => panic!("{more} more of {:?}", bytes.escape_ascii().to_string()),
    }
}

#[test]
fn a_header_of_our_own_connection_names_nobody() {
    for version in [Version::V1, Version::V2] {
        let bytes = local(version);
        let header = Header {
            addresses: None,
            length: bytes.len(),
        };
        assert_eq!(read(&bytes), Ok(Read::Whole(header)));
    }
}

#[test]
fn both_versions_say_who_is_connected_to_what() {
    for (text, source, destination) in [
        (
            "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\r\n",
            "192.0.2.9:49153",
            "10.96.0.1:80",
        ),
        (
            "PROXY TCP6 2001:db8::9 fd00::1 1 65535\r\n",
            "[2001:db8::9]:1",
            "[fd00::1]:65535",
        ),
        // Capitals, a full form and IPv4 in its IPv6 form are addresses, too.
        (
            "PROXY TCP6 2001:0DB8:0:0:0:0:0:9 ::ffff:10.96.0.1 0 80\r\n",
            "[2001:db8::9]:0",
            "10.96.0.1:80",
        ),
    ] {
        let header = whole(text.as_bytes());
        assert_eq!(header.addresses, Some(addresses(source, destination)));
        assert_eq!(header.length, text.len());
    }
    let header = whole(&binary(0x21, 0x11, V4));
    assert_eq!(
        header.addresses,
        Some(addresses("192.0.2.9:49153", "10.96.0.1:80"))
    );
    assert_eq!(header.length, 28);
}

#[test]
fn what_follows_a_header_is_no_part_of_it() {
    for header in [
        b"PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x21, 0x11, V4),
        binary(0x20, 0x00, b""),
    ] {
        for next in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01",
            b"PROXY ",
            b"\r\n",
        ] {
            let mut bytes = header.clone();
            bytes.extend(next);
            assert_eq!(whole(&bytes).length, header.len());
        }
    }
}

#[test]
fn every_beginning_of_a_header_waits_for_the_rest() {
    let mut tlvs = V4.to_vec();
    tlvs.extend([0x04, 0, 3, 0, 0, 0]);
    for header in [
        b"PROXY TCP6 2001:db8::9 fd00::1 1 65535\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(),
        binary(0x21, 0x11, &tlvs),
        binary(0x20, 0x00, b""),
    ] {
        for end in 0..header.len() {
            let Read::More(more) = read(&header[..end]).unwrap() else {
                panic!("whole after {end} bytes: {:?}", header.escape_ascii());
            };
            assert!(more > 0 && end + more <= header.len(), "{end} + {more}");
        }
        assert_eq!(whole(&header).length, header.len());
    }
}

#[test]
fn who_speaks_for_itself_or_does_not_know_names_nobody() {
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.9 10.96.0.1 49153 80\r\n".to_vec(),
        b"PROXY UNKNOWN \xff\xff what it likes\r\n".to_vec(),
        // LOCAL: whatever stands there is to be ignored.
        binary(0x20, 0x00, b""),
        binary(0x20, 0x11, V4),
        binary(0x20, 0xFF, b"abc"),
        // PROXY, unspecified.
        binary(0x21, 0x00, b""),
    ] {
        assert_eq!(whole(&header).addresses, None);
        assert_eq!(whole(&header).length, header.len());
    }
}

#[test]
fn lines_that_two_readers_could_read_in_two_ways_are_refused() {
    for line in [
        // Numbers.
        "PROXY TCP4 192.0.2.9 10.96.0.1 049153 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 00\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 +49153 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 -1 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 65536 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 4915\u{664} 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 0x50 80\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1  80\r\n",
        // Addresses.
        "PROXY TCP4 192.0.2.009 10.96.0.1 49153 80\r\n",
        "PROXY TCP4 192.0.2 10.96.0.1 49153 80\r\n",
        "PROXY TCP4 0xC0.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY TCP4 2001:db8::9 10.96.0.1 49153 80\r\n",
        "PROXY TCP4 ::ffff:192.0.2.9 ::ffff:10.96.0.1 49153 80\r\n",
        "PROXY TCP6 192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY TCP6 fe80::1%eth0 fd00::1 49153 80\r\n",
        "PROXY TCP6 [2001:db8::9] fd00::1 49153 80\r\n",
        "PROXY TCP4 client.example 10.96.0.1 49153 80\r\n",
        // More, fewer or other fields, other spaces.
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80 1\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80 \r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY TCP4  192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY TCP4\t192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY tcp4 192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY UDP4 192.0.2.9 10.96.0.1 49153 80\r\n",
        "PROXY UNKNOWNS\r\n",
        // Ends of line.
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\r\r\n",
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\rPROXY TCP4 192.0.2.8 10.96.0.1 1 80\r\n",
        "PROXY UNKNOWN\n",
    ] {
        let error = read(line.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Line(_)), "{line:?}: {error}");
    }
}

#[test]
fn a_line_ends_within_what_a_line_may_have() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_V1_BYTES - 16));
    assert_eq!(longest.len(), MAX_V1_BYTES);
    assert_eq!(whole(longest.as_bytes()).length, MAX_V1_BYTES);
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_V1_BYTES - 15));
    assert_eq!(read(longer.as_bytes()), Err(Error::Endless));
    // Not one byte more is waited for than a line may have.
    let unended = format!("PROXY UNKNOWN {}", "x".repeat(MAX_V1_BYTES));
    assert_eq!(
        read(&unended.as_bytes()[..MAX_V1_BYTES - 1]),
        Ok(Read::More(1))
    );
    assert_eq!(
        read(&unended.as_bytes()[..MAX_V1_BYTES]),
        Err(Error::Endless)
    );
}

#[test]
fn what_is_no_header_is_told_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"G",
        b"proxy TCP4",
        b"PROXYTCP4",
        b"PROXY\t",
        b"\r\n\r\n\0\r\nQUIX",
        b"\r\n\r\nGET /",
        b"\x16\x03\x01",
        b"\0",
    ] {
        assert_eq!(read(bytes), Err(Error::Absent), "{}", bytes.escape_ascii());
        assert_eq!(beginning(bytes), Beginning::Absent);
    }
    for bytes in [&b""[..], b"P", b"PROXY", b"\r", b"\r\n\r\n\0\r\nQUIT"] {
        assert_eq!(read(bytes), Ok(Read::More(1)));
        assert_eq!(beginning(bytes), Beginning::Possible);
    }
    assert_eq!(beginning(SIGNATURE_V1), Beginning::Present);
    assert_eq!(beginning(SIGNATURE_V2), Beginning::Present);
    assert_eq!(beginning(b"PROXY what follows"), Beginning::Present);
}

#[test]
fn a_binary_header_of_another_kind_is_refused_before_its_rest_has_come() {
    for (command, family) in [
        (0x11, 0x11),
        (0x31, 0x11),
        (0x22, 0x11),
        (0x00, 0x00),
        // Datagrams, sockets of a file system, families that there are not.
        (0x21, 0x12),
        (0x21, 0x22),
        (0x21, 0x31),
        (0x21, 0x32),
        (0x21, 0x10),
        (0x21, 0x41),
        (0x21, 0x01),
    ] {
        let header = binary(command, family, &[0; 216]);
        let error = read(&header[..16]).unwrap_err();
        assert!(matches!(error, Error::Byte { .. }), "{error}");
    }
}

#[test]
fn a_binary_header_has_a_length_that_fits_what_is_in_it() {
    // Addresses that do not fit.
    for (family, rest) in [(0x11, &V4[..11]), (0x21, V4), (0x21, &[0; 35][..])] {
        assert_eq!(read(&binary(0x21, family, rest)), Err(Error::Malformed));
    }
    // TLVs that do not.
    for tlv in [
        &[0x04][..],
        &[0x04, 0],
        &[0x04, 0, 1],
        &[0xEE, 0xFF, 0xFF, 1],
        &[0x03, 0, 1, 0],
    ] {
        let mut rest = V4.to_vec();
        rest.extend(tlv);
        assert_eq!(
            read(&binary(0x21, 0x11, &rest)),
            Err(Error::Malformed),
            "{tlv:?}"
        );
    }
}

#[test]
fn a_binary_header_is_refused_for_its_length_before_it_has_come() {
    let mut header = SIGNATURE_V2.to_vec();
    header.extend([0x21, 0x11, 0xFF, 0xFF]);
    assert_eq!(read(&header), Err(Error::TooLong { found: 65551 }));
    let padding = MAX_V2_BYTES - V2_FIXED - V4.len() - 3;
    let mut rest = V4.to_vec();
    rest.push(0x04);
    rest.extend(u16::try_from(padding).unwrap().to_be_bytes());
    rest.resize(rest.len() + padding, 0);
    let longest = binary(0x21, 0x11, &rest);
    assert_eq!(whole(&longest).length, MAX_V2_BYTES);
    rest.push(0);
    assert_eq!(
        read(&binary(0x21, 0x11, &rest)),
        Err(Error::TooLong {
            found: MAX_V2_BYTES + 1
        })
    );
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for (source, destination) in [
        ("192.0.2.9:49153", "10.96.0.1:80"),
        ("[2001:db8::9]:49153", "[fd00::1]:80"),
    ] {
        let said = addresses(source, destination);
        for version in [Version::V1, Version::V2] {
            let bytes = said.header(version);
            let header = whole(&bytes);
            assert_eq!((header.addresses, header.length), (Some(said), bytes.len()));
        }
        let with_identity = v2(
            &said,
            &[(TLV_IDENTITY, b"spiffe://cluster.local/ns/a/sa/b")],
        )
        .unwrap();
        assert_eq!(whole(&with_identity).addresses, Some(said));
    }
    assert_eq!(
        v1(&addresses("192.0.2.9:49153", "10.96.0.1:80")),
        "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\r\n"
    );
}

#[test]
fn a_tlv_stands_after_the_addresses_with_its_type_and_length() {
    let bytes = v2(
        &addresses("192.0.2.9:49153", "10.96.0.1:80"),
        &[(TLV_IDENTITY, b"me")],
    )
    .unwrap();
    let mut rest = V4.to_vec();
    rest.extend([0xD0, 0, 2, b'm', b'e']);
    assert_eq!(bytes, binary(0x21, 0x11, &rest));
    let long = vec![0; usize::from(u16::MAX)];
    for tlv in [&long[..], &[long.as_slice(), b"x"].concat()] {
        let said = addresses("192.0.2.9:49153", "10.96.0.1:80");
        assert_eq!(v2(&said, &[(TLV_IDENTITY, tlv)]), Err(TlvsTooLong));
    }
}

#[test]
fn addresses_of_two_families_are_written_as_those_of_one() {
    let said = addresses("192.0.2.9:49153", "[fd00::1]:80");
    assert_eq!(
        v1(&said),
        "PROXY TCP6 ::ffff:192.0.2.9 fd00::1 49153 80\r\n"
    );
    for version in [Version::V1, Version::V2] {
        assert_eq!(whole(&said.header(version)).addresses, Some(said));
    }
    // In its IPv6 form on both sides it is IPv4.
    let mapped = addresses("[::ffff:192.0.2.9]:49153", "[::ffff:10.96.0.1]:80");
    assert_eq!(v1(&mapped), "PROXY TCP4 192.0.2.9 10.96.0.1 49153 80\r\n");
}

proptest::proptest! {
    #[test]
    fn no_bytes_take_a_reader_beyond_what_it_was_given(
        begin in 0_usize..4,
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        let mut bytes = [&b""[..], SIGNATURE_V1, b"PROXY TCP4 1.1.1.1 ", SIGNATURE_V2][begin].to_vec();
        bytes.extend(rest);
        match read(&bytes) {
            Ok(Read::Whole(header)) => assert!(header.length <= bytes.len()),
            Ok(Read::More(more)) => assert!(more > 0 && bytes.len() + more <= MAX_V2_BYTES),
            Err(_) => {}
        }
    }
}
