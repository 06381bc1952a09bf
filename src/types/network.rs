//! Network addresses that are believed, and whom a request comes from.

use std::fmt;
use std::net::IpAddr;

/// Longest chain of `X-Forwarded-For` entries that is followed.
const MAX_HOPS: usize = 32;

/// One address or a block of them (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let complain =
            || format!("expected an address or a block like 10.0.0.0/8 or fd00::/8, found {text:?}");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = unmapped(address.parse().map_err(|_| complain())?);
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(complain)?
            }
            Some(_) => return Err(complain()),
        };
        let network = Self { address, prefix };
        // 10.1.2.3/8 says two things at once; which one is meant is for its writer to say.
        if masked(address, prefix) == number(address) { Ok(network) } else { Err(complain()) }
    }

    /// The network that an address is taken to belong to: its /24, or its /48 in IPv6.
    #[must_use]
    pub fn around(address: &str) -> Option<Self> {
        let address = unmapped(address.parse().ok()?);
        let prefix = if address.is_ipv4() { 24 } else { 48 };
        let start = masked(address, prefix);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(start).ok()?.into()),
            IpAddr::V6(_) => IpAddr::V6(start.into()),
        };
        Some(Self { address, prefix })
    }

    /// Whether its addresses are of the older kind.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether `address` lies in it. An IPv4 address written as IPv6 (`::ffff:192.0.2.7`) counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = unmapped(address);
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == number(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == whole { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

/// The proxies whose word about the caller's address is taken, and about the certificate that the caller has shown them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    certificate_header: Option<String>,
}

impl TrustedProxies {
    /// These and no others.
    #[must_use]
    pub const fn new(networks: Vec<Network>) -> Self {
        Self { networks, certificate_header: None }
    }

    /// The same, with another header for the caller's certificate.
    #[must_use]
    pub fn with_certificates_in(self, header: String) -> Self {
        Self { certificate_header: Some(header), ..self }
    }

    /// The header in which they say which certificate the caller has shown them; that of RFC 9440 unless set.
    #[must_use]
    pub fn certificate_header(&self) -> &str {
        self.certificate_header.as_deref().unwrap_or("client-cert")
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The blocks.
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.networks.iter()
    }

    /// Whom a request comes from: the peer itself, unless it is a trusted proxy. Then the entries of
    /// `X-Forwarded-For` (all headers of that name, in order) are read from the end, past every trusted proxy, to the
    /// first address that is not one. What cannot be read ends the walk: nothing beyond it was written by anyone trusted.
    #[must_use]
    pub fn caller<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut caller = unmapped(peer);
        let entries = forwarded_for.rev().flat_map(|header| header.rsplit(','));
        for entry in entries.take(MAX_HOPS) {
            if !self.contains(caller) {
                break;
            }
            match entry_address(entry.trim()) {
                Some(address) => caller = address,
                None => break,
            }
        }
        caller
    }
}

/// An entry is an address, with or without a port; an IPv6 address with a port stands in brackets.
fn entry_address(entry: &str) -> Option<IpAddr> {
    let bare = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => entry,
    };
    let address =
        bare.parse().ok().or_else(|| bare.parse::<std::net::SocketAddr>().ok().map(|with| with.ip()));
    address.map(unmapped)
}

fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(address: IpAddr, prefix: u8) -> u128 {
    let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
    let host = bits.saturating_sub(u32::from(prefix));
    number(address).checked_shr(host).and_then(|high| high.checked_shl(host)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies(list: &[&str]) -> TrustedProxies {
        TrustedProxies::new(list.iter().map(|text| Network::parse(text).unwrap()).collect())
    }

    #[test]
    fn blocks_contain_their_addresses_and_no_others() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ] {
            let network = Network::parse(block).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{block} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{block} {outside}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_block() {
        for bad in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.1.2.3/8",
            "::/129",
            "a/8",
            "10.0.0.0/8/8",
            " 10.0.0.1",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = proxies(&["10.0.0.0/8", "fd00::/8"]);
        for (peer, headers, caller) in [
            ("203.0.113.9", vec!["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["1.2.3.4"], "1.2.3.4"),
            ("::ffff:10.0.0.1", vec!["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", vec!["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", vec!["1.2.3.4:5678"], "1.2.3.4"),
            ("10.0.0.1", vec!["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", vec!["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["6.6.6.6,, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let found = proxies.caller(peer.parse().unwrap(), headers.iter().copied());
            assert_eq!(found.to_string(), caller, "{peer} {headers:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(block in "[0-9a-f.:/]{0,24}", header in "\\PC{0,60}") {
            let _ = Network::parse(&block);
            let _ = proxies(&["0.0.0.0/0", "::/0"]).caller([10, 0, 0, 1].into(), [header.as_str()].into_iter());
        }
    }
}
