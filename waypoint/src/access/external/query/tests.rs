//! Queries before and after.

use super::edit;

fn edited(query: &str, set: &[(&str, &str)], remove: &[&str]) -> String {
    let set: Vec<(String, String)> = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
    edit(Some(query), &set, &remove).unwrap()
}

#[test]
fn a_parameter_that_is_set_takes_the_place_of_all_of_its_name() {
    assert_eq!(edited("a=1&b=2&a=3", &[("a", "9")], &[]), "a=9&b=2");
    assert_eq!(edited("", &[("a", "9")], &[]), "a=9");
    assert_eq!(edited("b", &[("a", "1"), ("c", "2")], &[]), "b&a=1&c=2");
}

#[test]
fn the_last_value_that_is_set_for_a_name_counts() {
    assert_eq!(edited("x=0", &[("a", "1"), ("a", "2")], &[]), "x=0&a=2");
    assert_eq!(edited("a=0", &[("a", "1"), ("a", "2")], &[]), "a=2");
}

#[test]
fn a_parameter_goes_however_it_is_spelled() {
    for query in [
        "admin=1&x=2",
        "%61dmin=1&x=2",
        "x=2&%61%64%6D%69%6e",
        "admin&x=2&admin=3",
    ] {
        assert_eq!(edited(query, &[], &["admin"]), "x=2", "{query}");
        let set = edited(query, &[("admin", "0")], &[]);
        assert_eq!(set.matches("admin=0").count(), 1, "{set}");
        assert!(!set.contains('%'), "{set}");
    }
    assert_eq!(edited("a+b=1&a%20b=2&c", &[], &["a b"]), "c");
}

#[test]
fn removing_wins_over_setting_as_it_comes_after() {
    assert_eq!(edited("a=1", &[("a", "2"), ("b", "3")], &["a", "b"]), "");
}

#[test]
fn what_is_not_spoken_of_stays_as_it_is_spelled() {
    let query = "z=%7e&&y=a+b&%zz=%&=&x";
    assert_eq!(edited(query, &[], &["none"]), "z=%7e&y=a+b&%zz=%&=&x");
}

#[test]
fn a_value_cannot_smuggle_a_second_parameter_in() {
    let set = [("a", "1&admin=2"), ("b=c", "#d e\u{e9}\r\n")];
    assert_eq!(
        edited("", &set, &[]),
        "a=1%26admin=2&b%3Dc=%23d%20e%C3%A9%0D%0A"
    );
    // Escapes that are there are the authorizer's.
    assert_eq!(edited("", &[("a", "b%20c")], &[]), "a=b%20c");
}
