//! Tests of how a session is told to end.

use futures_util::FutureExt as _;

use super::*;

#[test]
fn who_waits_for_urgent_words_does_not_hear_others() {
    let ending = Ending::default();
    let mut any = Box::pin(ending.told(Told::Unserved));
    let mut urgent = Box::pin(ending.told(Told::Unenforced));
    assert_eq!((&mut any).now_or_never(), None);
    assert_eq!((&mut urgent).now_or_never(), None);
    ending.tell(Told::Unserved);
    assert_eq!(any.now_or_never(), Some(Told::Unserved));
    assert_eq!((&mut urgent).now_or_never(), None);
    ending.tell(Told::Unenforced);
    assert_eq!(urgent.now_or_never(), Some(Told::Unenforced));
    // Nothing is taken back, and who comes late hears it too.
    ending.tell(Told::Unserved);
    assert_eq!(ending.now(), Some(Told::Unenforced));
    let late = ending.told(Told::Unserved).now_or_never();
    assert_eq!(late, Some(Told::Unenforced));
}

#[test]
fn the_first_that_is_let_in_is_told_apart() {
    let ending = Ending::default();
    assert!(!ending.has_let_in());
    assert!(ending.let_in());
    assert!(!ending.let_in());
    assert!(ending.has_let_in());
}
