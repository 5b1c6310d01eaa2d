//! Which addresses a sink may connect to.
//!
//! A URL in the configuration may name a host whose addresses somebody else decides. So every
//! address is judged when it is connected to, not when the name is written down.

use std::{io, net::IpAddr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Not reachable from everywhere, or special (IANA registries of special-purpose addresses,
/// RFC 6890 and its updates, as read in November 2026).
const SPECIAL: [&str; 30] = [
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // shared, carrier NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link local, metadata of clouds
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relay
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // class E, broadcast
    "::/96",           // unspecified, loopback, IPv4-compatible
    "::ffff:0:0:0/96", // IPv4-translated
    "64:ff9b::/96",    // NAT64
    "64:ff9b:1::/48",  // NAT64 of one's own
    "100::/64",        // discard
    "2001::/32",       // Teredo
    "2001:2::/48",     // benchmarks
    "2001:20::/28",    // ORCHIDv2
    "2001:db8::/32",   // documentation
    "2002::/16",       // 6to4
    "3fff::/20",       // documentation
    "5f00::/16",       // SRv6
    "fc00::/7",        // private
    "fe80::/9",        // link local, site local
    "ff00::/8",        // multicast
];

/// An address that a sink may not connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockedAddress {
    /// It is private or special.
    #[error("{host} is at {address}, a private or special address outside allow_networks")]
    Special {
        /// As configured.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// The connection is not encrypted.
    #[error("{host} is at {address}, outside allow_networks: only https may go there")]
    Plain {
        /// As configured.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
}

/// Judges addresses.
#[derive(Debug, Clone)]
pub struct AddressGuard {
    special: Vec<IpNet>,
    allowed: Vec<IpNet>,
    plain: bool,
}

impl AddressGuard {
    /// Lets through what is public, and `allowed`; for a `plain` (unencrypted) connection nothing
    /// but `allowed`.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>, plain: bool) -> Self {
        let special = SPECIAL.iter().filter_map(|net| net.parse().ok()).collect();
        Self {
            special,
            allowed,
            plain,
        }
    }

    /// Whether `address`, which `host` stands for, may be connected to.
    ///
    /// # Errors
    /// [`BlockedAddress`] when not.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), BlockedAddress> {
        let address = address.to_canonical();
        let within = |nets: &[IpNet]| nets.iter().any(|net| canonical(*net).contains(&address));
        let host = || host.to_owned();
        if within(&self.allowed) {
            Ok(())
        } else if within(&self.special) {
            Err(BlockedAddress::Special {
                host: host(),
                address,
            })
        } else if self.plain {
            Err(BlockedAddress::Plain {
                host: host(),
                address,
            })
        } else {
            Ok(())
        }
    }

    /// Checks the host of `url` when it is an address already: no resolver is asked for those.
    ///
    /// # Errors
    /// [`BlockedAddress`] when it may not be connected to.
    pub fn check_literal(&self, url: &Url) -> Result<(), BlockedAddress> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(url.host_str().unwrap_or_default(), address)
    }
}

/// A network of IPv4-mapped addresses is the IPv4 network it stands for.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else {
        return net;
    };
    let mapped = six.addr().to_ipv4_mapped();
    mapped
        .zip(six.prefix_len().checked_sub(96))
        .and_then(|(four, length)| Ipv4Net::new(four, length).ok())
        .map_or(IpNet::V6(six), IpNet::V4)
}

/// Resolves names to the addresses that the guard lets through.
#[derive(Debug, Clone)]
pub(crate) struct GuardedResolver(pub(crate) Arc<AddressGuard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let mut blocked = None;
            let mut open = Vec::new();
            for address in tokio::net::lookup_host((host, 0)).await? {
                match guard.check(host, address.ip()) {
                    Ok(()) => open.push(address),
                    Err(reason) => blocked = Some(reason),
                }
            }
            match blocked {
                _ if !open.is_empty() => Ok(Box::new(open.into_iter()) as Addrs),
                Some(reason) => Err(reason.into()),
                None => Err(io::Error::other("the name has no address").into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use url::Url;

    use super::{AddressGuard, BlockedAddress, SPECIAL};

    #[test]
    fn every_special_network_is_one() {
        let guard = AddressGuard::new(Vec::new(), false);
        assert_eq!(guard.special.len(), SPECIAL.len());
    }

    #[rstest]
    #[case("0.0.0.0")]
    #[case("10.1.2.3")]
    #[case("100.64.0.1")]
    #[case("100.127.255.255")]
    #[case("127.0.0.1")]
    #[case("169.254.169.254")]
    #[case("172.31.255.255")]
    #[case("192.0.0.8")]
    #[case("192.0.2.1")]
    #[case("192.168.1.1")]
    #[case("198.19.0.1")]
    #[case("224.0.0.1")]
    #[case("255.255.255.255")]
    #[case("::")]
    #[case("::1")]
    #[case("::ffff:10.0.0.1")]
    #[case("::ffff:127.0.0.1")]
    #[case("::ffff:0:10.0.0.1")]
    #[case("64:ff9b::a00:1")]
    #[case("2001:0:1::1")]
    #[case("2001:db8::1")]
    #[case("2002:a00:1::1")]
    #[case("fd00::1")]
    #[case("fe80::1")]
    #[case("fec0::1")]
    #[case("ff02::1")]
    fn a_special_address_is_blocked(#[case] address: &str) {
        let guard = AddressGuard::new(Vec::new(), false);
        let verdict = guard.check("a.example", address.parse().unwrap());
        assert!(matches!(verdict, Err(BlockedAddress::Special { .. })));
    }

    #[rstest]
    #[case("1.1.1.1")]
    #[case("172.32.0.1")]
    #[case("100.128.0.1")]
    #[case("::ffff:1.1.1.1")]
    #[case("2606:4700:4700::1111")]
    fn a_public_address_is_open_but_not_to_plain_connections(#[case] address: &str) {
        let address = address.parse().unwrap();
        let check = |plain| AddressGuard::new(Vec::new(), plain).check("a.example", address);
        assert_eq!(check(false), Ok(()));
        assert!(matches!(check(true), Err(BlockedAddress::Plain { .. })));
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.9.9.9", true)]
    #[case("10.0.0.0/8", "::ffff:10.9.9.9", true)]
    #[case("::ffff:10.0.0.0/104", "10.9.9.9", true)]
    #[case("10.0.0.0/8", "192.168.0.1", false)]
    #[case("fd00::/8", "fd12::1", true)]
    fn an_allowed_network_is_open_to_every_connection(
        #[case] network: &str,
        #[case] address: &str,
        #[case] open: bool,
    ) {
        for plain in [false, true] {
            let guard = AddressGuard::new(vec![network.parse().unwrap()], plain);
            let verdict = guard.check("a.example", address.parse().unwrap());
            assert_eq!(verdict.is_ok(), open);
        }
    }

    #[rstest]
    #[case("https://127.0.0.1/")]
    #[case("https://[::1]/")]
    #[case("https://169.254.169.254/latest/meta-data")]
    #[case("https://[::ffff:10.0.0.1]/")]
    #[case("https://2130706433/")]
    #[case("https://0177.0.0.1/")]
    #[case("https://0x7f.1/")]
    fn an_address_in_any_spelling_is_checked(#[case] url: &str) {
        let guard = AddressGuard::new(Vec::new(), false);
        let verdict = guard.check_literal(&Url::parse(url).unwrap());
        assert!(verdict.is_err());
    }
}
