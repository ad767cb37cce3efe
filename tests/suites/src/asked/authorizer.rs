//! External authorization by gRPC: the messages, for an [`Answerer`](super::Answerer).

use http::Response;
use wire::proto::external_auth::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpRequest,
    HttpStatus, OkHttpResponse, RpcStatus, check_response::HttpResponse,
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

/// It may pass, with these headers set on it.
pub fn allow(headers: &[(&str, &str)]) -> Response<Answer> {
    grpc::answer(&CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: options(headers),
            ..OkHttpResponse::default()
        })),
        dynamic_metadata: None,
    })
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
    let option = |(key, value): &(&str, &str)| HeaderValueOption {
        header: Some(HeaderValue {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    };
    headers.iter().map(option).collect()
}
