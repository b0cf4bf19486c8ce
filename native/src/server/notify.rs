//! What systemd is told (`sd_notify`, `Type=notify-reload`): that the broker serves, reads its
//! configuration anew, stops, and that all its shards still turn. A datagram each, never waited for;
//! without `NOTIFY_SOCKET` nothing is said to nobody.

use super::mailbox::Mail;
use super::mailbox::Mailbox;
use crate::clock;
use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The way to systemd.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often we are to be heard of.
    watchdog: Option<Duration>,
}

/// Whether all shards turn: each answers a call by mail, so that one that hangs is missed. It is
/// asked by the loop that runs them, and not by a thread that would live on without them.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    answers: Option<Arc<AtomicUsize>>,
}

impl Notifier {
    /// As the environment says.
    pub(super) fn new() -> Self {
        let socket = env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        let is_ours =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid.parse() == Ok(std::process::id()));
        let micros = env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse().ok());
        let watchdog = micros.filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// How often to look whether the shards turn; within the time that systemd allows, whatever
    /// comes between.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|time| (time / 3).max(Duration::from_millis(1)))
    }

    /// All listeners are open, or the configuration has been read anew.
    pub(super) fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is read anew; [`Self::ready`] follows, whatever comes of it.
    pub(super) fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_micros()));
    }

    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says that we live, if all shards answered the last call, and calls them again.
    pub(super) fn beat(&self, pulse: &mut Pulse, shards: &[Mailbox]) {
        let answers = pulse.answers.take();
        match answers {
            Some(answers) if answers.load(Ordering::Relaxed) < shards.len() => {
                // The call stands until all have answered.
                pulse.answers = Some(answers);
                return;
            }
            Some(_) => self.say("WATCHDOG=1"),
            None => {}
        }
        let answers = Arc::new(AtomicUsize::new(0));
        for mailbox in shards {
            mailbox.put(Mail::Pulse(Arc::clone(&answers)));
        }
        pulse.answers = Some(answers);
    }

    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // Who does not listen to it misses it; there is nothing that we could do about that.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wake::Ready;
    use super::*;

    #[test]
    fn a_shard_that_does_not_answer_silences_the_watchdog() {
        let name = format!("halyard-pulse-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let heard = || systemd.recv(&mut [0; 64]).is_ok();
        let socket = UnixDatagram::unbound().unwrap();
        let notifier = Notifier { socket: Some((socket, address)), watchdog: None };
        let shards = [0; 2].map(|_| Mailbox::new(Arc::new(Ready::default())));
        let mut pulse = Pulse::default();
        let answer = |shard: &Mailbox| {
            for mail in shard.take() {
                let Mail::Pulse(answers) = mail else { panic!("{mail:?}") };
                answers.fetch_add(1, Ordering::Relaxed);
            }
        };
        notifier.beat(&mut pulse, &shards);
        assert!(!heard(), "nobody has answered yet");
        answer(&shards[0]);
        notifier.beat(&mut pulse, &shards);
        assert!(!heard(), "one hangs");
        answer(&shards[1]);
        notifier.beat(&mut pulse, &shards);
        assert!(heard());
        notifier.beat(&mut pulse, &shards);
        assert!(!heard());
    }
}
