//! Reading metrics.

use super::sum;

const TEXT: &str = "# TYPE opened counter\n\
    opened_total{reporter=\"source\",response_flags=\"-\"} 3\n\
    opened_total{reporter=\"destination\",response_flags=\"-\"} 4\n\
    opened_total_other 100\n\
    plain 2.5\n";

#[test]
fn series_are_added_up_by_their_labels() {
    let check = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let found = sum(TEXT, name, labels);
        assert!(
            (found - expected).abs() < f64::EPSILON,
            "{name} {labels:?}: {found}"
        );
    };
    check("opened_total", &[], 7.0);
    check("opened_total", &[("reporter", "source")], 3.0);
    check(
        "opened_total",
        &[("reporter", "destination"), ("response_flags", "-")],
        4.0,
    );
    check("opened_total", &[("porter", "source")], 0.0);
    check("plain", &[], 2.5);
    check("absent", &[], 0.0);
}
