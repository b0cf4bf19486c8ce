//! The one timer of a shard. It is set anew only when something becomes due earlier, and it fires on
//! a coarse grid, so that ten thousand Keep Alives do not wake an idle shard ten thousand times.

use crate::clock::Clock;
use halyard_core::time::Instant;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use tokio::time::Sleep;

/// Distance of the moments at which it fires, microseconds.
const GRID_MICROS: u64 = 50_000;

/// A timer.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When it fires.
    armed: Option<Instant>,
}

impl Timer {
    /// Sees to it that the task of `cx` is woken when `due` has come, or before; `false` if it has
    /// come already.
    pub(super) fn set(
        &mut self,
        cx: &mut Context<'_>,
        clock: &Clock,
        now: Instant,
        due: Option<Instant>,
    ) -> bool {
        let Some(due) = due else { return true };
        if due <= now {
            return false;
        }
        let due = on_grid(due);
        if self.armed.is_some_and(|armed| armed > now && armed <= due) {
            return true;
        }
        self.armed = Some(due);
        let at = clock.deadline(due);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at))),
        }
        self.sleep.as_mut().is_none_or(|sleep| sleep.as_mut().poll(cx).is_pending())
    }
}

const fn on_grid(at: Instant) -> Instant {
    Instant(at.0.div_ceil(GRID_MICROS).saturating_mul(GRID_MICROS))
}
