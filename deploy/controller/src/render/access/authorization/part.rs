//! Sources and operations as fields: the AND of what they name.

use wire::proto::waypoint::{Attribute, Field};

use super::{
    Context,
    field::{Fields, account, host, of, path, text},
};
use crate::objects::{Operation, Source};

/// `from[].source`.
pub(super) fn source(it: &Source, context: &Context<'_>) -> Vec<Field> {
    let mut fields = Fields::default();
    fields.principals(&it.principals, &it.not_principals, context.scoping);
    fields.texts(
        &of(Attribute::RequestPrincipal),
        &it.request_principals,
        &it.not_request_principals,
        text,
    );
    fields.texts(
        &of(Attribute::SourceNamespace),
        &it.namespaces,
        &it.not_namespaces,
        text,
    );
    fields.texts(
        &of(Attribute::SourceServiceAccount),
        &it.service_accounts,
        &it.not_service_accounts,
        |it| account(it, context.namespace),
    );
    fields.trust_domains(&it.trust_domains, &it.not_trust_domains, context.scoping);
    fields.blocks(Attribute::SourceIp, &it.ip_blocks, &it.not_ip_blocks);
    fields.blocks(
        Attribute::RemoteIp,
        &it.remote_ip_blocks,
        &it.not_remote_ip_blocks,
    );
    fields.into_vec()
}

/// `to[].operation`.
pub(super) fn operation(it: &Operation) -> Vec<Field> {
    let mut fields = Fields::default();
    fields.texts(&of(Attribute::Host), &it.hosts, &it.not_hosts, host);
    fields.ports(&it.ports, &it.not_ports);
    fields.texts(&of(Attribute::Method), &it.methods, &it.not_methods, text);
    fields.texts(&of(Attribute::Path), &it.paths, &it.not_paths, path);
    fields.into_vec()
}
