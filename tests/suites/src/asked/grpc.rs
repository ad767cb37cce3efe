//! One message of gRPC each way.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;

use super::{Answer, Question};

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The message of a call; `None` where it is none.
pub(super) fn message<M: Message + Default>(question: &Question) -> Option<M> {
    M::decode(question.request.body().get(PREFIX..)?).ok()
}

/// Answers a call with a message.
pub(super) fn answer(message: &impl Message) -> Response<Answer> {
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    body.put_slice(&message.encode_to_vec());
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    response(body.freeze(), Some(trailers))
}

/// Fails a call.
pub(super) fn fail(status: u8) -> Response<Answer> {
    let mut response = response(Bytes::new(), None);
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    response
}

fn response(body: Bytes, trailers: Option<HeaderMap>) -> Response<Answer> {
    let mut response = Response::new(Answer { body, trailers });
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
