//! The bytes of requests and answers.

use std::{io, net::Ipv4Addr};

use super::{
    message::{Family, Route, Rule},
    read_answer,
};

fn answer(kind: u16, number: i32) -> Vec<u8> {
    let mut bytes = 36_u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(number.to_ne_bytes());
    bytes
}

#[test]
fn an_answer_is_an_acknowledgement_or_an_error() {
    assert!(read_answer(&answer(2, 0)).is_ok());
    let refused = read_answer(&answer(2, -17)).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(17));
    for broken in [answer(3, 0), answer(2, 0)[..18].to_vec(), Vec::new()] {
        assert_eq!(
            read_answer(&broken).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
    assert!(read_answer(&answer(2, i32::MIN)).is_err());
}

#[test]
fn messages_tell_their_length_and_are_whole_words() {
    let rule = Rule {
        family: Family::V4,
        priority: 90,
        mark: 0x1337,
        table: 101,
    };
    let route = Route {
        family: Family::V4,
        table: 101,
        source: Some(Ipv4Addr::LOCALHOST.into()),
    };
    for message in [rule.add(), rule.delete(), route.replace(), route.delete()] {
        let bytes = message.bytes();
        assert_eq!(
            bytes[..4],
            u32::try_from(bytes.len()).unwrap().to_ne_bytes()
        );
        assert_eq!(bytes.len() % 4, 0);
    }
    // A header, a rule, three attributes.
    assert_eq!(rule.add().bytes().len(), 16 + 12 + 3 * 8);
    assert_eq!(rule.add().bytes()[20], 101);
}
