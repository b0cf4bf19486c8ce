//! Waiting for a condition, with an end.

// The tests run in real time: they may look at the clock.
#![allow(clippy::disallowed_types)]

use std::time::Duration;
use std::time::Instant;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives a value.
///
/// # Panics
/// If it has given none after [`PATIENCE`]; says what was waited for.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The time as the library counts it: since the first call.
pub fn clock_now() -> halyard_core::time::Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let micros = START.get_or_init(Instant::now).elapsed().as_micros();
    halyard_core::time::Instant(u64::try_from(micros).unwrap_or(u64::MAX))
}
