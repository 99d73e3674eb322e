//! Which addresses belong to the public internet.
//!
//! Answers: may an app of a stranger be connected to this address without the manifest naming it?
//! Never: looks anything up. What is in no list of public addresses is not public.
//! Carries: I-13. Sources: the IANA special-purpose registries for IPv4 and IPv6, and the clouds' metadata addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Is this an address of the public internet, and no disguise of another?
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    special(address).is_none()
}

/// What the address is for, if it is not an ordinary public one: a word for people.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    V4.iter()
        .find(|(network, length, _)| bits >> (32 - length) == network.to_bits() >> (32 - length))
        .map(|(_, _, what)| *what)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let listed = V6
        .iter()
        .find(|(network, length, _)| bits >> (128 - length) == network.to_bits() >> (128 - length))
        .map(|(_, _, what)| *what);
    if listed.is_some() {
        return listed;
    }
    // Of all the rest only 2000::/3 was ever handed out to the public.
    if bits >> 125 != 0b001 {
        return Some("reserved");
    }
    // ISATAP: an IPv4 address behind 0000:5efe or 0200:5efe, under any prefix.
    if matches!((bits >> 32) & 0xffff_ffff, 0x0000_5efe | 0x0200_5efe) {
        return Some("an IPv4 address in disguise");
    }
    None
}

/// IPv4 networks that are not the public internet: network, prefix length, what it is.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    // Carrier-grade NAT; holds a cloud's metadata address (100.100.100.200) too.
    (Ipv4Addr::new(100, 64, 0, 0), 10, "private"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // A cloud's metadata and host agent, though in public space.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "metadata"),
    (Ipv4Addr::new(169, 254, 169, 254), 32, "metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    // 6to4 relays, abolished.
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// IPv6 networks that are not the public internet, or carry an IPv4 address inside: network, prefix length, what it is.
/// The latter are refused whole and not judged by what they carry, since no server worth visiting is only there.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 8, "reserved"),
    // Teredo.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, "benchmarking"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "an IPv4 address in disguise"),
    // The abolished test network.
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, "reserved"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "private"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(special(text.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "140.82.121.4",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
        ] {
            check(text, None);
        }
        for text in
            ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:82a::200e", "2620:fe::fe"]
        {
            check(text, None);
        }
    }

    #[test]
    fn each_special_network_is_named_for_what_it_is() {
        check("0.0.0.0", Some("unspecified"));
        check("10.1.2.3", Some("private"));
        check("100.100.100.200", Some("private"));
        check("127.8.8.8", Some("loopback"));
        check("168.63.129.16", Some("metadata"));
        check("169.254.169.254", Some("metadata"));
        check("169.254.1.1", Some("link-local"));
        check("172.31.255.255", Some("private"));
        check("192.0.0.192", Some("reserved"));
        check("198.19.0.1", Some("benchmarking"));
        check("203.0.113.9", Some("documentation"));
        check("239.1.1.1", Some("multicast"));
        check("255.255.255.255", Some("reserved"));
        check("::", Some("unspecified"));
        check("::1", Some("loopback"));
        check("fd00:ec2::254", Some("private"));
        check("fe80::1", Some("link-local"));
        check("fec0::1", Some("private"));
        check("ff02::1", Some("multicast"));
        check("2001:db8::1", Some("documentation"));
        check("3fff:1::1", Some("documentation"));
        check("3fff:1000::1", None);
        check("4000::1", Some("reserved"));
        check("5f00::1", Some("reserved"));
    }

    proptest! {
        #[test]
        fn an_ipv4_address_inside_an_ipv6_one_is_never_public(bits in any::<u32>(), rest in any::<u64>(), prefix in any::<u64>()) {
            let inner = u128::from(bits);
            let disguises = [
                inner,                                                                  // compatible
                0xffff << 32 | inner,                                                   // mapped
                0xffff_0000 << 32 | inner,                                              // translated
                0x0064_ff9b << 96 | inner,                                              // NAT64
                0x0064_ff9b_0001 << 80 | inner,                                         // NAT64, local use
                0x2002 << 112 | inner << 80 | u128::from(rest),                         // 6to4
                0x2001_0000 << 96 | u128::from(rest) << 32 | (inner ^ 0xffff_ffff),     // Teredo
                u128::from(prefix) << 64 | 0x5efe << 32 | inner,                        // ISATAP
                u128::from(prefix) << 64 | 0x0200_5efe << 32 | inner,                   // ISATAP
            ];
            for disguise in disguises {
                let address = Ipv6Addr::from_bits(disguise);
                prop_assert!(!is_public(address.into()), "{address}");
            }
        }

        #[test]
        fn what_the_standard_library_knows_as_special_is_not_public(v4 in any::<u32>(), v6 in any::<u128>()) {
            let v4 = Ipv4Addr::from_bits(v4);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified()
            {
                prop_assert!(!is_public(v4.into()), "{v4}");
            }
            let v6 = Ipv6Addr::from_bits(v6);
            if v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unique_local()
                || v6.is_unicast_link_local() || v6.to_ipv4().is_some()
            {
                prop_assert!(!is_public(v6.into()), "{v6}");
            }
        }

        #[test]
        fn an_address_inside_a_listed_network_is_never_public(row in 0..V4.len(), host in any::<u32>()) {
            let (network, length, _) = V4[row];
            let address = Ipv4Addr::from_bits(network.to_bits() | (u64::from(host) & ((1_u64 << (32 - length)) - 1)) as u32);
            prop_assert!(!is_public(address.into()), "{address}");
        }
    }
}
