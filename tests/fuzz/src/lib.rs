//! Fuzz targets for every parser that reads what a peer, an agent or a file wrote.
//!
//! In: any bytes.
//! Out: nothing, or a panic that names the property that does not hold.
//! Never: state between two inputs, clocks, randomness (the mutator's comes as an argument).
//!
//! Every target holds its parser to the same four properties: it does not panic; what it accepts is
//! written back and read again as the same value, where there is a way to write it; what it returns is
//! bounded by a constant or by its input; and its error text fits a log line.
//!
//! Adding a target: write the function beside its relatives ([`headers`], [`packets`],
//! [`resources`], or a new module), add a row to [`TARGETS`], a folder `corpus/<name>/` and a
//! `cargo-fuzz/fuzz_targets/<name>.rs` with its `[[bin]]`. `tests/replay.rs` fails until all are there.

#![forbid(unsafe_code)]

pub mod headers;
pub mod mutate;
pub mod packets;
pub mod resources;

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its corpus folder and its `cargo-fuzz` binary.
    pub name: &'static str,
    /// Feeds it one input; panics if a property does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "authority",
        run: headers::authority,
    },
    Target {
        name: "baggage",
        run: headers::baggage,
    },
    Target {
        name: "connect_head",
        run: headers::connect_head,
    },
    Target {
        name: "dns_name",
        run: headers::dns_name,
    },
    Target {
        name: "forwarded",
        run: headers::forwarded,
    },
    Target {
        name: "proxy_protocol",
        run: packets::proxy_protocol,
    },
    Target {
        name: "traceparent",
        run: headers::traceparent,
    },
    Target {
        name: "xds_address",
        run: resources::xds_address,
    },
    Target {
        name: "xds_authorization",
        run: resources::xds_authorization,
    },
    Target {
        name: "zds_ack",
        run: packets::zds_ack,
    },
    Target {
        name: "zds_hello",
        run: packets::zds_hello,
    },
    Target {
        name: "zds_request",
        run: packets::zds_request,
    },
];

/// The longest error text that a parser may make of any input: one long line of a log.
pub const MAX_ERROR_BYTES: usize = 4096;

/// Holds an error to a text that can stand in a log: bounded, not empty, on one line.
///
/// # Panics
///
/// If the text is none of these.
pub fn check_error(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(
        !text.is_empty() && text.len() <= MAX_ERROR_BYTES,
        "error text of {} bytes",
        text.len()
    );
    assert!(
        !text.contains(char::is_control),
        "control character in the error text {text:?}"
    );
}
