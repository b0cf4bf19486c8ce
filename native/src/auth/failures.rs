//! Who failed how often of late. Each failure fills a bucket of its address, and one of its user at
//! that address; they leak at the rate that is allowed. So an address that guesses has to wait, while
//! one device with an old password, behind the same address as a thousand others, locks out itself
//! alone.

use super::recent::Recent;
use halyard_core::engine::Peer;
use halyard_core::time::Instant;
use ring::hmac;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses, and users at addresses, that are remembered.
const ENTRIES_MAX: usize = 200_000;
/// What one failure puts into a bucket.
const DROP: u64 = 60_000_000;

/// Where a login comes from, and with which user; numbers that nobody can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    address: u64,
    user: u64,
}

impl Origin {
    pub(super) fn new(key: &hmac::Key, peer: &Peer, name: &str) -> Self {
        let mut text = [0; 17];
        let address = match peer {
            // A proxy may write the address of an IPv4 client as one of IPv6.
            Peer::Ip { address, .. } => Some(address.to_canonical()),
            Peer::Unix | Peer::Local => None,
        };
        match address {
            Some(IpAddr::V4(address)) => {
                text[0] = 4;
                text[1..5].copy_from_slice(&address.octets());
            }
            // Who has one address of a network has all of it.
            Some(IpAddr::V6(address)) => {
                text[0] = 6;
                text[1..9].copy_from_slice(&address.octets()[..8]);
            }
            None => text[0] = u8::from(*peer == Peer::Unix),
        }
        let user = [&text, name.as_bytes()].concat();
        Self { address: number(key, &text), user: number(key, &user) }
    }
}

/// A number that stands for `bytes`, for this process alone.
pub(super) fn number(key: &hmac::Key, bytes: &[u8]) -> u64 {
    let tag = hmac::sign(key, bytes);
    tag.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The failures of late.
#[derive(Debug)]
pub(super) struct Failures {
    per_address: u32,
    per_user: u32,
    /// What is in each bucket.
    buckets: Recent<u64, u64>,
    at: Recent<u64, Instant>,
}

impl Failures {
    pub(super) const fn new(per_address: u32, per_user: u32) -> Self {
        let life = Duration::from_secs(120);
        let buckets = Recent::new(ENTRIES_MAX, life);
        Self { per_address, per_user, buckets, at: Recent::new(ENTRIES_MAX, life) }
    }

    /// Other limits hold from now on; what has failed so far counts on.
    pub(super) const fn limit(&mut self, per_address: u32, per_user: u32) {
        (self.per_address, self.per_user) = (per_address, per_user);
    }

    pub(super) fn is_address_over(&self, origin: Origin, now: Instant) -> bool {
        self.is_over(origin.address, self.per_address, now)
    }

    pub(super) fn is_user_over(&self, origin: Origin, now: Instant) -> bool {
        self.is_over(origin.user, self.per_user, now)
    }

    pub(super) fn note(&mut self, origin: Origin, now: Instant) {
        for (place, limit) in [(origin.address, self.per_address), (origin.user, self.per_user)] {
            let level = self.level(place, limit, now) + DROP;
            self.buckets.put(place, level, now);
            self.at.put(place, now, now);
        }
    }

    /// Full at `limit` failures, empty a minute later.
    fn is_over(&self, place: u64, limit: u32, now: Instant) -> bool {
        limit > 0 && self.level(place, limit, now) + DROP > u64::from(limit) * DROP
    }

    fn level(&self, place: u64, limit: u32, now: Instant) -> u64 {
        let level = self.buckets.get(&place, now).unwrap_or(0);
        let at = self.at.get(&place, now).unwrap_or(now);
        let micros = u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
        // `limit` drops a minute.
        level.saturating_sub(micros.saturating_mul(limit.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;

    fn origin(address: [u8; 4], name: &str, key: &hmac::Key) -> Origin {
        let peer = Peer::Ip { address: IpAddr::from(address), port: 9 };
        Origin::new(key, &peer, name)
    }

    #[test]
    fn who_fails_waits_and_his_neighbours_do_not() {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).unwrap();
        let mut failures = Failures::new(6, 3);
        let bad = origin([1, 2, 3, 4], "old", &key);
        let neighbour = origin([1, 2, 3, 4], "new", &key);
        let now = Instant::ZERO.plus_secs(1000);
        for _ in 0..3 {
            assert!(!failures.is_user_over(bad, now));
            failures.note(bad, now);
        }
        assert!(failures.is_user_over(bad, now));
        assert!(!failures.is_user_over(neighbour, now) && !failures.is_address_over(bad, now));
        for _ in 0..3 {
            failures.note(neighbour, now);
        }
        assert!(failures.is_address_over(bad, now));
        assert!(!failures.is_address_over(origin([1, 2, 3, 5], "old", &key), now));
        // A third of a minute is one of three failures a minute.
        let later = now.plus_secs(20);
        assert!(!failures.is_user_over(bad, later) && !failures.is_address_over(bad, later));
        failures.note(bad, later);
        assert!(failures.is_user_over(bad, later));
        assert!(!failures.is_user_over(bad, now.plus_secs(200)));
    }

    #[test]
    fn an_ipv6_network_is_one_place_and_no_limit_is_none() {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).unwrap();
        let at = |text: &str| {
            let peer = Peer::Ip { address: text.parse().unwrap(), port: 1 };
            Origin::new(&key, &peer, "u")
        };
        assert_eq!(at("2001:db8::1"), at("2001:db8::2:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("::ffff:192.0.2.1"), at("::ffff:192.0.2.2"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        let mut failures = Failures::new(0, 0);
        for _ in 0..1000 {
            failures.note(at("::1"), Instant::ZERO);
        }
        assert!(!failures.is_user_over(at("::1"), Instant::ZERO));
    }
}
