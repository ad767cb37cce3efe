//! What becomes of a value that is there already.

use super::{SETTING, extended};

#[test]
fn nothing_becomes_the_setting() {
    assert_eq!(extended("").as_deref(), Some(SETTING));
}

#[test]
fn other_tunables_stay() {
    let value = extended("glibc.malloc.arena_max=1").unwrap();
    assert_eq!(value, format!("glibc.malloc.arena_max=1:{SETTING}"));
    assert_eq!(
        extended(&value),
        None,
        "or the program would start itself forever"
    );
}

#[test]
fn a_threshold_that_the_caller_chose_stays() {
    assert_eq!(extended("glibc.cpu.x86_rep_movsb_threshold=2048"), None);
}
