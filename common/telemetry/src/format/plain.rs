//! Numbers and addresses, as [`Display`](std::fmt::Display) writes them.
//!
//! In: a value. Out: its text, appended. Never: goes through the machinery of formatting for what each line of an access log has several of;
//! allocates, but for the text to grow.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::{Div, Rem},
};

/// The longest text: an IPv4 address with its port has 21 bytes, the largest number 20.
const MAX_BYTES: usize = 24;

/// A text on its way, of what is ASCII. What goes beyond its bound is left out, which nothing here does.
struct Short {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Short {
    const fn new() -> Self {
        Self {
            bytes: [0; MAX_BYTES],
            length: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn octet(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }

    fn address(&mut self, address: Ipv4Addr) {
        let [first, rest @ ..] = address.octets();
        self.octet(first);
        for octet in rest {
            self.push(b'.');
            self.octet(octet);
        }
    }

    /// A number, with noughts before it where it has less than `width` digits.
    fn number(&mut self, number: u64, width: usize) {
        let Ok(number) = u32::try_from(number) else {
            return self.digits(number, width);
        };
        // Nearly all of them; and the machine divides these faster.
        self.digits(number, width);
    }

    fn digits<N>(&mut self, number: N, width: usize)
    where
        N: Copy + PartialEq + From<u8> + Div<Output = N> + Rem<Output = N> + TryInto<u8>,
    {
        let (nought, ten) = (N::from(0), N::from(10));
        let mut digits = [b'0'; MAX_BYTES];
        let (mut rest, mut length) = (number, 0);
        for place in &mut digits {
            if rest == nought && length >= width {
                break;
            }
            *place += (rest % ten).try_into().unwrap_or_default();
            rest = rest / ten;
            length += 1;
        }
        for digit in digits.iter().take(length).rev() {
            self.push(*digit);
        }
    }

    fn append_to(&self, out: &mut String) {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        out.push_str(std::str::from_utf8(bytes).unwrap_or_default());
    }
}

/// Appends a number.
pub(crate) fn number(out: &mut String, number: u64) {
    padded(out, number, 1);
}

/// Appends a number, with noughts before it where it has less than `width` digits.
pub(crate) fn padded(out: &mut String, number: u64, width: usize) {
    let mut text = Short::new();
    text.number(number, width);
    text.append_to(out);
}

/// Appends an address.
pub(crate) fn ip(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut text = Short::new();
            text.address(address);
            text.append_to(out);
        }
        // Writing to a string does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Appends an address with its port.
pub(crate) fn socket(out: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            let mut text = Short::new();
            text.address(*address.ip());
            text.push(b':');
            text.number(address.port().into(), 1);
            text.append_to(out);
        }
        // As above.
        SocketAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests;
