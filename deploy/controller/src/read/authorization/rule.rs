//! `spec.rules[]`: `from`, `to` and `when`.

use yaml::{Cursor, Error, Object};

use super::{condition, value};
use crate::{
    objects::{Operation, PolicyRule, Source},
    read::field,
};

const RULE: &str = "a rule with from, to and when; {} is a rule for everything";

const SOURCE_FIELDS: &[&str] = &[
    "ipBlocks",
    "namespaces",
    "notIpBlocks",
    "notNamespaces",
    "notPrincipals",
    "notRemoteIpBlocks",
    "notRequestPrincipals",
    "notServiceAccounts",
    "notTrustDomains",
    "principals",
    "remoteIpBlocks",
    "requestPrincipals",
    "serviceAccounts",
    "trustDomains",
];

const SOURCE: &str = "a source with at least one field";

const OPERATION_FIELDS: &[&str] = &[
    "hosts",
    "methods",
    "notHosts",
    "notMethods",
    "notPaths",
    "notPorts",
    "paths",
    "ports",
];

const OPERATION: &str = "an operation with at least one field";

/// Fields of a source that an external authorizer cannot be chosen by.
const NOT_CUSTOM: &[&str] = &[
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "principals",
    "notPrincipals",
];

pub(super) fn rule(at: &Cursor<'_>) -> Result<PolicyRule, Error> {
    let object = at.exact_object(RULE, &["from", "to", "when"])?;
    Ok(PolicyRule {
        from: some(&object, "from", "a list of at least one source", |at| {
            let from = at.exact_object("a mapping with source", &["source"])?;
            from.required("source", SOURCE, source)
        })?,
        to: some(&object, "to", "a list of at least one operation", |at| {
            let to = at.exact_object("a mapping with operation", &["operation"])?;
            to.required("operation", OPERATION, operation)
        })?,
        when: field::list(
            &object,
            "when",
            "a list of conditions",
            condition::condition,
        )?,
    })
}

/// A list that is either missing or holds something: an empty one could mean everything or nothing.
fn some<T>(
    object: &Object<'_>,
    name: &'static str,
    expected: &'static str,
    mut read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let list = object.nullable(name, |at| {
        let list = at.list(expected, &mut read)?;
        if list.is_empty() {
            return Err(at.unexpected(expected));
        }
        Ok(list)
    })?;
    Ok(list.unwrap_or_default())
}

fn source(at: &Cursor<'_>) -> Result<Source, Error> {
    let object = at.exact_object(SOURCE, SOURCE_FIELDS)?;
    let texts = |name, read| value::list(&object, name, read);
    let blocks = |name| value::list(&object, name, value::block);
    let source = Source {
        principals: texts("principals", value::principal)?,
        not_principals: texts("notPrincipals", value::principal)?,
        request_principals: texts("requestPrincipals", value::pattern)?,
        not_request_principals: texts("notRequestPrincipals", value::pattern)?,
        namespaces: texts("namespaces", value::pattern)?,
        not_namespaces: texts("notNamespaces", value::pattern)?,
        service_accounts: texts("serviceAccounts", value::account)?,
        not_service_accounts: texts("notServiceAccounts", value::account)?,
        ip_blocks: blocks("ipBlocks")?,
        not_ip_blocks: blocks("notIpBlocks")?,
        remote_ip_blocks: blocks("remoteIpBlocks")?,
        not_remote_ip_blocks: blocks("notRemoteIpBlocks")?,
        trust_domains: texts("trustDomains", value::trust_domain)?,
        not_trust_domains: texts("notTrustDomains", value::trust_domain)?,
    };
    if source == Source::default() {
        return Err(at.unexpected(SOURCE));
    }
    let has_accounts = [&source.service_accounts, &source.not_service_accounts];
    let has_others = [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
    ];
    if has_others.iter().any(|it| !it.is_empty()) {
        for (accounts, name) in has_accounts
            .iter()
            .zip(["serviceAccounts", "notServiceAccounts"])
        {
            if !accounts.is_empty() {
                let expected = "either service accounts or principals and namespaces";
                return field::refuse(&object, name, expected);
            }
        }
    }
    Ok(source)
}

fn operation(at: &Cursor<'_>) -> Result<Operation, Error> {
    let object = at.exact_object(OPERATION, OPERATION_FIELDS)?;
    let texts = |name, read| value::list(&object, name, read);
    let ports = |name| value::list(&object, name, value::port);
    let operation = Operation {
        hosts: texts("hosts", value::pattern)?,
        not_hosts: texts("notHosts", value::pattern)?,
        ports: ports("ports")?,
        not_ports: ports("notPorts")?,
        methods: texts("methods", value::pattern)?,
        not_methods: texts("notMethods", value::pattern)?,
        paths: texts("paths", value::path)?,
        not_paths: texts("notPaths", value::path)?,
    };
    if operation == Operation::default() {
        return Err(at.unexpected(OPERATION));
    }
    Ok(operation)
}

/// Whether all rules of a `spec` can be those of the action CUSTOM, which asks before it is known who is asking. What they say of tokens
/// is read: such a policy closes what it is attached to, whatever its last good version said.
pub(super) fn fits_custom(spec: &Object<'_>) -> Result<(), Error> {
    const EXPECTED: &str =
        "none with the action CUSTOM, which is decided before the caller's identity is";
    let refuse = |at: &Cursor<'_>| Err::<(), _>(at.unexpected(EXPECTED));
    let source = |at: &Cursor<'_>| {
        NOT_CUSTOM
            .iter()
            .try_for_each(|name| at.field(name, refuse).map(|_| ()))
    };
    let from = |at: &Cursor<'_>| at.field("source", source).map(|_| ());
    let when = |at: &Cursor<'_>| {
        let key = |at: &Cursor<'_>| match at.text("a key")? {
            "source.namespace" | "source.serviceAccount" | "source.principal" => refuse(at),
            _ => Ok(()),
        };
        at.field("key", key).map(|_| ())
    };
    let rule = |at: &Cursor<'_>| {
        at.field("from", |at| at.list("a list", from))?;
        at.field("when", |at| at.list("a list", when)).map(|_| ())
    };
    spec.nullable("rules", |at| at.list("a list", rule))
        .map(|_| ())
}
