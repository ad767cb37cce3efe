//! Names of the mesh, its addresses and port maps, each validated where it stands.
//!
//! In: a [`Cursor`] at a scalar. Out: a noun of the mesh, or an error that says what was expected.
//! Never: cuts, trims or guesses.

use std::num::NonZeroU16;

use ipnet::IpNet;
use mesh::{
    Hostname, Name, Namespace, Network, PolicyKey, ServiceAccount, ServiceKey, TrustDomain, Uid,
    service::{NetworkAddress, PortMap},
};

use yaml::{
    Cursor, Error,
    scalar::{
        MAX_LABEL_BYTES, MAX_NAME_BYTES, checked, is_host, is_label, is_mapped, number,
        parse_number, port,
    },
};

/// The longest trust domain. Source: SPIFFE-ID §2.1.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// The longest uid: a cluster, kind, namespace, name and address, each of full length.
const MAX_UID_BYTES: usize = 1024;

const NAMESPACE: &str = "a namespace of at most 63 lower-case letters, digits and hyphens";
const SERVICE_ACCOUNT: &str = "a service account of lower-case letters, digits, hyphens and dots";
const HOSTNAME: &str = "a hostname such as reviews.default.svc.cluster.local";

pub(super) fn uid(at: &Cursor<'_>) -> Result<Uid, Error> {
    let expected = "a name that is unique in the mesh, such as Kubernetes//Pod/default/client-1";
    checked(at, expected, |text| visible(text, MAX_UID_BYTES)).map(Uid::from)
}

/// The name of an object.
pub(super) fn name(at: &Cursor<'_>) -> Result<Name, Error> {
    let expected = "a name of letters, digits, hyphens, dots and underscores";
    checked(at, expected, is_object_name).map(Name::from)
}

/// Free text such as a region, a node or a revision; it may be empty.
pub(super) fn label<T: From<String>>(at: &Cursor<'_>) -> Result<T, Error> {
    let expected = "at most 253 bytes of text without control characters";
    checked(at, expected, |text| {
        text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
    })
    .map(|text| T::from(text.to_owned()))
}

pub(super) fn namespace(at: &Cursor<'_>) -> Result<Namespace, Error> {
    checked(at, NAMESPACE, is_label).map(Namespace::from)
}

pub(super) fn service_account(at: &Cursor<'_>) -> Result<ServiceAccount, Error> {
    checked(at, SERVICE_ACCOUNT, is_subdomain).map(ServiceAccount::from)
}

/// Empty is none, as if the field were not there.
pub(super) fn trust_domain(at: &Cursor<'_>) -> Result<Option<TrustDomain>, Error> {
    let expected = "a trust domain of lower-case letters, digits, hyphens, dots and underscores, such as cluster.local";
    let text = at.text(expected)?;
    if text.is_empty() {
        return Ok(None);
    }
    let letter =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    checked(at, expected, |text| {
        text.len() <= MAX_TRUST_DOMAIN_BYTES && text.chars().all(letter)
    })
    .map(|text| Some(TrustDomain::from(text)))
}

pub(super) fn network(at: &Cursor<'_>) -> Result<Network, Error> {
    let expected = "a network's name without slashes, or the empty text";
    checked(at, expected, is_network).map(Network::from)
}

/// A hostname, in lower case. DNS knows no case, so neither does the file.
pub(super) fn hostname(at: &Cursor<'_>) -> Result<Hostname, Error> {
    let text = at.text(HOSTNAME)?;
    parse_hostname(text).ok_or_else(|| at.unexpected(HOSTNAME))
}

/// `namespace/hostname`.
pub(super) fn service_key(at: &Cursor<'_>) -> Result<ServiceKey, Error> {
    let expected = "\"namespace/hostname\", such as default/reviews.default.svc.cluster.local";
    let text = at.text(expected)?;
    parse_service_key(text).ok_or_else(|| at.unexpected(expected))
}

/// `namespace/name` of a policy.
pub(super) fn policy_key(at: &Cursor<'_>) -> Result<PolicyKey, Error> {
    let expected = "\"namespace/name\" of a policy, such as default/deny-all";
    at.text(expected)?
        .split_once('/')
        .filter(|(namespace, name)| is_label(namespace) && is_object_name(name))
        .map(|(namespace, name)| PolicyKey::new(namespace, name))
        .ok_or_else(|| at.unexpected(expected))
}

/// `network/ip`, or `network/ip/prefix` where a VIP is a whole range.
pub(super) fn vip(at: &Cursor<'_>) -> Result<NetworkAddress, Error> {
    let expected = "\"network/ip\" or \"network/ip/prefix\"; the network without a name is empty, as in /10.0.0.1";
    parse_network_address(at.text(expected)?).ok_or_else(|| at.unexpected(expected))
}

/// `network/ip` without a prefix.
pub(super) fn parse_network_host(text: &str) -> Option<NetworkAddress> {
    parse_network_address(text).filter(|address| address.prefix_length.is_none())
}

pub(super) fn parse_service_key(text: &str) -> Option<ServiceKey> {
    let (namespace, hostname) = text.split_once('/')?;
    is_label(namespace).then_some(())?;
    Some(ServiceKey {
        namespace: namespace.into(),
        hostname: parse_hostname(hostname)?,
    })
}

/// `ns/sa`, or `sa` in `default`.
pub(super) fn parse_service_account(
    text: &str,
    default: &Namespace,
) -> Option<(Namespace, ServiceAccount)> {
    match text.split_once('/') {
        Some((namespace, account)) => (is_label(namespace) && is_subdomain(account))
            .then(|| (Namespace::from(namespace), ServiceAccount::from(account))),
        None => is_subdomain(text).then(|| (default.clone(), ServiceAccount::from(text))),
    }
}

/// Service ports, each with its target port; 0 and the service port itself both mean that they are the same.
pub(super) fn ports(at: &Cursor<'_>) -> Result<PortMap, Error> {
    let mut ports = PortMap::default();
    at.entries(
        "a mapping of service ports to target ports, such as {80: 8080}",
        |key, value| {
            let service_port = port(key)?;
            let expected = "a target port from 1 to 65535, or 0 for the service port";
            let target: u16 = number(value, expected)?;
            let target = NonZeroU16::new(target).filter(|target| *target != service_port);
            // One number has one spelling here, so a port cannot come twice under different keys.
            ports.0.insert(service_port.get(), target);
            Ok(())
        },
    )?;
    Ok(ports)
}

pub(super) fn capacity(at: &Cursor<'_>) -> Result<u32, Error> {
    number(at, "a whole number from 0 to 4294967295")
}

fn parse_network_address(text: &str) -> Option<NetworkAddress> {
    let (network, address) = text
        .split_once('/')
        .filter(|(network, _)| is_network(network))?;
    let (ip, prefix_length) = match address.split_once('/') {
        None => (address.parse().ok().filter(|ip| is_host(*ip))?, None),
        Some((ip, prefix)) => {
            let range = IpNet::new(ip.parse().ok()?, parse_number(prefix)?)
                .ok()?
                .trunc();
            let whole = range.prefix_len() == range.max_prefix_len();
            (range.addr(), (!whole).then(|| range.prefix_len()))
        }
    };
    (!is_mapped(ip)).then(|| NetworkAddress {
        network: network.into(),
        ip,
        prefix_length,
    })
}

fn parse_hostname(text: &str) -> Option<Hostname> {
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let valid = text.len() <= MAX_NAME_BYTES
        && labels.split('.').all(|label| (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(letter))
        // A name whose last label is a number is a mistyped address.
        && labels.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| !byte.is_ascii_digit()));
    valid.then(|| Hostname::from(text.to_ascii_lowercase()))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.split('.').all(|part| !part.is_empty())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        })
}

fn is_object_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn is_network(text: &str) -> bool {
    text.is_empty() || (visible(text, MAX_NAME_BYTES) && !text.contains('/'))
}

fn visible(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
