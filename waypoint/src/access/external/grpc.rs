//! An authorizer that is asked by gRPC.
//!
//! In: a question. Out: what the answer means. Never: takes an answer without a status for a yes.
//!
//! Source: `envoy.service.auth.v3.Authorization`, and what Envoy makes of its answers.

use bytes::Bytes;
use grpc::service::external_auth::authorization_client::AuthorizationClient;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::HOST,
    uri::{Authority, PathAndQuery},
};
use mesh::access::external::ExternalAuthorization;
use prost_types::value::Kind;
use serde_json::{Map, Value};
use wire::proto::external_auth::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValueOption,
    OkHttpResponse, check_response::HttpResponse,
};

use super::{
    Failed, MAX_ANSWER_BYTES,
    changes::Changes,
    verdict::{Denial, Said, Verdict, final_status},
};
use crate::{
    access::{ask::Grpc, names::is_of_hop},
    request::call::{Place, ResponseHeader},
    session::Session,
};

/// Asks.
pub(super) async fn ask(
    session: &Session,
    external: &ExternalAuthorization,
    question: CheckRequest,
) -> Result<Said, Failed> {
    let backend = Grpc::new(
        &session.proxy,
        &session.worker,
        &external.backend,
        external.timeout,
    )?;
    let mut client = AuthorizationClient::new(backend).max_decoding_message_size(MAX_ANSWER_BYTES);
    let answer = client
        .check(question)
        .await
        .map_err(|status| Failed::Grpc(Box::new(status)))?;
    read(answer.into_inner())
}

/// What an answer means. Its status decides; one that has none decides nothing, unless it says what a request that passes
/// looks like.
fn read(answer: CheckResponse) -> Result<Said, Failed> {
    let CheckResponse {
        status,
        http_response,
        dynamic_metadata,
    } = answer;
    let allows = match (&status, &http_response) {
        (Some(status), _) => status.code == 0,
        (None, Some(HttpResponse::OkResponse(_))) => true,
        (None, Some(HttpResponse::DeniedResponse(_))) => false,
        (None, None) => return Err(Failed::Silent),
    };
    let mut metadata = dynamic_metadata;
    let verdict = match http_response {
        Some(HttpResponse::OkResponse(mut ok)) if allows => {
            // Deprecated, and yet it wins.
            metadata = ok.dynamic_metadata.take().or(metadata);
            Verdict::Allow(Box::new(changes(ok)?))
        }
        Some(HttpResponse::DeniedResponse(denied)) if !allows => {
            Verdict::Deny(Box::new(denial(denied)?))
        }
        Some(_) | None if allows => Verdict::Allow(Box::default()),
        Some(_) | None => Verdict::Deny(Box::new(Denial::new(StatusCode::FORBIDDEN))),
    };
    Ok(Said {
        verdict,
        metadata: metadata.map(object).unwrap_or_default(),
    })
}

fn denial(denied: DeniedHttpResponse) -> Result<Denial, Failed> {
    let code = denied
        .status
        .and_then(|status| u16::try_from(status.code).ok());
    let mut denial = Denial::new(code.and_then(final_status).unwrap_or(StatusCode::FORBIDDEN));
    for option in denied.headers {
        let place = place(&option, Place::Beside)?;
        let (name, value) = pair(option)?;
        let name = header_name(name)?;
        if name != HOST && !is_of_hop(&name) {
            denial.add(name, value, place);
        }
    }
    denial.body = Bytes::from(denied.body);
    Ok(denial)
}

fn changes(ok: OkHttpResponse) -> Result<Changes, Failed> {
    let mut changes = Changes::default();
    for option in ok.headers {
        // What neither field speaks of comes in the place of what the client sent, which could pass for it otherwise.
        let place = place(&option, Place::Instead)?;
        let (name, value) = pair(option)?;
        match name.as_str() {
            ":authority" => changes.authority = Some(authority(value)?),
            ":path" => changes.path = Some(path(&value)?),
            ":method" => return Err(Failed::Target(":method")),
            ":scheme" => return Err(Failed::Target(":scheme")),
            _ => {
                let name = header_name(name)?;
                if name == HOST {
                    changes.authority = Some(authority(value)?);
                } else if !is_of_hop(&name) {
                    changes.request.push(ResponseHeader { name, value, place });
                }
            }
        }
    }
    let removable = |name: String| HeaderName::try_from(name).ok();
    changes.remove = ok
        .headers_to_remove
        .into_iter()
        .filter_map(removable)
        .collect();
    for option in ok.response_headers_to_add {
        let place = place(&option, Place::Beside)?;
        let (name, value) = pair(option)?;
        let name = header_name(name)?;
        if !is_of_hop(&name) {
            changes.response.push(ResponseHeader { name, value, place });
        }
    }
    let parameters = ok.query_parameters_to_set.into_iter();
    changes.set_query = parameters.map(|one| (one.key, one.value)).collect();
    changes.remove_query = ok.query_parameters_to_remove;
    Ok(changes)
}

/// What becomes of headers of the same name. `otherwise`: neither field says anything, as far as can be told.
fn place(option: &HeaderValueOption, otherwise: Place) -> Result<Place, Failed> {
    if let Some(append) = option.append {
        return Ok(if append {
            Place::Beside
        } else {
            Place::Instead
        });
    }
    match HeaderAppendAction::try_from(option.append_action) {
        Ok(HeaderAppendAction::AppendIfExistsOrAdd) => Ok(otherwise),
        Ok(HeaderAppendAction::AddIfAbsent) => Ok(Place::IfAbsent),
        Ok(HeaderAppendAction::OverwriteIfExistsOrAdd) => Ok(Place::Instead),
        Ok(HeaderAppendAction::OverwriteIfExists) => Ok(Place::IfPresent),
        Err(_unknown) => {
            let name = option.header.as_ref().map(|header| header.key.clone());
            Err(Failed::Header(name.unwrap_or_default()))
        }
    }
}

fn pair(option: HeaderValueOption) -> Result<(String, HeaderValue), Failed> {
    let header = option.header.unwrap_or_default();
    let bytes = if header.value.is_empty() {
        header.raw_value
    } else {
        Bytes::from(header.value)
    };
    match HeaderValue::from_maybe_shared(bytes) {
        Ok(value) => Ok((header.key.to_ascii_lowercase(), value)),
        Err(_) => Err(Failed::Header(header.key)),
    }
}

fn header_name(name: String) -> Result<HeaderName, Failed> {
    HeaderName::try_from(&name).map_err(|_| Failed::Header(name))
}

fn authority(value: HeaderValue) -> Result<HeaderValue, Failed> {
    match Authority::try_from(value.as_bytes()) {
        Ok(_) => Ok(value),
        Err(_) => Err(Failed::Target(":authority")),
    }
}

fn path(value: &HeaderValue) -> Result<PathAndQuery, Failed> {
    let path = PathAndQuery::try_from(value.as_bytes()).ok();
    path.filter(|path| path.path().starts_with('/'))
        .ok_or(Failed::Target(":path"))
}

/// As JSON, which is what metadata is kept as.
fn object(from: prost_types::Struct) -> Map<String, Value> {
    let fields = from.fields.into_iter();
    fields.map(|(name, value)| (name, json(value))).collect()
}

/// As deep as the decoder lets a message be.
fn json(from: prost_types::Value) -> Value {
    match from.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::StructValue(fields)) => Value::Object(object(fields)),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}

#[cfg(test)]
mod tests;
