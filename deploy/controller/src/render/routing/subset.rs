//! Which subsets a workload belongs to (RT-05).

use wire::proto::waypoint::{Membership, Subsets};

use super::Effective;
use crate::objects::Labels;

/// The subsets of a workload with such labels, of the services that it serves, each by its key `<namespace>/<hostname>`;
/// `None` where it belongs to none.
///
/// **Shape**: services and subsets in ascending order, so that equal workloads have equal bytes.
#[must_use]
pub fn subsets_of<'a>(
    labels: &Labels,
    services: impl IntoIterator<Item = (String, &'a Effective<'a>)>,
) -> Option<Subsets> {
    let mut memberships: Vec<Membership> = services
        .into_iter()
        .map(|(service, effective)| {
            let has = |(name, value): (&String, &String)| labels.get(name) == Some(value);
            let mut subsets: Vec<String> = effective
                .subsets()
                .filter(|subset| subset.labels.iter().all(has))
                .map(|subset| subset.name.clone())
                .collect();
            subsets.sort_unstable();
            Membership { service, subsets }
        })
        .filter(|it| !it.subsets.is_empty())
        .collect();
    memberships.sort_by(|one, other| one.service.cmp(&other.service));
    (!memberships.is_empty()).then_some(Subsets { memberships })
}
