//! What an authorizer of gRPC is told.
//!
//! In: a request or a session. Out: the question, in Envoy's words. Never: an identity that no certificate proves; a client's word
//! on whether its body is whole.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, Request, Version};
use mesh::access::external::ExternalAuthorization;
use wire::proto::external_auth as proto;

use super::body::Sample;
use crate::{
    access::names::PARTIAL_BODY,
    body::Body,
    filter::envoy::X_REQUEST_ID,
    request::{
        call::Call,
        head::{self, Named},
    },
    session::Session,
};

/// About a request.
pub(super) fn of_request(
    call: &Call,
    external: &ExternalAuthorization,
    request: &Request<Body>,
    sample: Option<&Sample>,
) -> proto::CheckRequest {
    let mut attributes = of_session(&call.session, call.client);
    let headers = request.headers();
    let path = head::path_and_query(request.uri()).to_string();
    let host = Named::of(request.uri(), headers).as_str().to_owned();
    let method = request.method().to_string();
    let scheme = head::scheme(headers).to_owned();
    let mut texts = texts(headers);
    // Envoy's names for what is no header on the wire of HTTP/1.1.
    texts.insert(":authority".to_owned(), host.clone());
    texts.insert(":method".to_owned(), method.clone());
    texts.insert(":path".to_owned(), path.clone());
    texts.insert(":scheme".to_owned(), scheme.clone());
    let mut http = proto::HttpRequest {
        id: headers
            .get(X_REQUEST_ID)
            .map(|id| text(id.as_bytes()))
            .unwrap_or_default(),
        method,
        path,
        host,
        scheme,
        size: size(request),
        protocol: match request.version() {
            Version::HTTP_2 => "HTTP/2",
            // Nothing else is served.
            _ => "HTTP/1.1",
        }
        .to_owned(),
        ..proto::HttpRequest::default()
    };
    if let Some(sample) = sample {
        let partial = if sample.is_partial { "true" } else { "false" };
        texts.insert(PARTIAL_BODY.to_string(), partial.to_owned());
        if external.include_body.is_some_and(|body| body.as_bytes) {
            http.raw_body = sample.bytes.clone();
        } else {
            http.body = text(&sample.bytes);
        }
    }
    http.headers = texts;
    attributes.request = Some(proto::Request {
        time: Some(net::clock::wall().into()),
        http: Some(http),
    });
    proto::CheckRequest {
        attributes: Some(attributes),
    }
}

/// About a connection of which no request is read.
pub(super) fn of_connection(session: &Session, client: IpAddr) -> proto::CheckRequest {
    let mut attributes = of_session(session, client);
    attributes.request = Some(proto::Request {
        time: Some(net::clock::wall().into()),
        http: None,
    });
    proto::CheckRequest {
        attributes: Some(attributes),
    }
}

/// `client` is whom a trusted proxy names, else the tunnel's peer, as for Envoy.
fn of_session(session: &Session, client: IpAddr) -> proto::AttributeContext {
    let proxied = session.proxied.as_ref().map(|proxied| proxied.source);
    let mut seen = [Some(session.client), proxied].into_iter().flatten();
    // The port of a client that only a header names is not known.
    let source = seen
        .find(|seen| seen.ip() == client)
        .unwrap_or(SocketAddr::new(client, 0));
    proto::AttributeContext {
        source: Some(proto::Peer {
            address: Some(address(source)),
            principal: session.identity().to_string(),
            ..proto::Peer::default()
        }),
        destination: Some(proto::Peer {
            address: session.destination.map(address),
            principal: session.proxy.own.identity.to_string(),
            ..proto::Peer::default()
        }),
        tls_session: session.sni.as_ref().map(|sni| proto::TlsSession {
            sni: sni.to_string(),
        }),
        ..proto::AttributeContext::default()
    }
}

fn address(address: SocketAddr) -> proto::Address {
    let socket = proto::SocketAddress {
        protocol: 0,
        address: address.ip().to_canonical().to_string(),
        port_specifier: Some(proto::socket_address::PortSpecifier::PortValue(
            address.port().into(),
        )),
    };
    proto::Address {
        address: Some(proto::address::Address::SocketAddress(socket)),
    }
}

/// Headers by name, several values joined. The host is told as `:authority`, and what says that a body is whole is ours to say.
fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        if *name == http::header::HOST || *name == PARTIAL_BODY {
            continue;
        }
        let value = text(value.as_bytes());
        match texts.get_mut(name.as_str()) {
            Some(before) => {
                before.push(',');
                before.push_str(&value);
            }
            None => {
                texts.insert(name.as_str().to_owned(), value);
            }
        }
    }
    texts
}

/// Bytes as text, in which `!` stands for every byte that is none. Source: Envoy.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '!'));
    }
    out
}

/// How long the body is; -1: not known.
fn size(request: &Request<Body>) -> i64 {
    let exact = http_body::Body::size_hint(request.body()).exact();
    exact
        .and_then(|size| i64::try_from(size).ok())
        .unwrap_or(-1)
}

#[cfg(test)]
mod tests;
