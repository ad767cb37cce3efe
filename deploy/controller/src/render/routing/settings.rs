//! What one waypoint is told of itself.

use wire::proto::waypoint::{
    AccessLog as WireLog, Header, JsonFormat, Normalization, Settings, access_log::Format,
};

use super::{
    backend::{Blocks, traffic_policy},
    convert::micros_or_none,
    retry,
};
use crate::{
    objects::{AccessLog, LogFormat, PathNormalization},
    render::{
        mesh::Mesh,
        waypoint::{Found, Traffic, clients},
    },
};

/// The settings of a Gateway that is a waypoint for `traffic`; `unenforced` are the policies for it or its class that it
/// cannot enforce, `<kind> <namespace>/<name>`.
#[must_use]
pub fn settings(
    found: Found<'_>,
    traffic: Traffic,
    unenforced: &[String],
    mesh: &Mesh<'_>,
) -> Settings {
    let config = mesh.config;
    let meta = &found.gateway.meta;
    let clients = clients(found, config);
    let (services, workloads) = match traffic {
        Traffic::Service => (true, false),
        Traffic::Workload => (false, true),
        Traffic::All => (true, true),
        Traffic::None => (false, false),
    };
    let normalization = match config.path_normalization {
        PathNormalization::None => Normalization::None,
        PathNormalization::Base => Normalization::Base,
        PathNormalization::MergeSlashes => Normalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes => Normalization::DecodeAndMergeSlashes,
    };
    let default_retry = config.default_retries.as_ref();
    let mut unenforced = unenforced.to_vec();
    unenforced.sort_unstable();
    unenforced.dedup();
    Settings {
        namespace: meta.namespace.to_string(),
        gateway: meta.name.to_string(),
        unenforced,
        access_log: config.default_access_log().as_ref().map(access_log),
        normalization: normalization.into(),
        protocol_detection_timeout_us: micros_or_none(config.protocol_detection_timeout),
        default_retry: Some(default_retry.map_or_else(retry::default, retry::of_istio)),
        default_policy: Some(traffic_policy(&Blocks::of_mesh(config), false, config)),
        serves_services: services,
        serves_workloads: workloads,
        domain: mesh.domain.to_owned(),
        policies: None,
        client_address: None,
        include_client_certificate: clients.include_client_certificate,
        tell_client: clients.tell_client,
    }
}

fn access_log(it: &AccessLog) -> WireLog {
    let format = match &it.format {
        LogFormat::DefaultText => None,
        LogFormat::Text(text) => Some(Format::Text(text.clone())),
        LogFormat::DefaultJson => Some(Format::Json(JsonFormat::default())),
        LogFormat::Json(fields) => Some(Format::Json(JsonFormat {
            fields: fields
                .iter()
                .map(|(name, value)| Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
        })),
    };
    WireLog {
        omit_empty: it.omit_empty,
        format,
    }
}
