//! The bytes of requests and answers.

use std::{io, net::Ipv4Addr};

use super::{
    message::{Family, Route, Rule, is_route_of_others, kind, split},
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
        table: 4919,
    };
    let route = Route {
        family: Family::V4,
        table: 4919,
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
    // A header, a rule, four attributes.
    assert_eq!(rule.add().bytes().len(), 16 + 12 + 4 * 8);
}

#[test]
fn routes_in_a_table_are_ours_or_not() {
    let ours = Route {
        family: Family::V4,
        table: 4919,
        source: Some(Ipv4Addr::LOCALHOST.into()),
    };
    let unreachable = Route {
        source: None,
        ..ours
    };
    for route in [ours, unreachable] {
        let message = route.replace();
        assert!(!is_route_of_others(message.bytes(), 4919));
        for (place, value) in [(17, 24), (21, 3), (23, 1)] {
            // A prefix, a protocol of another program, another kind of route.
            let mut other = message.bytes().to_vec();
            other[place] = value;
            assert!(is_route_of_others(&other, 4919), "{place}");
            assert!(!is_route_of_others(&other, 101), "{place}");
        }
        for length in 0..message.bytes().len() {
            is_route_of_others(&message.bytes()[..length], 4919);
        }
    }
}

#[test]
fn a_list_is_taken_apart() {
    let rule = Rule {
        family: Family::V6,
        priority: 90,
        mark: 0x1337,
        table: 4919,
    };
    let (add, delete) = (rule.add(), rule.delete());
    let both = [add.bytes(), delete.bytes()].concat();
    let (one, rest) = split(&both).unwrap();
    assert_eq!((one, rest), (add.bytes(), delete.bytes()));
    assert_eq!((kind(one), kind(rest)), (32, 33));
    let (one, rest) = split(rest).unwrap();
    assert_eq!((one, rest), (delete.bytes(), &[][..]));
    assert!(split(rest).is_none());
    // Lengths that lie.
    for length in [0, 3, 15, 1000_u32] {
        let mut broken = both.clone();
        broken[..4].copy_from_slice(&length.to_ne_bytes());
        assert!(split(&broken).is_none(), "{length}");
    }
}
