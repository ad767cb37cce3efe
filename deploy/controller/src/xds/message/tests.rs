//! What is written is what a client reads.

use std::sync::Arc;

use super::{MAX_MESSAGE, Message, PIECE};
use crate::{
    output::ResourceType,
    publish::{Encoded, Publisher},
    xds::{
        plan::{Item, Items, Plan},
        testkit::{policy, puts, read},
    },
};

fn list(count: usize) -> Arc<[Arc<Encoded>]> {
    let publisher = Publisher::new();
    publisher.apply(puts((0..count).map(|i| policy("ns", &format!("p{i}"), 0))));
    publisher.view().load().list(ResourceType::Authorization)
}

fn message(items: Items, removed: &[&str], limit: usize) -> Message {
    let removed = removed.iter().map(|name| Arc::from(*name)).collect();
    Message::new(
        "type",
        "nonce".to_owned(),
        Plan { items, removed },
        0,
        limit,
    )
}

#[test]
fn an_empty_response_has_its_type_and_nonce() {
    let response = read(message(Items::Own(Arc::new([])), &[], MAX_MESSAGE));
    assert_eq!((&*response.type_url, &*response.nonce), ("type", "nonce"));
    assert!(response.resources.is_empty() && response.removed_resources.is_empty());
}

#[test]
fn a_response_of_a_group_says_how_many_come_after_it() {
    let empty = || message(Items::Own(Arc::new([])), &[], MAX_MESSAGE);
    let alone = empty().followed_by(0);
    assert_eq!(alone.len(), empty().len());
    assert_eq!(read(alone).followed_by, 0);
    for after in [1, 4, 127, 128, 70_000] {
        let response = read(empty().followed_by(after));
        assert_eq!(
            (&*response.nonce, response.followed_by as usize),
            ("nonce", after)
        );
    }
}

#[test]
fn a_large_response_comes_in_pieces_of_bounded_size() {
    let removed: Vec<_> = (0..20_000).map(|i| format!("gone-{i}")).collect();
    let removed: Vec<_> = removed.iter().map(String::as_str).collect();
    let of = || message(Items::Shared(list(3_000)), &removed, MAX_MESSAGE);
    let (mut pieces, mut largest) = (0, 0);
    let mut writing = of();
    while let Some(piece) = writing.piece() {
        pieces += 1;
        largest = largest.max(piece.len());
    }
    assert!(
        pieces > 5 && largest < PIECE + 4_096,
        "{pieces} pieces, the largest has {largest} bytes"
    );
    let response = read(of());
    assert_eq!(response.removed_resources, removed);
    assert_eq!(response.resources.len(), 3_000);
    assert!(
        response
            .resources
            .iter()
            .all(|one| one.resource.is_some() && !one.version.is_empty())
    );
}

#[test]
fn aliases_of_one_client_are_added_to_those_of_all() {
    let item = Item {
        aliases: vec!["net/10.0.0.1".into(), "net/10.0.0.2".into()],
        ..Item::plain(&list(1)[0])
    };
    let response = read(message(Items::Own(Arc::new([item])), &[], MAX_MESSAGE));
    assert_eq!(response.resources[0].name, "ns/p0");
    assert_eq!(
        response.resources[0].aliases,
        ["net/10.0.0.1", "net/10.0.0.2"]
    );
}

#[test]
fn one_resource_is_sent_even_if_it_is_too_large() {
    let message = message(Items::Shared(list(3)), &[], 1);
    assert_eq!(message.rest().map(|(_, position)| position), Some(1));
    assert_eq!(read(message).resources.len(), 1);
}
