//! Which addresses lead elsewhere.

use std::net::IpAddr;

use super::is_elsewhere;

#[test]
fn nobody_is_led_to_the_waypoints_own_ports() {
    let own: IpAddr = "10.0.0.1".parse().unwrap();
    for here in [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
    ] {
        assert!(!is_elsewhere(here.parse().unwrap(), own), "{here}");
    }
    for elsewhere in ["10.0.0.2", "203.0.113.1", "2001:db8::1", "169.254.1.1"] {
        assert!(is_elsewhere(elsewhere.parse().unwrap(), own), "{elsewhere}");
    }
}
