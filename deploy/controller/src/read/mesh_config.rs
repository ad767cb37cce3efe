//! MeshConfig: YAML within the key `mesh` of a ConfigMap.
//!
//! Most of MeshConfig is for proxies that are not here; its fields are accepted without a look. Errors name the line of
//! the ConfigMap's field, and the path within.
//!
//! Source: `istio.mesh.v1alpha1.MeshConfig`.

mod access_log;
mod authorizers;
mod known;

use yaml::{
    Cursor, Error, Node, Object, Value,
    nearest::nearest,
    scalar::{checked, word},
};

use super::{
    destination_rule, duration, embedded::embedded, field, labels, name, topology, virtual_service,
};
use crate::objects::{
    EntryVisibility, MeshConfig, Meta, PathNormalization, Visibility, VisibilityPolicy,
    destination_rule::{ConnectionPool, OutlierDetection},
};

const FIELDS: &[&str] = &[
    "apiVersion",
    "binaryData",
    "data",
    "immutable",
    "kind",
    "metadata",
];

const MESH_CONFIG: &str = "a MeshConfig: a mapping";
const TRUST_DOMAIN: &str = "a trust domain such as cluster.local, in lower case";
/// Source: SPIFFE-ID §2.3.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// Reads the ConfigMap. Without the key `mesh`, everything is as it is by default.
///
/// # Errors
/// The key is not YAML, or one of the fields that have an effect here is wrong.
pub(crate) fn mesh_config(at: &Cursor<'_>, meta: Meta) -> Result<MeshConfig, Error> {
    let object = at.object("a ConfigMap", FIELDS)?;
    let config = object.nullable("data", |at| at.field("mesh", inner))?;
    Ok(MeshConfig {
        meta,
        ..config.flatten().unwrap_or_default()
    })
}

/// Reads the text of the field at `at`.
fn inner(at: &Cursor<'_>) -> Result<MeshConfig, Error> {
    let read = embedded(at, "MeshConfig", |top| {
        warn_of_misspelt(at, top.node());
        config(top)
    })?;
    Ok(read.unwrap_or_default())
}

/// Warns of what is nearly the name of a field, but not quite.
fn warn_of_misspelt(at: &Cursor<'_>, node: &Node) {
    let Value::Mapping(entries) = &node.value else {
        return;
    };
    for (key, _) in entries {
        if known::FIELDS.contains(&key.text.as_str()) {
            continue;
        }
        if let Some(name) = nearest(&key.text, known::FIELDS) {
            at.warn(format!(
                "unknown field {:?} of MeshConfig, ignored (did you mean {name}?)",
                key.text
            ));
        }
    }
}

fn config(at: &Cursor<'_>) -> Result<MeshConfig, Error> {
    if !matches!(at.node().value, Value::Mapping(_)) {
        return Err(at.unexpected(MESH_CONFIG));
    }
    let entry_visibility = at
        .field("serviceEntryVisibility", entry_visibility)?
        .unwrap_or_default();
    let (default_connection_pool, default_outlier_detection) = at
        .field("defaultTrafficPolicy", default_policy)?
        .unwrap_or_default();
    let default = MeshConfig::default();
    Ok(MeshConfig {
        meta: default.meta,
        trust_domain: at
            .field("trustDomain", trust_domain)?
            .unwrap_or(default.trust_domain),
        trust_domain_aliases: at
            .field("trustDomainAliases", |at| {
                at.list("a list of trust domains", trust_domain)
            })?
            .unwrap_or_default(),
        root_namespace: at
            .field("rootNamespace", |at| name::label(at).map(str::to_owned))?
            .unwrap_or(default.root_namespace),
        entry_visibility,
        access_log: access_log::file(at)?,
        access_log_providers: access_log::providers(at)?,
        authorizers: authorizers::authorizers(at)?,
        default_access_logs: access_log::defaults(at)?,
        path_normalization: at
            .field("pathNormalization", path_normalization)?
            .unwrap_or_default(),
        protocol_detection_timeout: at
            .field("protocolDetectionTimeout", duration::or_none)?
            .flatten(),
        default_retries: at.field("defaultHttpRetryPolicy", virtual_service::retries)?,
        default_connection_pool,
        default_outlier_detection,
        locality_balancing: at.field("localityLbSetting", destination_rule::locality)?,
        gateway_topology: at
            .field("defaultConfig", |at| Ok(topology::of_config(at)))?
            .flatten(),
    })
}

/// `pathNormalization`.
fn path_normalization(at: &Cursor<'_>) -> Result<PathNormalization, Error> {
    let object = at.object("a mapping with normalization", &["normalization"])?;
    let words = [
        ("DEFAULT", PathNormalization::Base),
        ("NONE", PathNormalization::None),
        ("BASE", PathNormalization::Base),
        ("MERGE_SLASHES", PathNormalization::MergeSlashes),
        (
            "DECODE_AND_MERGE_SLASHES",
            PathNormalization::DecodeAndMergeSlashes,
        ),
    ];
    let normalization = object.nullable("normalization", |at| word(at, &words))?;
    Ok(normalization.unwrap_or_default())
}

/// `defaultTrafficPolicy`.
type DefaultPolicy = (Option<ConnectionPool>, Option<OutlierDetection>);

fn default_policy(at: &Cursor<'_>) -> Result<DefaultPolicy, Error> {
    let object = at.object(
        "a mapping with connectionPool and outlierDetection",
        &["connectionPool", "outlierDetection"],
    )?;
    Ok((
        object.nullable("connectionPool", destination_rule::connection_pool)?,
        object.nullable("outlierDetection", destination_rule::outlier_detection)?,
    ))
}

/// Source: SPIFFE-ID §2.1.
fn trust_domain(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, TRUST_DOMAIN, |text| {
        (1..=MAX_TRUST_DOMAIN_BYTES).contains(&text.len())
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'.' | b'-' | b'_')
            })
    })
    .map(str::to_owned)
}

fn entry_visibility(at: &Cursor<'_>) -> Result<EntryVisibility, Error> {
    let object = at.object(
        "a mapping with defaultVisibility and policies",
        &["applyToSidecars", "defaultVisibility", "policies"],
    )?;
    Ok(EntryVisibility {
        default: visibility(&object, "defaultVisibility")?,
        policies: field::list(&object, "policies", "a list of policies", |at| {
            let object = at.object(
                "a policy with visibility and matchingRules",
                &["matchingRules", "visibility"],
            )?;
            Ok(VisibilityPolicy {
                visibility: visibility(&object, "visibility")?,
                namespaces: field::list(&object, "matchingRules", "a list of rules", |at| {
                    let object =
                        at.object("a rule with namespaceSelector", &["namespaceSelector"])?;
                    object.nullable("namespaceSelector", labels::label_selector)
                })?,
            })
        })?,
    })
}

fn visibility(object: &Object<'_>, name: &'static str) -> Result<Visibility, Error> {
    let words = [
        ("PUBLIC", Visibility::Public),
        ("NAMESPACE", Visibility::Namespace),
        ("NONE", Visibility::None),
        ("UNSPECIFIED", Visibility::Public),
    ];
    let visibility = object.nullable(name, |at| word(at, &words))?;
    Ok(visibility.unwrap_or_default())
}

#[cfg(test)]
mod tests;
