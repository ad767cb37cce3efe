//! The labels of HTTP metrics, in the order and wording of Istio.
//!
//! `grpc_response_status` is empty for what is not gRPC, which to Prometheus is the same as absent.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::{GrpcStatus, outcomes::Outcome};
use crate::metrics::labels::{Labels, UNKNOWN, Writer};

/// A complete label set of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) labels: &'a Labels,
    /// None for the outcomes that are not told apart.
    pub(crate) outcome: Option<Outcome>,
}

/// The label set of what is counted while a request runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a>(pub(crate) &'a Labels);

impl EncodeLabelSet for Ended<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let mut out = Writer { encoder };
        parties(&mut out, self.labels)?;
        match self.outcome {
            Some(Outcome {
                status,
                flags,
                grpc,
            }) => {
                out.value("response_code", &status)?;
                match grpc.map(GrpcStatus::at) {
                    None => out.value("grpc_response_status", &"")?,
                    Some(Some(status)) => out.value("grpc_response_status", &status.number())?,
                    Some(None) => out.value("grpc_response_status", &UNKNOWN)?,
                }
                out.value("response_flags", &flags)?;
            }
            None => {
                out.value("response_code", &UNKNOWN)?;
                out.value("grpc_response_status", &UNKNOWN)?;
                out.value("response_flags", &UNKNOWN)?;
            }
        }
        security(&mut out, self.labels)
    }
}

impl EncodeLabelSet for Running<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let mut out = Writer { encoder };
        parties(&mut out, self.0)?;
        security(&mut out, self.0)
    }
}

fn parties(out: &mut Writer<'_, '_>, labels: &Labels) -> fmt::Result {
    let destination = labels.destination.as_ref();
    out.text("reporter", labels.direction.reporter())?;
    out.source(labels.source.as_ref(), labels.source_principal.as_ref())?;
    out.of(destination, "destination_workload", |peer| &peer.workload)?;
    out.of(destination, "destination_workload_namespace", |peer| {
        &peer.namespace
    })?;
    out.principal(
        "destination_principal",
        labels.destination_principal.as_ref(),
    )?;
    out.of(destination, "destination_app", |peer| {
        &peer.canonical_service
    })?;
    out.of(destination, "destination_version", |peer| {
        &peer.canonical_revision
    })?;
    let [hostname, namespace, name] = labels.service();
    out.text("destination_service", hostname)?;
    out.text("destination_service_name", name)?;
    out.text("destination_service_namespace", namespace)?;
    out.of(destination, "destination_canonical_service", |peer| {
        &peer.canonical_service
    })?;
    out.of(destination, "destination_canonical_revision", |peer| {
        &peer.canonical_revision
    })?;
    out.of(destination, "destination_cluster", |peer| &peer.cluster)?;
    out.text("request_protocol", labels.protocol.as_str())
}

fn security(out: &mut Writer<'_, '_>, labels: &Labels) -> fmt::Result {
    out.text("connection_security_policy", labels.security.as_str())
}
