//! `ambit.waypoint.v1.AuthorizationPolicy`.
//!
//! A condition that cannot be judged is an error, and so is one that has values of another kind than its attribute: a DENY
//! without it would deny too little, and an ALLOW would allow too much.

use mesh::{
    Name,
    access::authorization::{
        Action, Clause, Field, IpAttribute, Match, Policy, Rule, Test, TextAttribute,
    },
};

use super::{PSEUDO, external, key, text, way};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
        names::Names,
        route::scalar,
    },
};

pub(super) fn policy(
    read: &proto::AuthorizationPolicy,
    names: &mut Names,
) -> Result<Policy, Fault> {
    Ok(Policy {
        key: key(&read.namespace, &read.name, names)?,
        action: action(read, names)?,
        dry_run: read.dry_run,
        rules: each("rules", &read.rules, |rule| {
            Ok(Rule {
                clauses: each("clauses", &rule.clauses, clause)?,
            })
        })?,
    })
}

fn action(read: &proto::AuthorizationPolicy, names: &mut Names) -> Result<Action, Fault> {
    use proto::AuthorizationAction as Read;
    let expected = "ALLOW, DENY, AUDIT or CUSTOM";
    let action: Read = field::choice("action", read.action, expected)?;
    match (action, &read.external) {
        (Read::ActionUnspecified, _) => Err(Fault::missing("action", expected)),
        (Read::Custom, None) => Err(Fault::missing("external", "whom CUSTOM asks")),
        (Read::Custom, Some(_)) if read.dry_run => {
            let expected = "no dry run: CUSTOM has none";
            Err(Fault::new("dry_run", "true", expected))
        }
        (Read::Custom, Some(external)) => external::read(external, names)
            .map(|external| Action::Custom(external.into()))
            .map_err(|fault| fault.within("external")),
        (Read::Allow | Read::Deny | Read::Audit, Some(_)) => {
            let expected = "nobody: only CUSTOM asks";
            Err(Fault::new("external", "somebody to ask", expected))
        }
        (Read::Allow, None) => Ok(Action::Allow),
        (Read::Deny, None) => Ok(Action::Deny),
        (Read::Audit, None) => Ok(Action::Audit),
    }
}

fn clause(read: &proto::Clause) -> Result<Clause, Fault> {
    if read.matches.is_empty() {
        return Err(Fault::missing("matches", "at least one match"));
    }
    Ok(Clause {
        matches: each("matches", &read.matches, |one| {
            Ok(Match {
                fields: each("fields", &one.fields, condition)?,
            })
        })?,
    })
}

fn condition(read: &proto::Field) -> Result<Field, Fault> {
    Ok(Field {
        test: test(read)?,
        negate: read.negate,
    })
}

fn test(read: &proto::Field) -> Result<Test, Fault> {
    use proto::Attribute as A;
    let attribute: A = field::choice(
        "attribute",
        read.attribute,
        "a number of the enum Attribute",
    )?;
    only_what_belongs(attribute, read)?;
    let texts = |attribute| text_test(attribute, read);
    match attribute {
        A::Unspecified => Err(Fault::missing("attribute", "what is looked at")),
        A::SourcePrincipal => texts(TextAttribute::SourcePrincipal),
        A::SourceNamespace => texts(TextAttribute::SourceNamespace),
        A::SourceServiceAccount => texts(TextAttribute::SourceServiceAccount),
        A::SourceTrustDomain => texts(TextAttribute::SourceTrustDomain),
        A::SourceIp => addresses(IpAttribute::Source, read),
        A::RemoteIp => addresses(IpAttribute::Remote, read),
        A::RequestPrincipal => texts(TextAttribute::RequestPrincipal),
        A::Audiences => texts(TextAttribute::Audiences),
        A::Presenter => texts(TextAttribute::Presenter),
        A::Claim => texts(TextAttribute::Claim(way("path", &read.path)?)),
        A::Host => texts(TextAttribute::Host),
        A::Method => texts(TextAttribute::Method),
        A::Path => texts(TextAttribute::Path),
        A::Header => {
            let name = scalar::header("name", &read.name, PSEUDO)?;
            texts(TextAttribute::Header(Name::from(&*name)))
        }
        A::DestinationIp => addresses(IpAttribute::Destination, read),
        A::DestinationPort => ports(read),
        A::Sni => texts(TextAttribute::Sni),
        A::Metadata => {
            let filter = text("name", &read.name)?;
            let path = way("path", &read.path)?;
            texts(TextAttribute::Metadata(filter, path))
        }
    }
}

/// What stands beside an attribute that it is not for would be overlooked.
fn only_what_belongs(attribute: proto::Attribute, read: &proto::Field) -> Result<(), Fault> {
    use proto::Attribute as A;
    let (is_ip, is_port, has_name, has_path) = match attribute {
        A::SourceIp | A::RemoteIp | A::DestinationIp => (true, false, false, false),
        A::DestinationPort => (false, true, false, false),
        A::Header => (false, false, true, false),
        A::Claim => (false, false, false, true),
        A::Metadata => (false, false, true, true),
        A::Unspecified
        | A::SourcePrincipal
        | A::SourceNamespace
        | A::SourceServiceAccount
        | A::SourceTrustDomain
        | A::RequestPrincipal
        | A::Audiences
        | A::Presenter
        | A::Host
        | A::Method
        | A::Path
        | A::Sni => (false, false, false, false),
    };
    let unwanted = [
        (
            "texts",
            !read.texts.is_empty() && (is_ip || is_port),
            "no texts for this attribute",
        ),
        (
            "blocks",
            !read.blocks.is_empty() && !is_ip,
            "no blocks for this attribute",
        ),
        (
            "ports",
            !read.ports.is_empty() && !is_port,
            "no ports for this attribute",
        ),
        (
            "name",
            !read.name.is_empty() && !has_name,
            "no name for this attribute",
        ),
        (
            "path",
            !read.path.is_empty() && !has_path,
            "no path for this attribute",
        ),
    ];
    match unwanted.into_iter().find(|(_, is_there, _)| *is_there) {
        Some((field, _, expected)) => Err(Fault::new(field, "given", expected)),
        None => Ok(()),
    }
}

fn text_test(attribute: TextAttribute, read: &proto::Field) -> Result<Test, Fault> {
    if read.texts.is_empty() {
        return Err(Fault::missing("texts", "at least one text"));
    }
    let condition = match attribute {
        TextAttribute::Path => text::condition,
        TextAttribute::SourcePrincipal => text::principal,
        TextAttribute::SourceNamespace
        | TextAttribute::SourceServiceAccount
        | TextAttribute::SourceTrustDomain
        | TextAttribute::RequestPrincipal
        | TextAttribute::Audiences
        | TextAttribute::Presenter
        | TextAttribute::Claim(_)
        | TextAttribute::Host
        | TextAttribute::Method
        | TextAttribute::Header(_)
        | TextAttribute::Sni
        | TextAttribute::Metadata(..) => text::plain,
    };
    Ok(Test::Text(
        attribute,
        each("texts", &read.texts, condition)?,
    ))
}

fn addresses(attribute: IpAttribute, read: &proto::Field) -> Result<Test, Fault> {
    if read.blocks.is_empty() {
        return Err(Fault::missing("blocks", "at least one block"));
    }
    let blocks = each("blocks", &read.blocks, |text| {
        let block = scalar::subnet("", text)?;
        // Nobody writes 10.0.0.1/0: the length was forgotten, and the block would hold everybody.
        let address = text.split_once('/').map_or(&**text, |(address, _)| address);
        let forgotten = block.prefix_len() == 0
            && address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| !address.to_canonical().is_unspecified());
        if forgotten {
            let expected = "the prefix length of an address that is not 0";
            return Err(Fault::text("", text, expected));
        }
        Ok(block)
    })?;
    Ok(Test::Ip(attribute, blocks))
}

fn ports(read: &proto::Field) -> Result<Test, Fault> {
    if read.ports.is_empty() {
        return Err(Fault::missing("ports", "at least one port"));
    }
    // 0 is no port, and so matches none; Istio lets it be written.
    let ports = each("ports", &read.ports, |port| {
        let expected = "a port from 0 to 65535";
        u16::try_from(*port).map_err(|_| Fault::new("", port.to_string(), expected))
    })?;
    Ok(Test::DestinationPort(ports))
}
