//! Targets for packets of local sockets, and for what a connection begins with.

use wire::{
    proxy_protocol::{
        self, Beginning, Header, MAX_V1_BYTES, MAX_V2_BYTES, Read, SIGNATURE_V1, Version,
    },
    zds::{Ack, Hello, MAX_PACKET_BYTES, Request},
};

use crate::check_error;

/// A ZDS request. Input: the packet.
///
/// # Panics
///
/// If a property does not hold.
pub fn zds_request(data: &[u8]) {
    match Request::decode(data) {
        Ok(request) => {
            assert!(data.len() <= MAX_PACKET_BYTES);
            // What was read is written without unknown fields and in the shortest form.
            let packet = request
                .encode()
                .expect("a request that was read fits a packet");
            assert!(packet.len() <= data.len());
            assert_eq!(Request::decode(&packet), Ok(request));
        }
        Err(error) => check_error(&error),
    }
}

/// A ZDS answer. Input: the packet.
///
/// # Panics
///
/// If a property does not hold.
pub fn zds_ack(data: &[u8]) {
    match Ack::decode(data) {
        Ok(ack) => {
            assert!(ack.error.as_ref().is_none_or(|error| !error.is_empty()));
            let packet = ack.encode();
            assert!(packet.len() <= data.len());
            assert_eq!(Ack::decode(&packet), Ok(ack));
        }
        Err(error) => check_error(&error),
    }
}

/// A ZDS greeting. Input: the packet.
///
/// # Panics
///
/// If a property does not hold.
pub fn zds_hello(data: &[u8]) {
    match Hello::decode(data) {
        Ok(hello) => assert_eq!(Hello::decode(&hello.encode()), Ok(hello)),
        Err(error) => check_error(&error),
    }
}

/// A PROXY header. Input: the first bytes of a connection.
///
/// # Panics
///
/// If a property does not hold.
pub fn proxy_protocol(data: &[u8]) {
    let limit = match data.starts_with(SIGNATURE_V1) {
        true => MAX_V1_BYTES,
        false => MAX_V2_BYTES,
    };
    match proxy_protocol::read(data) {
        Ok(Read::Whole(header)) => {
            assert_eq!(proxy_protocol::beginning(data), Beginning::Present);
            assert!(header.length <= data.len().min(limit));
            // What follows changes nothing, and without its last byte it is not whole.
            let (whole, _) = data.split_at(header.length);
            assert_eq!(proxy_protocol::read(whole), Ok(Read::Whole(header)));
            let (short, _) = data.split_at(header.length - 1);
            assert!(matches!(proxy_protocol::read(short), Ok(Read::More(1))));
            if let Some(addresses) = header.addresses {
                for version in [Version::V1, Version::V2] {
                    let written = addresses.header(version);
                    let again = Header {
                        addresses: Some(addresses),
                        length: written.len(),
                    };
                    assert_eq!(proxy_protocol::read(&written), Ok(Read::Whole(again)));
                }
            }
        }
        Ok(Read::More(more)) => {
            assert!(more > 0 && data.len() + more <= limit);
            assert_ne!(proxy_protocol::beginning(data), Beginning::Absent);
        }
        Err(error) => check_error(&error),
    }
}
