//! External authorization by gRPC: the messages, for an [`Answerer`](super::Answerer).

use http::Response;
use prost::Message as _;
use wire::proto::external_auth::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue,
    HeaderValueOption, HttpRequest, HttpStatus, OkHttpResponse, Peer, RpcStatus, address::Address,
    check_response::HttpResponse, socket_address::PortSpecifier,
};

use super::{Answer, Question, grpc};

/// The path of the call.
pub const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// gRPC's PERMISSION_DENIED.
const DENIED: i32 = 7;

/// What was asked; `None` where it was something else.
pub fn question(question: &Question) -> Option<CheckRequest> {
    (question.request.uri().path() == PATH).then(|| grpc::message(question))?
}

/// The request that was asked about; `None` where it is about a connection.
pub fn request(asked: &CheckRequest) -> Option<&HttpRequest> {
    asked.attributes.as_ref()?.request.as_ref()?.http.as_ref()
}

/// The address and port of one end; `None` where it was not told.
pub fn address(peer: Option<&Peer>) -> Option<(String, u32)> {
    let Address::SocketAddress(socket) = peer?.address.as_ref()?.address.as_ref()?;
    let PortSpecifier::PortValue(port) = socket.port_specifier.as_ref()?;
    Some((socket.address.clone(), *port))
}

/// It may pass, with these headers set on it.
pub fn allow(headers: &[(&str, &str)]) -> Response<Answer> {
    grpc::answer(&allowed(OkHttpResponse {
        headers: options(headers),
        ..OkHttpResponse::default()
    }))
}

/// It may pass, changed so.
pub fn allowed(ok: OkHttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: None,
    }
}

/// A header, and what becomes of those of its name.
pub fn option(key: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        ..HeaderValueOption::default()
    }
}

/// Adds a text to what an answer says for policies and logs alone.
pub fn with_metadata(mut response: CheckResponse, key: &str, text: &str) -> CheckResponse {
    // `google.protobuf.Value`, whose field 3 is a text of less than 128 bytes here.
    let mut value = vec![0x1a, u8::try_from(text.len()).unwrap_or(0)];
    value.extend_from_slice(text.as_bytes());
    let place = response.dynamic_metadata.get_or_insert_default();
    let place = place.fields.entry(key.to_owned()).or_default();
    // What is written here can be read, or the test that looks for it fails.
    let _ = place.merge(value.as_slice());
    response
}

/// It may not; the client gets this.
pub fn deny(status: i32, headers: &[(&str, &str)], body: &str) -> Response<Answer> {
    grpc::answer(&CheckResponse {
        status: Some(RpcStatus {
            code: DENIED,
            message: "no".to_owned(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: status }),
            headers: options(headers),
            body: body.to_owned(),
        })),
        dynamic_metadata: None,
    })
}

/// Whatever answer.
pub fn answer(response: &CheckResponse) -> Response<Answer> {
    grpc::answer(response)
}

/// Fails the call.
pub fn fail(status: u8) -> Response<Answer> {
    grpc::fail(status)
}

fn options(headers: &[(&str, &str)]) -> Vec<HeaderValueOption> {
    let option = |(key, value): &(&str, &str)| option(key, value, HeaderAppendAction::default());
    headers.iter().map(option).collect()
}
