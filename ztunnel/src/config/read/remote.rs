//! The servers of the control plane: where configuration and certificates come from.
//!
//! Source: Istio's ztunnel. A server is the default; files stand in its place where they are given.

use std::{collections::BTreeMap, path::PathBuf};

use grpc::{Endpoint, Roots};
use http::{HeaderName, HeaderValue, Uri};

use super::super::{Authority, Fault, Source, Xds, raw::Raw};

/// The server where none is named, in a pod of Kubernetes and elsewhere.
const IN_KUBERNETES: &str = "https://istiod.istio-system.svc:15012";
const ELSEWHERE: &str = "https://localhost:15012";
const ADDRESS: &str = "https://HOST:PORT (or http:// for a server without TLS)";

/// `XDS_ADDRESS`, or the file or text in its place.
pub(super) fn source(raw: &mut Raw, cluster: &str) -> Option<Source> {
    let (file, text) = (raw.path("LOCAL_XDS_PATH"), raw.text("LOCAL_XDS"));
    let server = raw.is_given("XDS_ADDRESS");
    // Everything is read, so that one start names all faults.
    let endpoint = endpoint(raw, &XDS, cluster);
    let on_demand = raw.flag("XDS_ON_DEMAND");
    let metadata = metadata(raw);
    let conflict = match (&file, &text) {
        (Some(_), Some(_)) => Some(("LOCAL_XDS_PATH", "LOCAL_XDS")),
        (Some(_), None) if server => Some(("LOCAL_XDS_PATH", "XDS_ADDRESS")),
        (None, Some(_)) if server => Some(("LOCAL_XDS", "XDS_ADDRESS")),
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    if let Some((one, other)) = conflict {
        raw.fault(Fault::Conflict { one, other });
        return None;
    }
    match (file, text) {
        (Some(path), _) => Some(Source::File(path)),
        (None, Some(yaml)) => Some(Source::Inline(yaml)),
        (None, None) => Some(Source::Xds(Box::new(Xds {
            endpoint: endpoint?,
            on_demand: on_demand?,
            pod: raw.text("POD_NAME")?,
            namespace: raw.text("POD_NAMESPACE")?,
            ip: raw.text("INSTANCE_IP")?,
            metadata: metadata?,
        }))),
    }
}

/// `CA_ADDRESS`, or the files in its place.
pub(super) fn authority(raw: &mut Raw, cluster: &str) -> Option<Authority> {
    let (certificate, key) = (raw.path("FILE_CA_CERT"), raw.path("FILE_CA_KEY"));
    let server = raw.is_given("CA_ADDRESS");
    let endpoint = endpoint(raw, &CA, cluster);
    match (certificate, key) {
        (None, None) => endpoint.map(Authority::Remote),
        (Some(_), _) if server => {
            raw.fault(Fault::Conflict {
                one: "FILE_CA_CERT",
                other: "CA_ADDRESS",
            });
            None
        }
        (Some(certificate), Some(key)) => Some(Authority::Files { certificate, key }),
        (None, Some(_)) => {
            raw.fault(Fault::Missing {
                variable: "FILE_CA_CERT",
                expected: "the PEM file of a CA certificate, as FILE_CA_KEY is set",
            });
            None
        }
        (Some(_), None) => {
            raw.fault(Fault::Missing {
                variable: "FILE_CA_KEY",
                expected: "the PEM file of that CA's key, as FILE_CA_CERT is set",
            });
            None
        }
    }
}

/// The variables of one server.
struct Names {
    address: &'static str,
    roots: &'static str,
    alternative: &'static str,
    headers: &'static str,
}

const XDS: Names = Names {
    address: "XDS_ADDRESS",
    roots: "XDS_ROOT_CA",
    alternative: "ALT_XDS_HOSTNAME",
    headers: "XDS_HEADER_",
};
const CA: Names = Names {
    address: "CA_ADDRESS",
    roots: "CA_ROOT_CA",
    alternative: "ALT_CA_HOSTNAME",
    headers: "CA_HEADER_",
};

fn endpoint(raw: &mut Raw, names: &Names, cluster: &str) -> Option<Endpoint> {
    let address = if raw.is_given(names.address) {
        raw.parse(names.address, ADDRESS, parse_address)
    } else {
        let default = raw
            .text("KUBERNETES_SERVICE_HOST")
            .map_or(ELSEWHERE, |_| IN_KUBERNETES);
        parse_address(default)
    };
    let roots = raw.text(names.roots).map(|text| match text.as_str() {
        "SYSTEM" => Roots::System,
        _ => Roots::File(PathBuf::from(text)),
    });
    let headers = headers(raw, names.headers);
    Some(Endpoint {
        address: address?,
        roots: roots?,
        alternative_name: raw.text(names.alternative),
        token: raw.path("AUTH_TOKEN"),
        cluster: cluster.to_owned(),
        headers: headers?,
    })
}

/// A missing scheme is `https`, a missing port 15012.
fn parse_address(text: &str) -> Option<Uri> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let uri: Uri = whole.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("https" | "http"));
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let authority = uri.authority()?;
    if !known || !plain || authority.host().is_empty() || authority.as_str().contains('@') {
        return None;
    }
    match authority.port_u16() {
        Some(0) => None,
        Some(_) => Some(uri),
        // A colon without a port that can be read.
        None if authority.port().is_some() => None,
        None => format!("{}://{}:15012", uri.scheme_str()?, authority.host())
            .parse()
            .ok(),
    }
}

fn headers(raw: &mut Raw, prefix: &'static str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    let mut good = true;
    for (name, value) in raw.by_prefix(prefix) {
        match (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            (Ok(name), Ok(mut value)) => {
                // It may be a token.
                value.set_sensitive(true);
                headers.push((name, value));
            }
            (_, _) => {
                good = false;
                raw.fault(Fault::Invalid {
                    variable: format!("{prefix}{name}"),
                    value: "(not shown)".to_owned(),
                    expected: "the name and value of an HTTP header",
                });
            }
        }
    }
    good.then_some(headers)
}

/// The entries of every `ISTIO_METAJSON_*`; a value that is no text is told as JSON.
fn metadata(raw: &mut Raw) -> Option<BTreeMap<String, String>> {
    const PREFIX: &str = "ISTIO_METAJSON_";
    let mut entries = BTreeMap::new();
    let mut good = true;
    for (name, value) in raw.by_prefix(PREFIX) {
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&value) {
            Ok(object) => entries.extend(object.into_iter().map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (key, text)
            })),
            Err(_) => {
                good = false;
                raw.fault(Fault::Invalid {
                    variable: format!("{PREFIX}{name}"),
                    value,
                    expected: "a JSON object",
                });
            }
        }
    }
    good.then_some(entries)
}
