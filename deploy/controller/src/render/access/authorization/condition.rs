//! `when[]`: a key of Istio as an attribute (AZ-04).
//!
//! A key that asks for what a waypoint does not know cannot be enforced: an attribute that is always absent would make of a DENY
//! policy one that denies nobody.

use ipnet::IpNet;
use wire::proto::waypoint::{Attribute, Field};

use super::{
    Context,
    field::{Fields, account, host, of, text},
};
use crate::{
    objects::Condition,
    render::access::{self, Unenforceable},
};

/// The only filter of Envoy that says something here: the external authorizer.
const AUTHORIZER: &str = "envoy.filters.http.ext_authz";

/// One of `when`, as the fields that must hold.
pub(super) fn condition(
    it: &Condition,
    context: &Context<'_>,
) -> Result<Vec<Field>, Unenforceable> {
    let mut fields = Fields::default();
    let (values, not_values) = (&*it.values, &*it.not_values);
    let mut texts = |attribute| fields.texts(&of(attribute), values, not_values, text);
    match it.key.as_str() {
        "source.namespace" => texts(Attribute::SourceNamespace),
        "request.auth.principal" => texts(Attribute::RequestPrincipal),
        "request.auth.audiences" => texts(Attribute::Audiences),
        "request.auth.presenter" => texts(Attribute::Presenter),
        "connection.sni" => texts(Attribute::Sni),
        "source.trustDomain" => fields.trust_domains(values, not_values, context.scoping),
        "source.principal" => fields.principals(values, not_values, context.scoping),
        "source.serviceAccount" => {
            let of = of(Attribute::SourceServiceAccount);
            fields.texts(&of, values, not_values, |it| account(it, context.namespace));
        }
        "source.ip" => blocks(&mut fields, Attribute::SourceIp, it)?,
        "remote.ip" => blocks(&mut fields, Attribute::RemoteIp, it)?,
        "destination.ip" => blocks(&mut fields, Attribute::DestinationIp, it)?,
        "destination.port" => {
            let (values, not_values) = both(it, |value| value.parse().ok(), "a port")?;
            fields.ports(&values, &not_values);
        }
        key => indexed(&mut fields, key, it)?,
    }
    Ok(fields.into_vec())
}

/// A key with an index: `request.headers[x]`, `request.auth.claims[a][b]`, `experimental.envoy.filters.x[y]`.
fn indexed(fields: &mut Fields, key: &str, it: &Condition) -> Result<(), Unenforceable> {
    const EXPECTED: &str =
        "one of the keys of Istio, of which what stands in brackets has no brackets itself";
    let unknown = || Unenforceable::field("key", key, EXPECTED);
    let (name, index) = key.split_once('[').ok_or_else(unknown)?;
    let index = index.strip_suffix(']').ok_or_else(unknown)?;
    let path: Vec<String> = index.split("][").map(str::to_owned).collect();
    if path
        .iter()
        .any(|it| it.is_empty() || it.contains(['[', ']']))
    {
        return Err(unknown());
    }
    let (values, not_values) = (&*it.values, &*it.not_values);
    match name {
        "request.headers" => header(fields, index, it),
        "request.auth.claims" => {
            let claim = Field {
                path,
                ..of(Attribute::Claim)
            };
            fields.texts(&claim, values, not_values, text);
            Ok(())
        }
        name if name.strip_prefix("experimental.") == Some(AUTHORIZER) => {
            let metadata = Field {
                name: AUTHORIZER.to_owned(),
                path,
                ..of(Attribute::Metadata)
            };
            fields.texts(&metadata, values, not_values, |it| text(listed(it)));
            Ok(())
        }
        _other => Err(Unenforceable::field(
            "key",
            key,
            "of experimental.envoy.filters only envoy.filters.http.ext_authz, which alone says something in a waypoint",
        )),
    }
}

/// `request.headers[name]`. The authority and the method are no headers, but Envoy calls them so.
fn header(fields: &mut Fields, name: &str, it: &Condition) -> Result<(), Unenforceable> {
    let (values, not_values) = (&*it.values, &*it.not_values);
    match name.to_ascii_lowercase().as_str() {
        // One is the other, whichever version of HTTP a request comes by.
        ":authority" | "host" => {
            fields.texts(&of(Attribute::Host), values, not_values, host);
        }
        ":method" => fields.texts(&of(Attribute::Method), values, not_values, text),
        _header => {
            let like = Field {
                name: access::header("key", name).map_err(|_| not_a_header(&it.key))?,
                ..of(Attribute::Header)
            };
            fields.texts(&like, values, not_values, text);
        }
    }
    Ok(())
}

fn not_a_header(key: &str) -> Unenforceable {
    let expected = "the name of a header, or of :authority and :method";
    Unenforceable::field("key", key, expected)
}

/// Source: Istio: a value in brackets is one of a list, which every value is compared with here.
fn listed(value: &str) -> &str {
    let inner = value.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.filter(|it| !it.is_empty()).unwrap_or(value)
}

fn blocks(fields: &mut Fields, attribute: Attribute, it: &Condition) -> Result<(), Unenforceable> {
    let one = |value: &str| value.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let range = |value: &str| one(value).or_else(|| value.parse().ok());
    let (values, not_values) = both(it, range, "an address or a range")?;
    fields.blocks(attribute, &values, &not_values);
    Ok(())
}

/// Both lists of values. A source lets only such values through; whatever does not, closes.
fn both<T>(
    it: &Condition,
    read: impl Fn(&str) -> Option<T>,
    expected: &'static str,
) -> Result<(Vec<T>, Vec<T>), Unenforceable> {
    let all = |field: &str, values: &[String]| {
        let one = |value: &String| {
            read(value).ok_or_else(|| Unenforceable::field(field, value, expected))
        };
        values.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    Ok((
        all("values", &it.values)?,
        all("notValues", &it.not_values)?,
    ))
}
