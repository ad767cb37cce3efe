//! What must not be committed, in any text.

use tidy::{
    apply,
    texts::{authorship, machine_paths, open_tasks},
    tree::{self, File},
};

fn file(text: &str) -> File {
    File {
        path: "a.md".to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn work_that_is_left_has_an_issue() {
    assert_eq!(
        apply(&tree::files().unwrap(), open_tasks),
        Vec::<String>::new()
    );
}

#[test]
fn no_path_of_one_machine_is_committed() {
    assert_eq!(
        apply(&tree::files().unwrap(), machine_paths),
        Vec::<String>::new()
    );
}

#[test]
fn texts_speak_about_the_thing() {
    assert_eq!(
        apply(&tree::files().unwrap(), authorship),
        Vec::<String>::new()
    );
}

#[test]
fn open_work_without_an_issue_is_found() {
    assert_eq!(open_tasks(&file(concat!("// TO", "DO: later"))).len(), 1);
    assert_eq!(
        open_tasks(&file(concat!("// TO", "DO(#12): later"))).len(),
        0
    );
    assert_eq!(open_tasks(&file(concat!("# FIX", "ME, see #a"))).len(), 1);
    assert_eq!(
        open_tasks(&file(concat!("TO", "DOS and mktemp /tmp/a.XX", "XXXX"))).len(),
        0
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    assert_eq!(
        machine_paths(&file(concat!("see /wo", "rk/notes"))).len(),
        1
    );
    assert_eq!(
        machine_paths(&file("see ./notes, $place/root/etc and /root.pem")).len(),
        0
    );
}

#[test]
fn talk_about_authorship_is_found() {
    assert_eq!(
        authorship(&file(concat!("Written in a Previous ", "Session."))).len(),
        1
    );
    assert_eq!(
        authorship(&file(
            "A TLS session is never resumed; the agent hands over pods."
        ))
        .len(),
        0
    );
}
