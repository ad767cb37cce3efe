//! `gateway.networking.k8s.io` Gateway and GatewayClass.
//!
//! Source: Gateway API v1 `GatewaySpec`, `GatewayClassSpec`.

use std::collections::HashMap;

use yaml::{
    Cursor, Error, Object, Position,
    scalar::{checked, host, port, text, word},
};

use super::{field, labels, name, topology};
use crate::objects::{
    AllowedNamespaces, ClientSwitches, Gateway, GatewayAddressValue, GatewayClass, Listener, Meta,
};

/// Source: Gateway API v1 `GatewaySpec.listeners`.
const MAX_LISTENERS: usize = 64;
/// Source: Gateway API v1 `ProtocolType`.
const MAX_PROTOCOL_BYTES: usize = 255;

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const SPEC_FIELDS: &[&str] = &[
    "addresses",
    "allowedListeners",
    "backendTLS",
    "defaultScope",
    "gatewayClassName",
    "infrastructure",
    "listeners",
    "tls",
];

const STATUS_FIELDS: &[&str] = &[
    "addresses",
    "attachedListenerSets",
    "conditions",
    "listeners",
];

const LISTENER_FIELDS: &[&str] = &[
    "allowedRoutes",
    "hostname",
    "name",
    "port",
    "protocol",
    "tls",
];

const CLASS_FIELDS: &[&str] = &["controllerName", "description", "parametersRef"];

/// Applications are told who the client is.
const INCLUDE_CLIENT: &str = "ambient.istio.io/xfcc-include-client-identity";
/// Destinations are told, on the CONNECT.
const TELL_CLIENT: &str = "ambit.dev/tell-client";
/// A ProxyConfig, of which only `gatewayTopology` is read.
const PROXY_CONFIG: &str = "proxy.istio.io/config";

const SPEC: &str = "a mapping with gatewayClassName and listeners";
const LISTENERS: &str = "a list of 1 to 64 listeners";
const LISTENER: &str = "a listener with name, port and protocol";

/// Reads a gateway.
///
/// # Errors
/// Kubernetes would refuse it.
pub(crate) fn gateway(at: &Cursor<'_>, meta: Meta) -> Result<Gateway, Error> {
    let object = at.object("a Gateway", FIELDS)?;
    let mut gateway = Gateway {
        meta,
        clients: clients(at)?,
        ..Gateway::default()
    };
    object.required("spec", SPEC, |at| {
        let object = at.object(SPEC, SPEC_FIELDS)?;
        gateway.class = object.required("gatewayClassName", SPEC, |at| {
            name::subdomain(at).map(str::to_owned)
        })?;
        gateway.listeners = object.required("listeners", LISTENERS, listeners)?;
        gateway.addresses = addresses(&object)?;
        let copied = object.nullable("infrastructure", |at| {
            annotation(at, PROXY_CONFIG, |at| Ok(topology::of_text(at)))
        })?;
        gateway.topology = copied.flatten().flatten();
        Ok(())
    })?;
    // Istio copies those of the infrastructure to pods before the Gateway's own. Where these say it, nobody relies on the latter, and
    // nothing is warned of them.
    if gateway.topology.is_none() {
        let own = own_annotation(at, PROXY_CONFIG, |at| Ok(topology::of_text(at)))?;
        gateway.topology = own.flatten();
    }
    object.nullable("status", |at| {
        let object = at.object("a mapping with addresses", STATUS_FIELDS)?;
        gateway.status_addresses = addresses(&object)?;
        Ok(())
    })?;
    Ok(gateway)
}

/// Reads a class of gateways.
///
/// # Errors
/// Kubernetes would refuse it.
pub(crate) fn gateway_class(at: &Cursor<'_>, meta: Meta) -> Result<GatewayClass, Error> {
    const CONTROLLER: &str = "the name of a controller such as istio.io/mesh-controller";
    let object = at.object("a GatewayClass", FIELDS)?;
    let controller = object.required("spec", "a mapping with controllerName", |at| {
        let object = at.object("a mapping with controllerName", CLASS_FIELDS)?;
        object.required("controllerName", CONTROLLER, |at| {
            checked(at, CONTROLLER, |text| {
                text.split_once('/')
                    .is_some_and(|(domain, path)| name::is_subdomain(domain) && !path.is_empty())
            })
            .map(str::to_owned)
        })
    })?;
    Ok(GatewayClass {
        meta,
        controller,
        clients: clients(at)?,
    })
}

/// What the annotations of an object switch on.
fn clients(at: &Cursor<'_>) -> Result<ClientSwitches, Error> {
    Ok(ClientSwitches {
        include_client_certificate: own_annotation(at, INCLUDE_CLIENT, switch)?,
        tell_client: own_annotation(at, TELL_CLIENT, switch)?,
    })
}

/// `true` or `false`. A Gateway is not refused for another word: it is off.
fn switch(at: &Cursor<'_>) -> Result<Result<bool, String>, Error> {
    const WORD: &str = "\"true\" or \"false\"";
    let text = at.text(WORD)?;
    Ok(if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        let error = at.unexpected(WORD);
        at.warn(format!("{}; it is off", field::problem(&error)));
        Err(field::reason(error))
    })
}

/// Reads an annotation of an object.
fn own_annotation<T>(
    at: &Cursor<'_>,
    name: &str,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let read = at.field("metadata", |at| annotation(at, name, read))?;
    Ok(read.flatten())
}

/// Reads one of `annotations`.
fn annotation<T>(
    at: &Cursor<'_>,
    name: &str,
    read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let read = at.field("annotations", |at| at.field(name, read))?;
    Ok(read.flatten())
}

fn listeners(at: &Cursor<'_>) -> Result<Vec<Listener>, Error> {
    let mut first_by_name: HashMap<String, Position> = HashMap::new();
    let listeners = at.list(LISTENERS, |at| {
        let listener = listener(at)?;
        if let Some(first) = first_by_name.insert(listener.name.clone(), at.position()) {
            return Err(at.duplicate(&listener.name, first, "each name of a listener once"));
        }
        Ok(listener)
    })?;
    if (1..=MAX_LISTENERS).contains(&listeners.len()) {
        Ok(listeners)
    } else {
        Err(at.unexpected(LISTENERS))
    }
}

fn listener(at: &Cursor<'_>) -> Result<Listener, Error> {
    const PROTOCOL: &str = "a protocol such as HBONE, HTTP or TLS";
    let object = at.object(LISTENER, LISTENER_FIELDS)?;
    let allowed = object.nullable("allowedRoutes", |at| {
        let object = at.object("a mapping with namespaces", &["kinds", "namespaces"])?;
        object.nullable("namespaces", allowed)
    })?;
    Ok(Listener {
        name: object.required("name", LISTENER, |at| {
            name::subdomain(at).map(str::to_owned)
        })?,
        port: object.required("port", LISTENER, port)?.get(),
        protocol: object.required("protocol", LISTENER, |at| {
            checked(at, PROTOCOL, |text| {
                (1..=MAX_PROTOCOL_BYTES).contains(&text.len())
                    && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            })
            .map(str::to_owned)
        })?,
        allowed: allowed.flatten().unwrap_or_default(),
    })
}

/// `from`, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Same,
    All,
    Selector,
}

fn allowed(at: &Cursor<'_>) -> Result<AllowedNamespaces, Error> {
    let object = at.object("a mapping with from and selector", &["from", "selector"])?;
    let words = [
        ("Same", From::Same),
        ("All", From::All),
        ("Selector", From::Selector),
    ];
    let from = object.nullable("from", |at| word(at, &words))?;
    let selector = object.nullable("selector", labels::label_selector)?;
    match (from.unwrap_or(From::Same), selector) {
        (From::Selector, Some(selector)) => Ok(AllowedNamespaces::Selector(selector)),
        (From::Selector, None) => Err(object.missing(
            "selector",
            "the labels of namespaces that `from: Selector` means",
        )),
        (from, selector) => {
            if selector.is_some() {
                at.warn("the selector has no effect without `from: Selector`");
            }
            Ok(match from {
                From::All => AllowedNamespaces::All,
                From::Same | From::Selector => AllowedNamespaces::Same,
            })
        }
    }
}

/// Addresses of the kinds that are known; others are somebody else's.
fn addresses(object: &Object<'_>) -> Result<Vec<GatewayAddressValue>, Error> {
    let addresses = field::list(object, "addresses", "a list of addresses", address)?;
    Ok(addresses.into_iter().flatten().collect())
}

fn address(at: &Cursor<'_>) -> Result<Option<GatewayAddressValue>, Error> {
    const VALUE: &str = "an address";
    let object = at.object("an address with type and value", &["type", "value"])?;
    let kind = field::text(&object, "type", text)?;
    match kind.as_deref() {
        None | Some("IPAddress") => {
            let ip = field::text(&object, "value", host)?;
            Ok(ip.map(GatewayAddressValue::Ip))
        }
        Some("Hostname") => {
            let host = object.required("value", VALUE, name::hostname)?;
            Ok(Some(GatewayAddressValue::Hostname(host)))
        }
        Some(_) => {
            at.warn("an address of this type is not known, ignored");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
