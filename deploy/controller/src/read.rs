//! Manifests to objects: the YAML of one document becomes typed, validated objects.
//!
//! In: one document of a file. Out: an [`Item`] per object in it, good, refused or of no concern, and what was
//! warned of, all worded for people.
//! Never: opens a file, knows of other documents.
//!
//! A field of the Kubernetes API that has no effect here is accepted without a look; a field that the API does not
//! have is warned of; a value that Kubernetes or Istio would refuse refuses the object.
//!
//! Reading order: this file (the envelope), `kind` (which kinds there are), `meta`, then the file of a kind.

use std::sync::Arc;

use yaml::{Cursor, Document, Error, Part, Position, Value, cursor::Unknown};

use crate::{
    objects::{Kind, MESH_CONFIG, Meta, Object, ObjectKey},
    status::Finding,
};
use kind::Treatment;

pub(crate) mod authentication;
pub(crate) mod authorization;
mod base64;
mod destination_rule;
mod duration;
mod embedded;
mod entry;
mod envoy_filter;
mod export;
pub(crate) mod field;
pub(crate) mod gateway;
mod header;
mod kind;
pub(crate) mod labels;
mod line;
mod matching;
pub(crate) mod mesh_config;
mod meta;
pub(crate) mod name;
mod number;
mod pod;
mod protocol;
mod request_authentication;
mod route;
mod service;
mod service_entry;
mod slice;
mod topology;
mod traffic_policy;
mod virtual_service;

const DOCUMENT: &str = "a Kubernetes object with apiVersion, kind and metadata";

/// What one object of a document came to.
#[derive(Debug)]
pub struct Item {
    /// Which object it is. `None` where that cannot be told, or where the kind is of no concern here.
    pub key: Option<ObjectKey>,
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub content: Content,
    /// What was warned of. **Shape**: as [`Finding::text`].
    pub warnings: Vec<Finding>,
}

/// What an object is.
#[derive(Debug)]
pub enum Content {
    /// It is good.
    Good(Object),
    /// Its kind is of no concern here.
    Ignored,
    /// It is left out.
    Refused(Finding),
}

/// Reads the objects of one document: one, or those of a `List`.
///
/// # Errors
/// It is not YAML, so that not even how many objects there are can be told. The finding is refused, without a key.
pub fn document(file: &str, part: &Part<'_>) -> Result<Vec<Item>, Finding> {
    let node = part.parse().map_err(|malformed| Finding {
        object: None,
        refused: true,
        text: Error::malformed(file, malformed).to_string(),
    })?;
    let document = Document::new(file, Unknown::Warn);
    let at = document.top(&node);
    if at.is_null() {
        return Ok(Vec::new());
    }
    let reader = Reader {
        file,
        document: &document,
    };
    if is_list(&at) {
        let mut items = Vec::new();
        let read = at.field("items", |at| {
            at.list("a list of Kubernetes objects", |at| {
                items.push(reader.item(at));
                Ok(())
            })
        });
        // Only where `items` is no list at all.
        if let Err(error) = read {
            items.push(reader.refused(None, at.position(), "List", &error));
        }
        Ok(items)
    } else {
        Ok(vec![reader.item(&at)])
    }
}

/// Whether it is a `v1/List`, as `kubectl get` prints several objects.
fn is_list(at: &Cursor<'_>) -> bool {
    let says = |field, expected: &str| {
        at.field(field, |at| Ok(at.text("a text")? == expected))
            .is_ok_and(|says| says == Some(true))
    };
    says("apiVersion", "v1") && says("kind", "List")
}

/// Words what is read of one document.
struct Reader<'a> {
    file: &'a str,
    document: &'a Document<'a>,
}

impl Reader<'_> {
    fn item(&self, at: &Cursor<'_>) -> Item {
        let position = at.position();
        let (api_version, kind) = match envelope(at) {
            Ok(envelope) => envelope,
            Err(error) => return self.refused(None, position, "", &error),
        };
        let ignored = |warnings| Item {
            key: None,
            position,
            content: Content::Ignored,
            warnings,
        };
        let warned = |text: &str| {
            let called = called(at, &kind);
            let Position { line, column } = position;
            let text = format!("{}:{line}:{column}: {called}: {text}", self.file);
            ignored(vec![Finding {
                object: None,
                refused: false,
                text,
            }])
        };
        let (kind, wrong_version) = match kind::treatment(&api_version, &kind) {
            Treatment::Read(kind) => (kind, None),
            Treatment::WrongVersion(kind, expected) => (kind, Some(expected)),
            Treatment::Later => return warned("not enforced by this controller yet"),
            Treatment::Endpoints => {
                return warned("not read, expected an EndpointSlice in its place");
            }
            Treatment::Misspelt(field, expected) => {
                let called = called(at, &kind);
                return self.refused(None, position, &called, &wrong(at, field, expected));
            }
            Treatment::Skip => return ignored(Vec::new()),
            Treatment::Unknown => {
                return warned(&format!("no kind of {api_version} that is known, ignored"));
            }
        };
        let key = meta::key(at, kind);
        if kind == Kind::ConfigMap
            && key
                .as_ref()
                .is_some_and(|key| (&*key.namespace, &*key.name) != MESH_CONFIG)
        {
            return ignored(Vec::new());
        }
        let called = key
            .as_ref()
            .map_or_else(|| called(at, kind.name()), ToString::to_string);
        let read = match wrong_version {
            // Of which nobody can tell whether it is the mesh's is never taken for it.
            None if kind == Kind::ConfigMap && key.is_none() => Err(unnamed(at, kind)),
            None => object(at, kind),
            Some(expected) => Err(wrong(at, "apiVersion", expected)),
        };
        let warnings = self
            .document
            .take_warnings()
            .into_iter()
            .map(|warning| {
                let Position { line, column } = warning.position;
                Finding {
                    object: key.clone(),
                    refused: false,
                    text: format!("{}:{line}:{column}: {called}: {warning}", self.file),
                }
            })
            .collect();
        match read {
            Ok(object) => Item {
                key: Some(object.key()),
                position,
                content: Content::Good(object),
                warnings,
            },
            Err(error) => Item {
                warnings,
                ..self.refused(key, position, &called, &error)
            },
        }
    }

    /// `called` is what the object is called; empty where nothing is known of it.
    fn refused(
        &self,
        key: Option<ObjectKey>,
        position: Position,
        called: &str,
        error: &Error,
    ) -> Item {
        let text = match error {
            Error::Field {
                file,
                position: Position { line, column },
                field,
                problem,
            } if !called.is_empty() => {
                format!("{file}:{line}:{column}: {called}: {field}: {problem}")
            }
            Error::Field { .. } | Error::Yaml { .. } => error.to_string(),
        };
        let finding = Finding {
            object: key.clone(),
            refused: true,
            text,
        };
        Item {
            key,
            position,
            content: Content::Refused(finding),
            warnings: Vec::new(),
        }
    }
}

/// `apiVersion` and `kind`.
fn envelope(at: &Cursor<'_>) -> Result<(String, String), Error> {
    let text = |at: &Cursor<'_>| at.text("a text").map(str::to_owned);
    if !matches!(at.node().value, Value::Mapping(_)) {
        return Err(at.unexpected(DOCUMENT));
    }
    let api_version = at.field("apiVersion", text)?;
    let kind = at.field("kind", text)?;
    let api_version = api_version
        .ok_or_else(|| at.missing("apiVersion", "the version of the object's API, such as v1"))?;
    let kind = kind.ok_or_else(|| at.missing("kind", "the object's kind, such as Pod"))?;
    Ok((api_version, kind))
}

/// Why an object has no key.
fn unnamed(at: &Cursor<'_>, kind: Kind) -> Error {
    let read = at.keys_once().and_then(|()| meta::meta(at, kind));
    read.err().unwrap_or_else(|| at.unexpected(DOCUMENT))
}

fn wrong(at: &Cursor<'_>, field: &'static str, expected: String) -> Error {
    at.field(field, |at| Ok::<_, Error>(at.unexpected(expected.clone())))
        .ok()
        .flatten()
        .unwrap_or_else(|| at.unexpected(expected))
}

/// What people would call an object of which too little is known for a key.
fn called(at: &Cursor<'_>, kind: &str) -> String {
    let text = |field| {
        at.field("metadata", |at| {
            at.field(field, |at| at.text("a text").map(str::to_owned))
        })
        .ok()
        .flatten()
        .flatten()
        .filter(|text| name::is_subdomain(text))
    };
    match (text("namespace"), text("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind.to_owned(),
    }
}

/// Reads an object of a kind that is known, whole.
fn object(at: &Cursor<'_>, kind: Kind) -> Result<Object, Error> {
    at.keys_once()?;
    let meta: Meta = meta::meta(at, kind)?;
    Ok(match kind {
        Kind::Namespace => Object::Namespace(Arc::new(pod::namespace(at, meta)?)),
        Kind::Node => Object::Node(Arc::new(pod::node(at, meta)?)),
        Kind::Pod => Object::Pod(Arc::new(pod::pod(at, meta)?)),
        Kind::Service => Object::Service(Arc::new(service::service(at, meta)?)),
        Kind::EndpointSlice => Object::EndpointSlice(Arc::new(slice::endpoint_slice(at, meta)?)),
        Kind::ServiceAccount => Object::ServiceAccount(Arc::new(pod::service_account(at, meta)?)),
        Kind::WorkloadEntry => Object::WorkloadEntry(Arc::new(entry::workload_entry(at, meta)?)),
        Kind::ServiceEntry => {
            Object::ServiceEntry(Arc::new(service_entry::service_entry(at, meta)?))
        }
        Kind::Gateway => Object::Gateway(Arc::new(gateway::gateway(at, meta)?)),
        Kind::GatewayClass => Object::GatewayClass(Arc::new(gateway::gateway_class(at, meta)?)),
        Kind::AuthorizationPolicy => {
            Object::AuthorizationPolicy(Arc::new(authorization::authorization_policy(at, meta)?))
        }
        Kind::PeerAuthentication => {
            Object::PeerAuthentication(Arc::new(authentication::peer_authentication(at, meta)?))
        }
        Kind::ConfigMap => Object::MeshConfig(Arc::new(mesh_config::mesh_config(at, meta)?)),
        Kind::VirtualService => {
            Object::VirtualService(Arc::new(virtual_service::virtual_service(at, meta)?))
        }
        Kind::DestinationRule => {
            Object::DestinationRule(Arc::new(destination_rule::destination_rule(at, meta)?))
        }
        Kind::HttpRoute => Object::HttpRoute(Arc::new(route::http_route(at, meta)?)),
        Kind::GrpcRoute => Object::GrpcRoute(Arc::new(route::grpc_route(at, meta)?)),
        Kind::TlsRoute => Object::TlsRoute(Arc::new(route::tls_route(at, meta)?)),
        Kind::TcpRoute => Object::TcpRoute(Arc::new(route::tcp_route(at, meta)?)),
        Kind::ReferenceGrant => Object::ReferenceGrant(Arc::new(route::reference_grant(at, meta)?)),
        Kind::RequestAuthentication => Object::RequestAuthentication(Arc::new(
            request_authentication::request_authentication(at, meta)?,
        )),
        Kind::TrafficPolicy => {
            Object::TrafficPolicy(Arc::new(traffic_policy::traffic_policy(at, meta)?))
        }
        Kind::EnvoyFilter => Object::EnvoyFilter(Arc::new(envoy_filter::envoy_filter(at, meta)?)),
    })
}

#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
