//! What is merged into a listener: the listener filter of the PROXY protocol.

use yaml::{Cursor, Error, scalar::checked};

use super::{some, this};

const LISTENER: &str = "a mapping with listener_filters";
const FILTERS: &str =
    "a list of listener filters, one of them envoy.filters.listener.proxy_protocol";
const FILTER: &str = "a listener filter with name";
const PROXY_PROTOCOL: &str = "envoy.filters.listener.proxy_protocol";
/// Waypoints look at the first bytes of every connection, so that it changes nothing.
const TLS_INSPECTOR: &str = "envoy.filters.listener.tls_inspector";
/// Both, and nothing else.
const MAX_FILTERS: usize = 2;

/// `value`: a listener with the filter, and with the one that S0's object has beside it.
pub(super) fn listener(at: &Cursor<'_>) -> Result<(), Error> {
    let object = at.exact_object(LISTENER, &["listener_filters"])?;
    object.required("listener_filters", FILTERS, |at| {
        let names = some(at, FILTERS, MAX_FILTERS, filter)?;
        let count = |wanted| names.iter().filter(|name| **name == wanted).count();
        if count(PROXY_PROTOCOL) == 1 && count(TLS_INSPECTOR) <= 1 {
            Ok(())
        } else {
            Err(at.unexpected(FILTERS))
        }
    })
}

fn filter(at: &Cursor<'_>) -> Result<&'static str, Error> {
    let object = at.exact_object(FILTER, &["name", "typed_config"])?;
    let expected = "envoy.filters.listener.proxy_protocol or envoy.filters.listener.tls_inspector";
    let is_known = |name: &str| [PROXY_PROTOCOL, TLS_INSPECTOR].contains(&name);
    let is_proxy_protocol = object.required("name", FILTER, |at| {
        checked(at, expected, is_known).map(|name| name == PROXY_PROTOCOL)
    })?;
    let (name, kind) = if is_proxy_protocol {
        (
            PROXY_PROTOCOL,
            "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        )
    } else {
        (
            TLS_INSPECTOR,
            "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        )
    };
    object.nullable("typed_config", |at| {
        let config = at.exact_object("a mapping with @type alone", &["@type"])?;
        config.required("@type", kind, |at| this(at, kind))
    })?;
    Ok(name)
}
