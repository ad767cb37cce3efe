//! `ambit.waypoint.v1.ExternalAuthorization`: whom CUSTOM asks.

use std::time::Duration;

use mesh::{
    Name,
    access::external::{ExternalAuthorization, HttpCheck, IncludeBody, Protocol},
};

use super::{header_text, text, time_or};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        names::Names,
        route::{self, scalar},
    },
};

/// For the answer. Source: MeshConfig, `envoyExtAuthzHttp.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// What a request is answered with that nobody could be asked about. Source: MeshConfig, `statusOnError`.
const DEFAULT_STATUS: u32 = 403;
/// The longest body that is held back for an authorizer. Units: bytes. Reason: it is kept whole in memory for each request.
const MAX_BODY_BYTES: u32 = 16 << 20;

pub(super) fn read(
    read: &proto::ExternalAuthorization,
    names: &mut Names,
) -> Result<ExternalAuthorization, Fault> {
    use proto::external_authorization::Protocol as Read;
    let Some(backend) = &read.backend else {
        return Err(Fault::missing("backend", "who answers"));
    };
    let protocol = match &read.protocol {
        Some(Read::Http(read)) => http(read)
            .map(|check| Protocol::Http(Box::new(check)))
            .map_err(|fault| fault.within("http"))?,
        Some(Read::Grpc(proto::ExternalGrpc {})) => Protocol::Grpc,
        None => return Err(Fault::missing("", "http or grpc")),
    };
    let status = match read.status_on_error {
        0 => DEFAULT_STATUS,
        given => given,
    };
    Ok(ExternalAuthorization {
        provider: text("provider", &read.provider)?,
        backend: route::backend(backend, names).map_err(|fault| fault.within("backend"))?,
        protocol,
        timeout: time_or(read.timeout_us, DEFAULT_TIMEOUT),
        fail_open: read.fail_open,
        status_on_error: scalar::status("status_on_error", status)?,
        include_body: read
            .include_body
            .as_ref()
            .map(body)
            .transpose()
            .map_err(|fault| fault.within("include_body"))?,
    })
}

fn http(read: &proto::ExternalHttp) -> Result<HttpCheck, Fault> {
    let names = |field, read: &[proto::TextMatch]| each(field, read, text::header_name);
    if !read.path_prefix.is_empty() && !read.path_prefix.starts_with('/') {
        let expected = "a path that begins with /";
        return Err(Fault::text("path_prefix", &read.path_prefix, expected));
    }
    Ok(HttpCheck {
        path_prefix: Name::from(&*scalar::target("path_prefix", &read.path_prefix)?),
        include_headers: names("include_headers", &read.include_headers)?,
        additional_headers: each("additional_headers", &read.additional_headers, header_text)?,
        upstream_on_allow: names("upstream_on_allow", &read.upstream_on_allow)?,
        downstream_on_deny: names("downstream_on_deny", &read.downstream_on_deny)?,
        downstream_on_allow: names("downstream_on_allow", &read.downstream_on_allow)?,
    })
}

fn body(read: &proto::IncludeBody) -> Result<IncludeBody, Fault> {
    if !(1..=MAX_BODY_BYTES).contains(&read.max_bytes) {
        let found = read.max_bytes.to_string();
        return Err(Fault::new("max_bytes", found, "from 1 to 16777216 bytes"));
    }
    Ok(IncludeBody {
        max_bytes: read.max_bytes,
        allow_partial: read.allow_partial,
        as_bytes: read.as_bytes,
    })
}
