//! An order is read as it is written.

use super::Hold;

#[test]
fn an_order_survives_the_command_line() {
    for text in ["10.10.2.10,10000", "fd00::1,1"] {
        let hold: Hold = text.parse().unwrap();
        assert_eq!(hold.to_string(), text);
    }
    for text in ["", "10.10.2.10", "10.10.2.10,", ",1", "10.10.2.10,-1"] {
        assert!(text.parse::<Hold>().is_err(), "{text:?}");
    }
}
