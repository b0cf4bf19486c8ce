//! How a readable or writable socket reaches the shard without a task of its own and without a
//! system call: each connection's [`Waker`] pushes its slot onto the shard's ready queue and wakes
//! the one task that the shard is. Nothing here knows what a connection is.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Wake;
use std::task::Waker;

/// What was woken: a slot of the shard's connections, or one of its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u32);

/// Tokens from here on are listeners.
const LISTENERS: u32 = 0xFFFF_0000;

impl Token {
    pub(super) const fn connection(slot: u32) -> Self {
        Self(slot)
    }

    pub(super) const fn listener(index: u16) -> Self {
        Self(LISTENERS | index as u32)
    }

    /// `Ok(slot)` of a connection or `Err(index)` of a listener.
    pub(super) const fn split(self) -> Result<u32, usize> {
        if self.0 >= LISTENERS { Err((self.0 - LISTENERS) as usize) } else { Ok(self.0) }
    }
}

/// The ready queue of a shard.
#[derive(Debug, Default)]
pub(super) struct Ready {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: Vec<Token>,
    /// The shard's task, once it has been polled.
    task: Option<Waker>,
    /// Whether the task sleeps and nobody has woken it since.
    asleep: bool,
    /// Somebody woke the shard for what is no token.
    called: bool,
}

impl Ready {
    /// A waker that reports `token` here.
    pub(super) fn waker(self: &Arc<Self>, token: Token) -> Waker {
        Waker::from(Arc::new(TokenWaker { token, ready: Arc::clone(self) }))
    }

    /// Wakes the shard, for what comes by other ways than sockets.
    pub(super) fn wake(&self) {
        let mut inner = self.lock();
        inner.called = true;
        inner.wake();
    }

    /// Moves what is ready to the end of `into`.
    pub(super) fn take(&self, into: &mut Vec<Token>) {
        let mut inner = self.lock();
        inner.asleep = false;
        inner.called = false;
        if into.is_empty() {
            std::mem::swap(&mut inner.tokens, into);
        } else {
            into.append(&mut inner.tokens);
        }
    }

    /// The shard goes to sleep as `task`; `false` if something is ready already.
    pub(super) fn sleep(&self, task: &Waker) -> bool {
        let mut inner = self.lock();
        if !inner.tokens.is_empty() || inner.called {
            return false;
        }
        match &mut inner.task {
            Some(known) => known.clone_from(task),
            None => inner.task = Some(task.clone()),
        }
        inner.asleep = true;
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake(&mut self) {
        if self.asleep {
            self.asleep = false;
            if let Some(task) = &self.task {
                task.wake_by_ref();
            }
        }
    }
}

struct TokenWaker {
    token: Token,
    ready: Arc<Ready>,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut inner = self.ready.lock();
        inner.tokens.push(self.token);
        inner.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_wakes_of_a_sleeping_shard_wake_its_task_once() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let ready = Arc::new(Ready::default());
        let (one, two) = (ready.waker(Token::connection(1)), ready.waker(Token::listener(2)));
        one.wake_by_ref();
        assert!(!ready.sleep(&task), "what is ready already must not be slept over");
        let mut tokens = Vec::new();
        ready.take(&mut tokens);
        assert!(ready.sleep(&task));
        one.wake_by_ref();
        two.wake_by_ref();
        ready.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        ready.take(&mut tokens);
        assert_eq!(tokens.iter().map(|t| t.split()).collect::<Vec<_>>(), [Ok(1), Ok(1), Err(2)]);
    }
}
