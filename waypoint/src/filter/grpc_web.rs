//! gRPC-Web for backends that speak gRPC.
//!
//! In: a request of a browser. Out: a request of gRPC over HTTP/2, and its answer in the browser's clothes: trailers as
//! the last message of the body, in base64 where that was asked for. Never: gathers a message; looks into one.
//!
//! Source: gRPC's PROTOCOL-WEB; Envoy's `grpc_web` filter.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TE},
};

use crate::body::Body;

mod translate;

use translate::{Decode, Encode};

/// What a client that speaks gRPC-Web wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcWeb {
    request: Coding,
    response: Coding,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Binary,
    /// In base64.
    Text,
}

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What a request of gRPC-Web wants; `None` where it is none.
#[must_use]
pub fn wanted(headers: &HeaderMap) -> Option<GrpcWeb> {
    let coding = coding(headers, &CONTENT_TYPE)?;
    Some(GrpcWeb {
        request: coding,
        response: self::coding(headers, &ACCEPT).unwrap_or(coding),
    })
}

impl GrpcWeb {
    /// Makes a request of gRPC out of one of gRPC-Web.
    pub fn request(self, request: &mut Request<Body>) {
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, inner_type(headers));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if !headers.contains_key(&GRPC_ACCEPT_ENCODING) {
            headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.request == Coding::Text {
            headers.remove(CONTENT_LENGTH);
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::boxed(Decode::new(body));
        }
    }

    /// Makes an answer of gRPC-Web out of one of gRPC. An answer that is none of gRPC stays as it is.
    #[must_use]
    pub fn response(self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        if !is_grpc(headers) {
            return response;
        }
        headers.insert(CONTENT_TYPE, self.outer_type(headers));
        headers.remove(CONTENT_LENGTH);
        let text = self.response == Coding::Text;
        response.map(|body| Body::boxed(Encode::new(body, text)))
    }

    fn outer_type(self, headers: &HeaderMap) -> HeaderValue {
        let json = suffix(headers, "application/grpc") == Some("+json");
        HeaderValue::from_static(match (self.response, json) {
            (Coding::Binary, false) => "application/grpc-web+proto",
            (Coding::Binary, true) => "application/grpc-web+json",
            (Coding::Text, false) => "application/grpc-web-text+proto",
            (Coding::Text, true) => "application/grpc-web-text+json",
        })
    }
}

/// Whether a message is of gRPC: its content type is `application/grpc`, alone or with a suffix.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    suffix(headers, "application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('+') || rest.starts_with(';'))
}

fn suffix<'h>(headers: &'h HeaderMap, kind: &str) -> Option<&'h str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.strip_prefix(kind)
}

fn coding(headers: &HeaderMap, name: &HeaderName) -> Option<Coding> {
    let value = headers.get(name)?.to_str().ok()?;
    let kind = value.split([';', ',']).next()?.trim();
    let rest = kind.strip_prefix("application/grpc-web")?;
    match rest.split('+').next()? {
        "" => Some(Coding::Binary),
        "-text" => Some(Coding::Text),
        _ => None,
    }
}

/// The content type of the same messages in gRPC.
fn inner_type(headers: &HeaderMap) -> HeaderValue {
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("+json"));
    HeaderValue::from_static(if json {
        "application/grpc+json"
    } else {
        "application/grpc+proto"
    })
}

#[cfg(test)]
mod tests;
