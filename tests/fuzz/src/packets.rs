//! Targets for packets of local sockets.

use wire::zds::{Ack, Hello, MAX_PACKET_BYTES, Request};

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
