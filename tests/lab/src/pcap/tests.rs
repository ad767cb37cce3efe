//! A capture of two packets, made by hand.

use super::{Packet, Protocol, read};

fn file(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0,
    ];
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("small").to_le_bytes();
        file.extend([[0; 4], [0; 4], length, length].concat());
        file.extend(frame);
    }
    file
}

fn tcp4(payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(40 + payload.len())
        .expect("small")
        .to_be_bytes();
    let mut frame = [vec![0; 12], vec![8, 0]].concat();
    frame.extend([
        0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame.extend([
        0x1f, 0x90, 0x3a, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0,
    ]);
    frame.extend(payload);
    frame
}

#[test]
fn a_tcp_packet_is_read_without_the_padding_behind_it() {
    let mut frame = tcp4(b"hello");
    frame.extend([0; 6]);
    let expected = Packet {
        source: "10.0.0.1:8080".parse().expect("an address"),
        destination: "10.0.0.2:15008".parse().expect("an address"),
        protocol: Protocol::Tcp,
        payload: b"hello".to_vec(),
    };
    assert_eq!(read(&file(&[frame])).expect("a capture"), [expected]);
}

#[test]
fn a_udp_packet_over_ipv6_is_read() {
    let mut frame = [vec![0; 12], vec![0x86, 0xdd, 0x60, 0, 0, 0, 0, 11, 17, 64]].concat();
    frame.extend([[0xfd; 16], [0xfe; 16]].concat());
    frame.extend([0, 53, 0x30, 0x39, 0, 11, 0, 0, b'd', b'n', b's']);
    let packets = read(&file(&[frame])).expect("a capture");
    assert_eq!(packets.len(), 1);
    assert!(
        packets[0].has_port(53)
            && packets[0].contains(b"ns")
            && packets[0].protocol == Protocol::Udp
    );
}

#[test]
fn a_cut_file_gives_what_is_whole_and_other_files_are_refused() {
    let whole = file(&[tcp4(b"one"), tcp4(b"two")]);
    assert_eq!(read(&whole[..whole.len() - 1]).expect("a capture").len(), 1);
    assert!(read(b"not a capture at all, not at all").is_err());
    for end in 24..whole.len() {
        assert!(read(&whole[..end]).is_ok(), "{end}");
    }
}
