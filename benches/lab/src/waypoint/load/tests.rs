//! h2load's own words.

use super::{Told, summary};

#[test]
fn a_request_counts_where_it_ends() {
    let mut told = Told::default();
    for line in [
        "100\t200\t50",
        "140\t200\t10",
        "140\t200\t60",
        "190\t200\t10",
        "150\t503\t5",
        "10\t-1\t5",
    ] {
        told.line(line, 150, 200).unwrap();
    }
    assert_eq!(
        told,
        Told {
            micros: vec![50, 10],
            failed: 2,
            answered: 5
        }
    );
}

#[test]
fn a_line_that_is_no_line_is_refused() {
    for line in ["", "1\t200", "a\t200\t1", "1\t200\tb"] {
        assert!(Told::default().line(line, 0, 1).is_err(), "{line:?}");
    }
}

#[test]
fn failures_are_read_from_the_summary() {
    let text = "finished in 2.00s, 111617.50 req/s, 134.55MB/s\n\
                requests: 9 total, 9 started, 7 done, 5 succeeded, 4 failed, 2 errored, 0 timeout\n";
    assert_eq!(summary(text).unwrap(), 4);
    assert!(summary("requests: 9 total").is_err());
    assert!(summary("").is_err());
}
