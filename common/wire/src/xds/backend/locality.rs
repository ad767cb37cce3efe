//! `ambit.waypoint.v1.LocalityPolicy`.

use mesh::{
    Name,
    backend::{Distribute, Failover, LocalityPattern, LocalityPolicy, PriorityKey, PriorityLabel},
};

use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
    },
};

pub(super) fn read(read: &proto::LocalityPolicy) -> Result<LocalityPolicy, Fault> {
    Ok(LocalityPolicy {
        distribute: each("distribute", &read.distribute, distribute)?,
        failover: each("failover", &read.failover, |failover| {
            Ok(Failover {
                from: field::name("from", &failover.from)?.into(),
                to: field::name("to", &failover.to)?.into(),
            })
        })?,
        failover_priority: each("failover_priority", &read.failover_priority, |text| {
            priority(text)
        })?,
    })
}

fn distribute(read: &proto::Distribute) -> Result<Distribute, Fault> {
    Ok(Distribute {
        from: pattern("from", &read.from)?,
        to: each("to", &read.to, |(to, share)| Ok((pattern("", to)?, *share)))?,
    })
}

/// `region/zone/subzone`, where what is `*` or left out stands for any.
fn pattern(field: &str, text: &str) -> Result<LocalityPattern, Fault> {
    let mut parts = field::name(field, text)?.split('/');
    let mut part = || match parts.next() {
        None | Some("" | "*") => None,
        Some(part) => Some(Name::from(part)),
    };
    let pattern = LocalityPattern {
        region: part(),
        zone: part(),
        subzone: part(),
    };
    if parts.next().is_some() {
        let expected = "a region, a zone and a subzone at most";
        return Err(Fault::text(field, text, expected));
    }
    Ok(pattern)
}

/// `label` or `label=value`.
fn priority(text: &str) -> Result<PriorityKey, Fault> {
    let (label, value) = match field::name("", text)?.split_once('=') {
        Some((label, value)) => (label, Some(value.into())),
        None => (text, None),
    };
    Ok(PriorityKey {
        label: PriorityLabel::named(field::name("", label)?),
        value,
    })
}
