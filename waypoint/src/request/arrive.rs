//! A request as it is when rules and policies look at it: with one meaning and one spelling.
//!
//! In: a head as the engine read it. Out: the same without what concerns the client's connection or only a proxy may say,
//! with an id, and with its path in its normal form. Never: reads the body.

use bytes::Bytes;
use http::{Method, Request, Uri, Version, uri::PathAndQuery};
use hyper::upgrade::OnUpgrade;
use mesh::settings::Normalization;

use crate::{
    body::Body,
    filter::{
        connection::{self, Switch},
        envoy,
        normalize::normalize,
    },
    http1::Refusal,
    request::{call::Call, client, head, reply::Reply, rules::Rules},
};

/// A client that wants a WebSocket, and the connection or stream that would become one.
#[derive(Debug)]
pub struct Upgrade {
    /// Its end, once we have agreed.
    pub client: OnUpgrade,
    /// Whether it is a stream of HTTP/2 (RFC 8441).
    pub is_stream: bool,
}

/// Makes a request fit to be looked at.
///
/// # Errors
/// The answer to a request that has no one meaning, or asks for what nobody gives.
pub fn arrive(
    call: &mut Call,
    rules: &Rules,
    request: &mut Request<Body>,
    refusal: Option<Refusal>,
) -> Result<Option<Upgrade>, Reply> {
    // Before its headers go.
    let switch = connection::switch(request);
    let version = request.version();
    let headers = request.headers_mut();
    connection::strip_request(headers, version);
    envoy::sanitize(headers);
    client::establish(call, rules, headers);
    let scheme = head::scheme_of(envoy::identify(headers, &mut call.random));
    // What is refused is told as well as what is not.
    if refusal.is_some() && version < Version::HTTP_2 {
        // The guard lets nothing of a head through that has more than one meaning: there is no request to tell of.
        call.account.unread();
    } else {
        call.account.came(request.headers(), scheme);
    }
    if let Some(refusal) = refusal {
        return Err(Reply::refused(refusal));
    }
    let upgrade = match switch {
        Switch::No => None,
        Switch::Connect => return Err(Reply::no_tunnel()),
        Switch::WebSocket => Some(Upgrade {
            client: hyper::upgrade::on(&mut *request),
            is_stream: false,
        }),
        Switch::WebSocketStream => {
            let client = hyper::upgrade::on(&mut *request);
            // From here on it is what it would be in HTTP/1.1.
            *request.method_mut() = Method::GET;
            request.extensions_mut().remove::<hyper::ext::Protocol>();
            *request.body_mut() = Body::Empty;
            call.account.upgrades();
            Some(Upgrade {
                client,
                is_stream: true,
            })
        }
    };
    if call.account.named().as_str().is_empty() {
        return Err(Reply::missing_host());
    }
    let path = normal_path(request.uri(), rules.settings.normalization)?;
    if let Some(path) = path {
        call.account.normalized(path.clone());
        head::set_path(request.uri_mut(), path);
    }
    Ok(upgrade)
}

/// The path in its normal form and the query, where that differs from what was sent.
fn normal_path(uri: &Uri, normalization: Normalization) -> Result<Option<PathAndQuery>, Reply> {
    let sent = uri.path();
    let normal = normalize(sent, normalization).map_err(|_| Reply::malformed_path())?;
    if normal == sent {
        return Ok(None);
    }
    let mut whole = normal.into_owned();
    if let Some(query) = uri.query() {
        whole.push('?');
        whole.push_str(query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(whole))
        .map(Some)
        .map_err(|_| Reply::malformed_path())
}
