//! Names, words, quotes; and what is refused, with the reason.

use super::Versus;

fn words(text: &str) -> Vec<String> {
    text.parse::<Versus>().unwrap().words
}

fn refusal(text: &str) -> String {
    text.parse::<Versus>().unwrap_err().to_string()
}

#[test]
fn a_name_and_a_path() {
    let versus: Versus = "istio=/opt/ztunnel".parse().unwrap();
    assert_eq!(
        versus,
        Versus {
            name: "istio".into(),
            words: vec!["/opt/ztunnel".into()]
        }
    );
}

#[test]
fn only_the_first_equals_sign_divides() {
    assert_eq!(
        words("istio=env FAKE_CA=true /opt/ztunnel proxy"),
        ["env", "FAKE_CA=true", "/opt/ztunnel", "proxy"]
    );
}

#[test]
fn blanks_divide_and_are_otherwise_nothing() {
    assert_eq!(words("a=  x \t y  "), ["x", "y"]);
}

#[test]
fn quotes_keep_blanks_and_join_with_what_stands_beside() {
    assert_eq!(
        words(r#"a='my path'/z "one two"three '' "" "#),
        ["my path/z", "one twothree", "", ""]
    );
}

#[test]
fn backslashes_work_as_in_a_shell() {
    assert_eq!(
        words(r#"a=my\ path 'a\b' "a\b" "a\"b" \'"#),
        ["my path", r"a\b", r"a\b", "a\"b", "'"]
    );
}

#[test]
fn nothing_is_expanded() {
    assert_eq!(
        words("a=x $HOME * `id` ~"),
        ["x", "$HOME", "*", "`id`", "~"]
    );
}

#[test]
fn refusals_say_what_is_wrong() {
    assert!(refusal("/opt/ztunnel").contains("no `=`"));
    assert!(refusal("=/opt/ztunnel").contains("the name is \"\""));
    assert!(refusal("a b=/opt/ztunnel").contains("the name is \"a b\""));
    assert!(refusal("a=").contains("no command"));
    assert!(refusal("a=''").contains("no command"));
    assert!(refusal("a=x 'y").contains("single quote"));
    assert!(refusal("a=x \"y").contains("double quote"));
    assert!(refusal(r#"a=x "y\"#).contains("double quote"));
    assert!(refusal(r"a=x \").contains("backslash"));
}
