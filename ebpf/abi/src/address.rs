//! An address of either family in one shape.

/// Sixteen bytes in four words, each as it stands in a packet. **Shape:** an IPv4 address is the v4-mapped one
/// (`::ffff:a.b.c.d`), as sockets of both families use it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(pub [u32; 4]);

const _: () = assert!(size_of::<Address>() == 16 && align_of::<Address>() == 4);

/// The third word of v4-mapped addresses.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Address {
    /// `::`: no packet carries it.
    pub const UNSPECIFIED: Self = Self([0; 4]);
    /// 127.0.0.1.
    pub const LOOPBACK_V4: Self = Self::v4(0x7f00_0001_u32.to_be());
    /// `::1`.
    pub const LOOPBACK_V6: Self = Self([0, 0, 0, 1_u32.to_be()]);
    /// Where probes of the kubelet come from: 169.254.7.127. Source: Istio, `HOST_PROBE_SNAT_IP`.
    pub const PROBE_V4: Self = Self::v4(0xa9fe_077f_u32.to_be());
    /// The same for IPv6: `fd16:9254:7127:1337:ffff:ffff:ffff:ffff`. Source: Istio, `HOST_PROBE_SNAT_IPV6`.
    pub const PROBE_V6: Self = Self([
        0xfd16_9254_u32.to_be(),
        0x7127_1337_u32.to_be(),
        u32::MAX,
        u32::MAX,
    ]);

    /// An IPv4 address from the word that a packet carries.
    #[inline(always)]
    #[must_use]
    pub const fn v4(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// Whether it is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// Whether packets to it cannot leave the machine: 127.0.0.0/8 and `::1`.
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        if self.is_v4() {
            self.0[3].to_ne_bytes()[0] == 127
        } else {
            self.is(&Self::LOOPBACK_V6)
        }
    }

    /// Whether it is 0.0.0.0 or `::`, by which a connect means the machine itself.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        self.is(&Self::UNSPECIFIED) || (self.is_v4() && self.0[3] == 0)
    }

    /// Whether it is of fe80::/10.
    #[inline(always)]
    #[must_use]
    pub const fn is_link_local_v6(&self) -> bool {
        let bytes = self.0[0].to_ne_bytes();
        bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
    }

    /// Whether it is one of the two that probes come from.
    #[inline(always)]
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.is(&Self::PROBE_V4) || self.is(&Self::PROBE_V6)
    }

    /// Equality. Word by word, because a comparison of memory is a call that the kernel does not have.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, other: &Self) -> bool {
        self.0[0] == other.0[0]
            && self.0[1] == other.0[1]
            && self.0[2] == other.0[2]
            && self.0[3] == other.0[3]
    }
}
