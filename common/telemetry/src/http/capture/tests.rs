//! What is kept of small maps and of large ones.

use super::*;

#[test]
fn the_first_value_of_each_name_is_kept_however_large_the_map_is() {
    let names: Vec<HeaderName> = ["x-a", "host", "x-none", "x-b", "user-agent", "x-c"]
        .map(HeaderName::from_static)
        .into();
    for others in [0, FEW - 8, FEW - 7, FEW - 6, 3 * FEW] {
        let mut headers = HeaderMap::new();
        for number in 0..others {
            let name = HeaderName::try_from(format!("x-other-{number}")).unwrap();
            headers.insert(name, HeaderValue::from(number));
        }
        for (name, value) in [
            ("x-c", "c"),
            ("x-a", "first"),
            ("x-a", "second"),
            ("host", "shop"),
            ("x-b", ""),
            ("user-agent", "ours"),
            ("x-a", "third"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let kept = Capture::of(&names).take(&headers);
        for name in &names {
            assert_eq!(kept.get(name), headers.get(name), "{name}, {others} others");
        }
        assert_eq!(kept.get(&HeaderName::from_static("x-other-0")), None);
    }
}
