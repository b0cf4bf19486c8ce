//! The simulated network: byte streams that arrive late, in pieces, only as far as the receiver
//! reads, and that break at any byte. Sans-IO and seeded; it knows nothing of MQTT.

use crate::engine::TransportEnd;
use crate::rng::Rng;
use crate::time::Instant;
use std::collections::VecDeque;

/// How the network treats bytes.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Shortest way from one end to the other, microseconds.
    pub latency_min_us: u64,
    /// Longest way, microseconds.
    pub latency_max_us: u64,
    /// Most bytes that one arrival or one read takes; 0 = all there is.
    pub segment_bytes: u32,
    /// Bytes that may be on their way and unread before a sender has to wait.
    pub window_bytes: u32,
}

impl Default for Conditions {
    /// A quiet local network: one millisecond, whole pieces.
    fn default() -> Self {
        Self {
            latency_min_us: 1_000,
            latency_max_us: 1_000,
            segment_bytes: 0,
            window_bytes: 1 << 20,
        }
    }
}

impl Conditions {
    pub(super) fn latency(&self, now: Instant, rng: &mut Rng) -> Instant {
        Instant(now.0 + rng.between(self.latency_min_us, self.latency_max_us))
    }

    /// How many of `len` bytes come in one go.
    pub(super) fn segment(&self, len: usize, rng: &mut Rng) -> usize {
        if self.segment_bytes == 0 {
            return len;
        }
        let most = rng.between(1, u64::from(self.segment_bytes));
        len.min(usize::try_from(most).unwrap_or(1))
    }
}

/// One direction of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    transit: VecDeque<(Instant, Vec<u8>)>,
    /// Arrived and not read.
    arrived: Vec<u8>,
    /// Bytes in `transit`, in `arrived`, and lost for ever in a severed pipe.
    under_way: usize,
    last_arrival: Instant,
    /// How and when the receiver learns that it is over.
    end: Option<(Instant, TransportEnd)>,
    /// The end has arrived; it is seen once everything before it has been read.
    end_arrived: bool,
    /// Nothing gets through any more.
    severed: bool,
    /// The receiver is gone: takes everything, delivers nothing.
    drain: bool,
}

impl Pipe {
    /// Sends as much of `bytes` as the window takes; returns how much.
    pub(super) fn send(
        &mut self,
        now: Instant,
        bytes: &[u8],
        conditions: &Conditions,
        rng: &mut Rng,
    ) -> usize {
        if self.drain {
            return bytes.len();
        }
        let window = usize::try_from(conditions.window_bytes).unwrap_or(usize::MAX);
        let taken = bytes.len().min(window.saturating_sub(self.under_way));
        self.under_way += taken;
        if self.severed {
            return taken;
        }
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            let (segment, tail) = rest.split_at(conditions.segment(rest.len(), rng));
            let at = conditions.latency(now, rng).max(self.last_arrival);
            self.last_arrival = at;
            self.transit.push_back((at, segment.to_vec()));
            rest = tail;
        }
        taken
    }

    /// The sender closes its side: the receiver learns after the bytes.
    pub(super) fn finish(&mut self, now: Instant, conditions: &Conditions, rng: &mut Rng) {
        if !self.severed && self.end.is_none() {
            let at = conditions.latency(now, rng).max(self.last_arrival);
            self.end = Some((at, TransportEnd::Eof));
        }
    }

    /// The wire is cut: what is in transit is lost. The receiver learns at `learns`, or never.
    pub(super) fn sever(&mut self, learns: Option<Instant>) {
        self.severed = true;
        self.transit.clear();
        self.end = learns.map(|at| (at, TransportEnd::Broken));
        self.end_arrived = false;
    }

    /// The receiver is gone; what is sent from now on vanishes.
    pub(super) fn abandon(&mut self) {
        self.drain = true;
        self.transit.clear();
        self.arrived.clear();
        self.under_way = 0;
        self.end = None;
    }

    pub(super) const fn is_severed(&self) -> bool {
        self.severed
    }

    /// When something arrives next.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.transit.front() {
            Some((at, _)) => Some(*at),
            None => self.end.filter(|_| !self.end_arrived).map(|(at, _)| at),
        }
    }

    /// Lets what is due by `now` arrive, but no more bytes than `allowance`, which it uses up.
    /// Returns whether anything arrived.
    pub(super) fn arrive(&mut self, now: Instant, allowance: Option<&mut u64>) -> bool {
        let mut unlimited = u64::MAX;
        let allowance = allowance.unwrap_or(&mut unlimited);
        let mut any = false;
        self.end_arrived |= self.end.is_some_and(|(at, _)| at <= now);
        while let Some((at, bytes)) = self.transit.front()
            && *at <= now
            && *allowance > 0
        {
            let taken = bytes.len().min(usize::try_from(*allowance).unwrap_or(usize::MAX));
            *allowance -= taken as u64;
            self.arrived.extend_from_slice(&bytes[..taken]);
            any = true;
            self.transit.pop_front();
        }
        any
    }

    /// Reads one piece of what has arrived.
    pub(super) fn read(&mut self, conditions: &Conditions, rng: &mut Rng) -> Vec<u8> {
        let count = conditions.segment(self.arrived.len(), rng);
        let rest = self.arrived.split_off(count);
        let read = core::mem::replace(&mut self.arrived, rest);
        self.under_way -= read.len();
        read
    }

    pub(super) const fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// How the stream ended, once all of it was read.
    pub(super) fn ended(&self, now: Instant) -> Option<TransportEnd> {
        let (at, how) = self.end?;
        (self.arrived.is_empty() && self.transit.is_empty() && at <= now).then_some(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_only_as_far_as_the_window_goes() {
        let mut rng = Rng::new(1);
        let conditions = Conditions { window_bytes: 5, segment_bytes: 2, ..Conditions::default() };
        let mut pipe = Pipe::default();
        assert_eq!(pipe.send(Instant::ZERO, b"abcdefg", &conditions, &mut rng), 5);
        assert!(!pipe.arrive(Instant(999), None));
        assert!(pipe.arrive(Instant(1_000), None));
        let mut read = Vec::new();
        while pipe.has_arrived() {
            read.extend(pipe.read(&conditions, &mut rng));
        }
        assert_eq!(read, b"abcde");
        assert_eq!(pipe.send(Instant::ZERO, b"fg", &conditions, &mut rng), 2);
    }

    #[test]
    fn a_cut_loses_what_is_in_transit() {
        let mut rng = Rng::new(1);
        let conditions = Conditions::default();
        let mut pipe = Pipe::default();
        pipe.send(Instant::ZERO, b"abc", &conditions, &mut rng);
        let mut allowance = 2;
        pipe.arrive(Instant(1_000), Some(&mut allowance));
        pipe.sever(Some(Instant(5_000)));
        assert_eq!(pipe.ended(Instant(5_000)), None);
        assert_eq!(pipe.read(&conditions, &mut rng), b"ab");
        assert_eq!(pipe.ended(Instant(4_999)), None);
        assert_eq!(pipe.ended(Instant(5_000)), Some(TransportEnd::Broken));
    }
}
