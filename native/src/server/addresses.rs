//! Connections by address (`max_connections_per_address`, `max_connect_rate_per_address`), for all
//! shards. An IPv6 client may use any address of its /64 network, so that counts as one. Entries go
//! with their last connection, or a second after it.

use halyard_core::conf::BrokerConfig;
use halyard_core::time::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Entries without a connection that may be left over before they are looked for.
const LEFT_OVER_MAX: usize = 1024;

/// What counts as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network(NonZeroU64);

/// Stands before an IPv4 address, where no IPv6 network can begin (RFC 4291 §2.4: that is multicast).
const V4: NonZeroU64 = NonZeroU64::new(0xFFFF_FFFF << 32).unwrap();
/// The network of `::1`.
const LOCAL: NonZeroU64 = NonZeroU64::new(0xFFFF_FFFE << 32).unwrap();

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(V4 | u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let high = u64::try_from(u128::from(address) >> 64).unwrap_or(u64::MAX);
                Self(NonZeroU64::new(high).unwrap_or(LOCAL))
            }
        }
    }
}

/// The limits on one address.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    open: Option<u32>,
    /// 0 = no limit.
    rate: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    open: u32,
    second: u64,
    /// Accepted in that second.
    accepted: u32,
}

#[derive(Debug, Default)]
struct Inner {
    limits: Limits,
    entries: BTreeMap<Network, Entry>,
    /// Entries with a connection.
    in_use: usize,
}

/// The open connections of each address. Locked at accept and close alone.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    inner: Mutex<Inner>,
}

impl Addresses {
    pub(super) fn reconfigure(&self, broker: &BrokerConfig) {
        let (open, rate) =
            (broker.max_connections_per_address, broker.max_connect_rate_per_address);
        self.lock().limits = Limits { open, rate };
    }

    /// Takes a place for a connection of this address, or says which option denies it.
    pub(super) fn enter(&self, now: Instant, network: Network) -> Result<(), &'static str> {
        let mut inner = self.lock();
        let Inner { limits, entries, in_use } = &mut *inner;
        let second = now.0 / 1_000_000;
        if entries.len() > *in_use + LEFT_OVER_MAX {
            entries.retain(|_, entry| entry.open > 0 || entry.second == second);
        }
        let entry = entries.entry(network).or_default();
        if entry.second != second {
            entry.second = second;
            entry.accepted = 0;
        }
        entry.accepted = entry.accepted.saturating_add(1);
        if limits.rate > 0 && entry.accepted > limits.rate {
            return Err("max_connect_rate_per_address");
        }
        if limits.open.is_some_and(|limit| entry.open >= limit) {
            return Err("max_connections_per_address");
        }
        *in_use += usize::from(entry.open == 0);
        entry.open += 1;
        Ok(())
    }

    /// Gives the place back.
    pub(super) fn leave(&self, network: Network) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&network) else { return };
        entry.open -= 1;
        if entry.open == 0 {
            let counts = entry.accepted > 0 && inner.limits.rate > 0;
            inner.in_use -= 1;
            if !counts {
                inner.entries.remove(&network);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    fn limited(open: Option<u32>, rate: u32) -> Addresses {
        let addresses = Addresses::default();
        addresses.reconfigure(&BrokerConfig {
            max_connections_per_address: open,
            max_connect_rate_per_address: rate,
            ..BrokerConfig::default()
        });
        addresses
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_mapped_addresses_as_ipv4() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:ffff:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
        assert_ne!(network("0.0.0.1"), network("0:0:0:1::"));
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let addresses = limited(Some(2), 0);
        let (one, other) = (network("10.0.0.1"), network("10.0.0.2"));
        let now = Instant::ZERO;
        assert!(addresses.enter(now, one).is_ok() && addresses.enter(now, one).is_ok());
        assert_eq!(addresses.enter(now, one), Err("max_connections_per_address"));
        assert!(addresses.enter(now, other).is_ok());
        addresses.leave(one);
        assert!(addresses.enter(now, one).is_ok());
        for network in [one, one, other] {
            addresses.leave(network);
        }
        assert!(addresses.lock().entries.is_empty());
    }

    #[test]
    fn a_rate_holds_for_a_second_and_nothing_is_kept_for_good() {
        let addresses = limited(None, 2);
        let one = network("10.0.0.1");
        let mut now = Instant::ZERO;
        for _ in 0..2 {
            assert!(addresses.enter(now, one).is_ok());
            addresses.leave(one);
        }
        assert_eq!(addresses.enter(now, one), Err("max_connect_rate_per_address"));
        now = now.plus_secs(1);
        assert!(addresses.enter(now, one).is_ok());
        for n in 0..10_000u32 {
            now = now.plus_millis(10);
            let network = Network::of(std::net::Ipv6Addr::from(u128::from(n) << 64).into());
            assert!(addresses.enter(now, network).is_ok());
            addresses.leave(network);
        }
        let left = addresses.lock().entries.len();
        assert!(left <= LEFT_OVER_MAX + 102, "{left}");
    }
}
