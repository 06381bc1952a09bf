//! Which network addresses may be fetched from: the special-purpose registries of RFC 6890, as tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What lies behind an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Anyone's, on the public internet.
    Public,
    /// This machine's, this network's, or set aside; fetched from only where an operator allows private networks.
    Private,
    /// Never a web server anyone meant: link-local with the metadata services of the clouds, multicast, unspecified.
    Never,
}

impl Reach {
    /// Whether it may be connected to.
    #[must_use]
    pub const fn allowed(self, private_too: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private => private_too,
            Self::Never => false,
        }
    }
}

use Reach::{Never, Private, Public};

/// First match counts; what matches nothing is public.
const V4: [(Ipv4Addr, u32, Reach); 20] = [
    (Ipv4Addr::UNSPECIFIED, 8, Never), // "this" network: reaches this machine
    (Ipv4Addr::new(10, 0, 0, 0), 8, Private), // private use
    (Ipv4Addr::new(100, 100, 100, 200), 32, Never), // a cloud's metadata service inside the shared space
    (Ipv4Addr::new(100, 64, 0, 0), 10, Private), // shared address space of carriers
    (Ipv4Addr::new(127, 0, 0, 0), 8, Private), // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32, Never), // a cloud's host service on a public-looking address
    (Ipv4Addr::new(169, 254, 0, 0), 16, Never), // link-local, with the metadata services of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12, Private), // private use
    (Ipv4Addr::new(192, 0, 0, 192), 32, Never), // a cloud's metadata service inside the protocol assignments
    (Ipv4Addr::new(192, 0, 0, 0), 24, Private), // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24, Private), // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24, Private), // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24, Private), // automatic multicast tunnels
    (Ipv4Addr::new(192, 88, 99, 0), 24, Private), // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16, Private), // private use
    (Ipv4Addr::new(192, 175, 48, 0), 24, Private), // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15, Private), // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24, Private), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24, Private), // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3, Never), // multicast, reserved, broadcast
];

/// First match counts; what matches nothing is set aside, for only `2000::/3` has been given out.
const V6: [(Ipv6Addr, u32, Reach); 12] = [
    (Ipv6Addr::LOCALHOST, 128, Private),
    (Ipv6Addr::UNSPECIFIED, 128, Never),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Never), // a cloud's metadata service
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Never),          // link-local
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Never),           // multicast
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Private),        // protocol assignments, Teredo, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Private),    // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Private),        // 6to4: any IPv4 address in disguise
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, Private), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Private),        // documentation
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Public),          // global unicast
    (Ipv6Addr::UNSPECIFIED, 0, Private),                              // all else, unique local among it
];

/// Judges an address. One that carries an IPv4 address (mapped, RFC 4291 §2.5.5, or NAT64, RFC 6052 §2.1) is what
/// that one is.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => embedded(v6).map_or_else(|| reach_v6(v6), reach_v4),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let inside = |net: Ipv4Addr, bits: u32| {
        same_prefix(u128::from(address.to_bits()), u128::from(net.to_bits()), bits, 32)
    };
    V4.into_iter().find(|(net, bits, _)| inside(*net, *bits)).map_or(Public, |(_, _, reach)| reach)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let inside = |net: Ipv6Addr, bits: u32| same_prefix(address.to_bits(), net.to_bits(), bits, 128);
    V6.into_iter().find(|(net, bits, _)| inside(*net, *bits)).map_or(Private, |(_, _, reach)| reach)
}

fn same_prefix(a: u128, b: u128, bits: u32, width: u32) -> bool {
    (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    let nat64 = || {
        let [head @ .., high, low] = address.segments();
        (head == NAT64).then(|| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
    };
    address.to_ipv4_mapped().or_else(nat64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_special_range_is_known_from_first_to_last_address() {
        for (range, expected) in [
            ("0.0.0.0 0.255.255.255", Never),
            ("1.0.0.0 9.255.255.255", Public),
            ("10.0.0.0 10.255.255.255", Private),
            ("11.0.0.0 100.63.255.255", Public),
            ("100.64.0.0 100.127.255.255", Private),
            ("100.128.0.0 126.255.255.255", Public),
            ("127.0.0.0 127.255.255.255", Private),
            ("128.0.0.0 169.253.255.255", Public),
            ("169.254.0.0 169.254.255.255", Never),
            ("169.255.0.0 172.15.255.255", Public),
            ("172.16.0.0 172.31.255.255", Private),
            ("172.32.0.0 191.255.255.255", Public),
            ("192.0.0.0 192.0.0.255", Private),
            ("192.0.2.0 192.0.2.255", Private),
            ("192.88.99.0 192.88.99.255", Private),
            ("192.168.0.0 192.168.255.255", Private),
            ("198.18.0.0 198.19.255.255", Private),
            ("198.51.100.0 198.51.100.255", Private),
            ("203.0.113.0 203.0.113.255", Private),
            ("223.0.0.0 223.255.255.255", Public),
            ("224.0.0.0 255.255.255.255", Never),
            ("169.254.169.254 169.254.169.254", Never),
            ("100.100.100.200 168.63.129.16", Never),
            ("8.8.8.8 1.1.1.1", Public),
            (":: ::", Never),
            ("::1 ::1", Private),
            ("::127.0.0.1 ::8.8.8.8", Private),
            ("::ffff:127.0.0.1 ::ffff:10.1.2.3", Private),
            ("::ffff:169.254.169.254 ::ffff:0.0.0.0", Never),
            ("::ffff:8.8.8.8 64:ff9b::8.8.8.8", Public),
            ("64:ff9b::10.0.0.1 64:ff9b::127.0.0.1", Private),
            ("64:ff9b:1::8.8.8.8 64:ff9b:1:ffff::", Private),
            ("100:: 100::ffff", Private),
            ("2001:: 2001:1ff:ffff::", Private),
            ("2001:db8:: 2001:db8:ffff::", Private),
            ("2002:7f00:1:: 2002:808:808::", Private),
            ("3fff:: 3fff:fff:ffff::", Private),
            ("5f00:: 5f00:ffff::", Private),
            ("fc00:: fdff:ffff::", Private),
            ("fd00:ec2::254 fe80::1", Never),
            ("fe80:: febf:ffff::", Never),
            ("fec0:: feff::", Private),
            ("ff00:: ff02::1", Never),
            ("2606:4700::1111 2a00:1450:4001::200e", Public),
            ("2001:200:: 2001:4860:4860::8888", Public),
        ] {
            for address in range.split(' ') {
                assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn only_public_addresses_are_allowed_by_default() {
        assert!(Public.allowed(false) && !Private.allowed(false) && !Never.allowed(false));
        assert!(Public.allowed(true) && Private.allowed(true) && !Never.allowed(true));
    }

    proptest! {
        #[test]
        fn a_disguise_changes_nothing(bits in any::<u32>()) {
            let plain = Ipv4Addr::from_bits(bits);
            let nat64 = Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | u128::from(bits));
            prop_assert_eq!(reach(plain.into()), reach(plain.to_ipv6_mapped().into()));
            prop_assert_eq!(reach(plain.into()), reach(nat64.into()));
        }

        #[test]
        fn what_the_standard_library_calls_local_is_never_public(bits in any::<u32>(), wide in any::<u128>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let local = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!local || reach(v4.into()) != Public);
            let v6 = Ipv6Addr::from_bits(wide);
            let local = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_loopback();
            prop_assert!(!local || reach(v6.into()) != Public);
        }
    }
}
