//! `ambit.waypoint.v1.Settings`.

use std::sync::Arc;

use mesh::{
    Name,
    settings::{AccessLog, AccessLogFormat, Normalization, WaypointSettings},
};

use super::{
    access,
    backend::{duration, optional, traffic_policy},
    error::{Fault, each},
    field,
    names::Names,
    route,
};
use crate::proto::waypoint as proto;

/// The longest format of an access log: more than anybody writes, and little beside the lines that it makes. Units: bytes.
const MAX_FORMAT_BYTES: usize = 64 * 1024;

/// Reads the settings of one waypoint.
pub(super) fn read(read: &proto::Settings, names: &mut Names) -> Result<WaypointSettings, Fault> {
    let namespace = field::required_segment("namespace", &read.namespace)?;
    let default_policy = traffic_policy(read.default_policy.as_ref())
        .map_err(|fault| fault.within("default_policy"))?;
    Ok(WaypointSettings {
        namespace: names.namespaces.share(namespace),
        gateway: names.labels.share(gateway(&read.gateway)?),
        unenforced: each("unenforced", &read.unenforced, |text| {
            Ok(field::name("", text)?.into())
        })?,
        access_log: optional("access_log", read.access_log.as_ref(), access_log)?,
        normalization: normalization(read.normalization)?,
        protocol_detection_timeout: duration(read.protocol_detection_timeout_us),
        default_retry: optional("default_retry", read.default_retry.as_ref(), route::retry)?,
        default_policy: Arc::new(default_policy),
        serves_services: read.serves_services,
        serves_workloads: read.serves_workloads,
        domain: match &*read.domain {
            "" => "cluster.local".into(),
            given => field::hostname("domain", given)?.into(),
        },
        policies: access::policies("policies", read.policies.as_ref(), names)?,
        client_address: access::client_address(read.client_address.as_ref())?,
        include_client_certificate: read.include_client_certificate,
        tell_client: read.tell_client,
    })
}

fn gateway(text: &str) -> Result<&str, Fault> {
    let text = field::name("gateway", text)?;
    if text.contains('/') {
        return Err(Fault::text("gateway", text, "a name without slashes"));
    }
    Ok(text)
}

fn access_log(read: &proto::AccessLog) -> Result<AccessLog, Fault> {
    use proto::access_log::Format;
    let format = match &read.format {
        None => AccessLogFormat::Default,
        Some(Format::Text(text)) => AccessLogFormat::Text(format("text", text)?),
        Some(Format::Json(json)) => {
            let fields = each("json.fields", &json.fields, |read| {
                let name = field::name("name", &read.name)?;
                Ok((name.into(), format("value", &read.value)?))
            })?;
            AccessLogFormat::Json(fields)
        }
    };
    Ok(AccessLog {
        format,
        omit_empty: read.omit_empty,
    })
}

/// A format string. It may have several lines.
fn format(field: &str, text: &str) -> Result<Name, Fault> {
    if text.len() > MAX_FORMAT_BYTES {
        let found = format!("{} bytes", text.len());
        return Err(Fault::new(field, found, "at most 65536 bytes"));
    }
    Ok(text.into())
}

/// One that is not known is an error: a path that was not made plain could get around a policy.
fn normalization(number: i32) -> Result<Normalization, Fault> {
    let expected = "a number of the enum Normalization";
    Ok(match field::choice("normalization", number, expected)? {
        proto::Normalization::Base => Normalization::Base,
        proto::Normalization::None => Normalization::None,
        proto::Normalization::MergeSlashes => Normalization::MergeSlashes,
        proto::Normalization::DecodeAndMergeSlashes => Normalization::DecodeAndMergeSlashes,
    })
}

#[cfg(test)]
mod tests;
