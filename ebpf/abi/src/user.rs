//! Lets the loader copy these structs out of maps and into them.
#![expect(
    unsafe_code,
    reason = "aya reads and writes these structs as bytes, and wants to be told that it may"
)]

use crate::{Address, PodConfig, Ports, SteerConfig, hooks::RangeKey};

// SAFETY: numbers only, of any value, and no padding: the sizes that are asserted beside each struct are the sums of
// their fields.
unsafe impl aya::Pod for Address {}
// SAFETY: as above.
unsafe impl aya::Pod for Ports {}
// SAFETY: as above.
unsafe impl aya::Pod for PodConfig {}
// SAFETY: as above.
unsafe impl aya::Pod for SteerConfig {}
// SAFETY: as above.
unsafe impl aya::Pod for RangeKey {}
