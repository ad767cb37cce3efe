//! What makes a group, and what does not.

use wire::proto::discovery::{DeltaDiscoveryResponse as Response, Resource};

use super::{Group, GroupError, MAX_GROUP, MAX_GROUP_BYTES};

fn response(nonce: &str, followed_by: u32) -> Response {
    Response {
        nonce: nonce.to_owned(),
        followed_by,
        ..Response::default()
    }
}

fn nonces(responses: Option<Vec<Response>>) -> Vec<String> {
    let responses = responses.expect("a whole group");
    responses.into_iter().map(|it| it.nonce).collect()
}

#[test]
fn a_response_that_says_nothing_is_a_group_of_its_own() {
    let mut group = Group::default();
    for nonce in ["a", "b"] {
        assert_eq!(nonces(group.add(response(nonce, 0)).unwrap()), [nonce]);
        assert!(!group.is_open());
    }
}

#[test]
fn responses_are_held_until_the_last_of_them_is_there() {
    let mut group = Group::default();
    for _ in 0..2 {
        assert_eq!(group.add(response("a", 2)), Ok(None));
        assert!(group.is_open());
        assert_eq!(group.add(response("b", 1)), Ok(None));
        let whole = group.add(response("c", 0)).unwrap();
        assert_eq!(nonces(whole), ["a", "b", "c"]);
        assert!(!group.is_open());
    }
}

#[test]
fn a_response_that_does_not_belong_where_it_comes_ends_the_stream() {
    for (first, found) in [(3, 3), (3, 1), (3, 0), (3, 7), (1, 1)] {
        let mut group = Group::default();
        assert_eq!(group.add(response("a", first)), Ok(None));
        assert_eq!(
            group.add(response("b", found)),
            Err(GroupError::Order {
                found,
                expected: first - 1
            })
        );
    }
}

#[test]
fn a_group_is_bounded_in_responses_and_in_bytes() {
    let mut group = Group::default();
    assert_eq!(
        group.add(response("a", MAX_GROUP)),
        Err(GroupError::Long { found: MAX_GROUP })
    );
    let large = |followed_by, bytes| Response {
        resources: vec![Resource {
            name: "x".repeat(bytes),
            ..Resource::default()
        }],
        ..response("l", followed_by)
    };
    let half = MAX_GROUP_BYTES / 2;
    assert_eq!(group.add(large(2, half - 100)), Ok(None));
    assert_eq!(group.add(large(1, half - 100)), Ok(None));
    assert_eq!(group.add(large(0, 1000)), Err(GroupError::Large));
}
