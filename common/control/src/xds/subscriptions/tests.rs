//! Tests of what is asked for on demand.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Changes, Subscriptions, Want};
use crate::xds::Outcome;

fn now(want: Want) -> Outcome {
    match want {
        Want::Now(outcome) => outcome,
        Want::Wait(_) => panic!("it waits"),
    }
}

fn wait(want: Want) -> watch::Receiver<Option<Outcome>> {
    match want {
        Want::Now(outcome) => panic!("it is known: {outcome:?}"),
        Want::Wait(answer) => answer,
    }
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn subscribed(changes: Changes) -> Vec<Arc<str>> {
    assert_eq!(changes.unsubscribe, names(&[]));
    changes.subscribe
}

#[test]
fn two_who_want_one_name_ask_once_and_are_both_told() {
    let mut subscriptions = Subscriptions::new(8);
    subscriptions.open();
    let first = wait(subscriptions.want("/10.0.0.1"));
    let second = wait(subscriptions.want("/10.0.0.1"));
    assert_eq!(subscribed(subscriptions.changes()), names(&["/10.0.0.1"]));
    assert!(!subscriptions.changed());
    subscriptions.answer("/10.0.0.1", Outcome::Present);
    assert_eq!(*first.borrow(), Some(Outcome::Present));
    assert_eq!(*second.borrow(), Some(Outcome::Present));
    assert_eq!(now(subscriptions.want("/10.0.0.1")), Outcome::Present);
    assert!(!subscriptions.changed(), "it stays subscribed");
}

#[test]
fn what_is_not_there_is_known_until_it_appears() {
    let mut subscriptions = Subscriptions::new(8);
    subscriptions.open();
    drop(wait(subscriptions.want("a")));
    subscriptions.answer("a", Outcome::Absent);
    assert_eq!(now(subscriptions.want("a")), Outcome::Absent);
    subscriptions.answer("a", Outcome::Present);
    assert_eq!(now(subscriptions.want("a")), Outcome::Present);
    subscriptions.answer("a", Outcome::Absent);
    assert_eq!(now(subscriptions.want("a")), Outcome::Absent);
}

#[test]
fn a_new_stream_is_told_of_every_name_and_answers_outlive_the_old_one() {
    let mut subscriptions = Subscriptions::new(8);
    drop(wait(subscriptions.want("early")));
    assert!(!subscriptions.changed(), "there is no stream to be told");
    assert_eq!(subscriptions.open(), names(&["early"]));
    subscriptions.answer("early", Outcome::Present);
    let waiting = wait(subscriptions.want("late"));
    subscriptions.close();
    assert_eq!(now(subscriptions.want("early")), Outcome::Present);
    assert_eq!(*waiting.borrow(), None);
    let mut all = subscriptions.open();
    all.sort();
    assert_eq!(all, names(&["early", "late"]));
    assert!(!subscriptions.changed());
    subscriptions.answer("late", Outcome::Absent);
    assert_eq!(*waiting.borrow(), Some(Outcome::Absent));
}

#[test]
fn a_name_that_leads_nowhere_makes_room_and_the_one_wanted_longest_ago_goes_first() {
    let mut subscriptions = Subscriptions::new(3);
    subscriptions.open();
    for name in ["a", "b", "c"] {
        drop(wait(subscriptions.want(name)));
        subscriptions.answer(name, Outcome::Absent);
    }
    subscriptions.changes();
    assert_eq!(now(subscriptions.want("a")), Outcome::Absent);
    drop(wait(subscriptions.want("d")));
    assert_eq!(
        subscriptions.changes(),
        Changes {
            subscribe: names(&["d"]),
            unsubscribe: names(&["b"]),
        }
    );
    subscriptions.answer("b", Outcome::Present);
    assert_eq!(now(subscriptions.want("a")), Outcome::Absent);
    drop(wait(subscriptions.want("b")));
}

#[test]
fn names_that_lead_somewhere_or_are_waited_for_do_not_make_room() {
    let mut subscriptions = Subscriptions::new(2);
    subscriptions.open();
    drop(wait(subscriptions.want("a")));
    subscriptions.answer("a", Outcome::Present);
    let waiting = wait(subscriptions.want("b"));
    assert_eq!(now(subscriptions.want("c")), Outcome::Full);
    drop(waiting);
    drop(wait(subscriptions.want("c")));
    assert_eq!(now(subscriptions.want("a")), Outcome::Present);
}

#[test]
fn what_came_and_went_between_two_messages_is_told_as_it_is_now() {
    let mut subscriptions = Subscriptions::new(3);
    subscriptions.open();
    for name in ["a", "b", "c", "d", "a", "e"] {
        drop(wait(subscriptions.want(name)));
    }
    // To be told to forget what it never heard of does a stream no harm.
    assert_eq!(
        subscriptions.changes(),
        Changes {
            subscribe: names(&["a", "d", "e"]),
            unsubscribe: names(&["b", "c"]),
        }
    );
    assert_eq!(subscriptions.changes(), Changes::default());
}

#[test]
fn a_stream_that_takes_nothing_does_not_make_memory_grow() {
    let mut subscriptions = Subscriptions::new(4);
    subscriptions.open();
    let full = (0..100).find(|number| {
        matches!(
            subscriptions.want(&number.to_string()),
            Want::Now(Outcome::Full)
        )
    });
    assert_eq!(full, Some(8), "four subscribed, four to be unsubscribed");
}
