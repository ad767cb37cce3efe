//! Targets for the head of a CONNECT request and the headers in it.

use std::str;

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use wire::{
    Authority, Baggage, DnsName, Forwarded, Traceparent,
    authority::MAX_DNS_NAME_BYTES,
    baggage::{MAX_BYTES as MAX_BAGGAGE_BYTES, WorkloadName},
    connect::{ConnectHead, MAX_NETWORK_BYTES, NETWORK, request},
    principal::{self, Claim},
    traceparent::SAMPLED,
};

use crate::check_error;

/// `:authority`. Input: its text.
///
/// # Panics
///
/// If a property does not hold.
pub fn authority(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match text.parse::<Authority>() {
        Ok(authority) => {
            assert_ne!(authority.port(), 0);
            let written = authority.to_string();
            assert_eq!(written.parse().as_ref(), Ok(&authority));
            assert_eq!(authority.to_uri().to_string(), written);
            // The longest forms: a DNS name or a bracketed IPv6 address, `:65535`.
            assert!(written.len() <= MAX_DNS_NAME_BYTES + 6);
        }
        Err(error) => check_error(&error),
    }
}

/// A DNS name. Input: its text.
///
/// # Panics
///
/// If a property does not hold.
pub fn dns_name(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match text.parse::<DnsName>() {
        Ok(name) => {
            assert!(name.as_str().len() <= MAX_DNS_NAME_BYTES);
            assert!(name.as_str().eq_ignore_ascii_case(text));
            assert!(!name.as_str().contains(|c: char| c.is_ascii_uppercase()));
            assert_eq!(name.as_str().parse().as_ref(), Ok(&name));
            // Nothing that is an address passes for a name.
            assert!(text.parse::<std::net::IpAddr>().is_err());
        }
        Err(error) => check_error(&error),
    }
}

/// `baggage`. Input: header values, one per line.
///
/// # Panics
///
/// If a property does not hold.
pub fn baggage(data: &[u8]) {
    let read = Baggage::parse(data.split(|b| *b == b'\n'));
    let total: usize = baggage_texts(&read).iter().map(|text| text.len()).sum();
    // A replaced byte (U+FFFD) takes three, and was three (`%FF`).
    assert!(total <= MAX_BAGGAGE_BYTES, "{total} bytes of values");
    for text in baggage_texts(&read) {
        assert!(
            !text.contains(char::is_control),
            "control character in {text:?}"
        );
    }
    let header = read.header_value();
    assert!(
        header
            .as_ref()
            .is_none_or(|header| header.len() <= MAX_BAGGAGE_BYTES)
    );
    assert!(total > 0 || header.is_none());
    check_baggage(
        &read,
        &Baggage::parse(header.iter().map(HeaderValue::as_bytes)),
    );
}

/// Holds baggage that was written and read again to the original.
///
/// Every text comes back whole or, if all of them encoded are more than a header may have, not at all.
fn check_baggage(original: &Baggage, again: &Baggage) {
    /// No key is longer, with its comma and equals sign.
    const MAX_KEY_BYTES: usize = 32;
    let originals = baggage_texts(original);
    let encoded: usize = originals
        .iter()
        .map(|text| 3 * text.len() + MAX_KEY_BYTES)
        .sum();
    if encoded <= MAX_BAGGAGE_BYTES {
        assert_eq!(original, again);
    } else {
        for (original, again) in originals.iter().zip(baggage_texts(again)) {
            assert!(
                again.is_empty() || *original == again,
                "{original:?} came back as {again:?}"
            );
        }
    }
}

fn baggage_texts(baggage: &Baggage) -> [&str; 7] {
    let workload = baggage
        .workload
        .as_ref()
        .map_or("", |WorkloadName { name, .. }| name.as_str());
    [
        &baggage.cluster,
        &baggage.namespace,
        workload,
        &baggage.service,
        &baggage.version,
        &baggage.region,
        &baggage.zone,
    ]
}

/// `forwarded`. Input: its value.
///
/// # Panics
///
/// If a property does not hold.
pub fn forwarded(data: &[u8]) {
    let Some(read) = Forwarded::parse(data) else {
        return;
    };
    assert_ne!(read.source.port(), 0);
    assert_eq!(read.source.ip(), read.source.ip().to_canonical());
    assert_eq!(Forwarded::parse(read.header_value().as_bytes()), Some(read));
}

/// `traceparent`. Input: its value.
///
/// # Panics
///
/// If a property does not hold.
pub fn traceparent(data: &[u8]) {
    let Some(read) = Traceparent::parse(data) else {
        return;
    };
    let written = read.header_value();
    assert_eq!(Traceparent::parse(written.as_bytes()), Some(read));
    // Ids and version 00 come back byte for byte; of a later version only known flags are kept.
    assert_eq!(written.as_bytes().get(2..53), data.get(2..53));
    assert!(!data.starts_with(b"00") || written.as_bytes() == data);
    assert!(data.starts_with(b"00") || read.flags <= SAMPLED);
    let child = read.child(0);
    assert_eq!((child.trace_id, child.flags), (read.trace_id, read.flags));
}

/// The head of a request. Input: a line `METHOD uri`, then lines `name: value`. What `http` itself
/// does not take never reaches us and is skipped.
///
/// # Panics
///
/// If a property does not hold.
pub fn connect_head(data: &[u8]) {
    let Some(parts) = head(data) else { return };
    let connect = parts.method == Method::CONNECT;
    let read = match ConnectHead::parse(&parts) {
        Ok(read) => read,
        Err(error) => return check_error(&error),
    };
    assert!(connect && parts.uri.scheme().is_none());
    assert!(
        read.network
            .as_ref()
            .is_none_or(|network| (1..=MAX_NETWORK_BYTES).contains(&network.len()))
    );

    let mut sent = request(
        &read.authority,
        read.baggage.header_value().as_ref(),
        read.forwarded.as_ref(),
        read.traceparent,
    );
    if let Some(network) = &read.network {
        let value = HeaderValue::from_str(network).expect("a network that was read can be sent");
        sent.headers_mut().insert(NETWORK, value);
    }
    match &read.client {
        Claim::Absent => {}
        Claim::Named(client) => {
            let value = principal::value(client).expect("an identity that was read can be sent");
            sent.headers_mut().insert(principal::NAME, value);
        }
        Claim::Unreadable(error) => check_error(error),
    }
    let again = ConnectHead::parse(&sent.into_parts().0).expect("a head that was read can be sent");
    check_baggage(&read.baggage, &again.baggage);
    if !matches!(read.client, Claim::Unreadable(_)) {
        assert_eq!(again.client, read.client);
    }
    assert_eq!(
        ConnectHead {
            baggage: Baggage::default(),
            client: Claim::Absent,
            ..again
        },
        ConnectHead {
            baggage: Baggage::default(),
            client: Claim::Absent,
            ..read
        }
    );
}

fn head(data: &[u8]) -> Option<http::request::Parts> {
    let mut lines = data.split(|b| *b == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|b| *b == b' ')?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(first.get(..space)?).ok()?;
    *request.uri_mut() = Uri::try_from(first.get(space + 1..)?).ok()?;
    for line in lines {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (Some(name), Some(value)) = (line.get(..colon), line.get(colon + 1..)) else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value.trim_ascii()),
        ) {
            // `append` refuses to grow beyond what `http` can index; no such request arrives.
            if request.headers_mut().try_append(name, value).is_err() {
                return None;
            }
        }
    }
    Some(request.into_parts().0)
}
