//! One delta leads where many lead.

use mesh::{Delta, ResourceKey, Snapshot, Uid};
use proptest::{collection::vec, prelude::*};

use super::Gathered;
use crate::xds::tests::{Contents, pod};

/// Workloads that come, by number and address, and workloads that go.
type Slice = (Vec<(u8, u8)>, Vec<u8>);

fn uid(number: u8) -> String {
    format!("w{number}")
}

fn delta((upserts, removals): &Slice) -> Delta {
    let mut decoder = wire::xds::Decoder::new();
    let upserts = upserts.iter().map(|(number, ip)| {
        let resource = pod(&uid(*number), [10, 0, 0, *ip]);
        decoder
            .resource(wire::proto::ADDRESS_TYPE, &resource)
            .unwrap()
    });
    let removals = removals.iter();
    Delta {
        upserts: upserts.collect(),
        removals: removals
            .map(|number| ResourceKey::Workload(Uid::from(uid(*number).as_str())))
            .collect(),
    }
}

#[test]
fn an_empty_delta_is_something_and_no_delta_is_nothing() {
    assert_eq!(Gathered::default().into_delta(), None);
    let mut gathered = Gathered::default();
    gathered.add(Delta::default());
    assert_eq!(gathered.into_delta(), Some(Delta::default()));
}

proptest! {
    #[test]
    fn slices_as_one_lead_where_they_lead_one_after_the_other(
        slices in vec((vec((0..5_u8, 0..4_u8), 0..4), vec(0..5_u8, 0..3)), 0..8),
    ) {
        let (mut gathered, mut expected) = (Gathered::default(), Snapshot::default());
        for slice in &slices {
            gathered.add(delta(slice));
            expected = expected.apply(delta(slice));
        }
        let found = Snapshot::default().apply(gathered.into_delta().unwrap_or_default());
        prop_assert_eq!(Contents::of(&found), Contents::of(&expected));
    }
}
