//! FEATURES.md tells the truth about tests.

use std::fs;

use tidy::{
    features::{State, check, has_test, rows},
    tree::{self, File},
};

fn table() -> String {
    fs::read_to_string(tree::root().join("FEATURES.md")).expect("FEATURES.md is there")
}

#[test]
fn every_row_names_tests_that_exist() {
    let rows = rows(&table());
    assert!(
        rows.iter()
            .filter(|row| row.state == Some(State::Built))
            .count()
            > 20,
        "the table was not understood"
    );
    assert_eq!(check(&rows, &tree::rust_files().unwrap()), Vec::new());
}

#[test]
fn a_row_that_cannot_be_believed_is_found() {
    let files = [File {
        path: "tests/a.rs".to_owned(),
        text: "#[test]\nfn it_works() {}\nfn helper() {}\n".to_owned(),
    }];
    let complaints = |row: &str| check(&rows(row), &files).len();
    assert_eq!(
        complaints("| HB-01 | tunnels | built | `tests/a.rs::it_works` |"),
        0
    );
    assert_eq!(complaints("| HB-01 | tunnels | planned | |"), 0);
    assert_eq!(
        complaints("| ID | feature | state | tests |\n|---|---|---|---|"),
        0
    );
    for bad in [
        "| HB-01 | tunnels | built | `tests/a.rs::it_fails` |",
        "| HB-01 | tunnels | built | `tests/a.rs::helper` |",
        "| HB-01 | tunnels | built | `tests/b.rs::it_works` |",
        "| HB-01 | tunnels | built | |",
        "| HB-01 | tunnels | planned | `tests/a.rs::it_works` |",
        "| HB-01 | tunnels | soon | |",
        "| HB-1 | tunnels | planned | |",
        "| HB-01..HB-08 | tunnels | built | `tests/a.rs::it_works` |",
        "| HB-01 | tunnels | planned | |\n| HB-01 | again | planned | |",
    ] {
        assert_eq!(complaints(bad), 1, "{bad}");
    }
}

#[test]
fn a_test_is_told_from_a_function() {
    let text = "/// x\n#[tokio::test(flavor = \"current_thread\")]\nasync fn waits() {}\n\n\
                proptest! {\n    /// Says it.\n    #[test]\n    fn holds(x in 0..9) {}\n}\n\nfn plain() {}\n";
    assert!(has_test(text, "waits") && has_test(text, "holds"));
    assert!(!has_test(text, "plain") && !has_test(text, "wait") && !has_test(text, ""));
}
