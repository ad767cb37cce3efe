//! Numbers as people read them, columns that stand below each other.

use super::table::{Table, number, spread};
use crate::statistics::Spread;

#[test]
fn numbers_have_three_significant_digits() {
    let shown = [
        0.0,
        0.4441,
        0.9999,
        1.0,
        9.994,
        9.996,
        16.58,
        99.96,
        123.4,
        1234.5,
        1_234_567.0,
    ]
    .map(number);
    let expected = [
        "0",
        "0.444",
        "1.00",
        "1.00",
        "9.99",
        "10.0",
        "16.6",
        "100",
        "123",
        "1,234",
        "1,234,567",
    ];
    assert_eq!(shown, expected);
    assert_eq!(number(-123.0), "-123");
}

#[test]
fn a_figure_that_is_not_there_is_a_dash() {
    assert_eq!(spread(None), "-");
    assert_eq!(
        spread(Some(Spread {
            median: 2.0,
            min: 1.0,
            max: 10.0
        })),
        "2.00 [1.00-10.0]"
    );
}

#[test]
fn columns_are_aligned() {
    let mut table = Table::new(["", "a", "bb"].map(str::to_owned).to_vec());
    table.section("bulk".to_owned());
    table.row(["rate", "1", "22222"].map(str::to_owned).to_vec());
    table.row(["p50 of it", "333", "4"].map(str::to_owned).to_vec());
    let expected = concat!(
        "                a      bb\n",
        "bulk\n",
        "  rate          1   22222\n",
        "  p50 of it   333       4\n",
    );
    assert_eq!(table.to_string(), expected);
}
