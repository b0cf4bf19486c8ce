//! Threads that hash: few, of low priority, and behind a queue with an end. They start with the
//! first password, because most brokers never see one. Nobody waits for them but who asked.

use crate::clock::Clock;
use halyard_core::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// How far behind everything else the threads stand.
const NICE: i32 = 10;

type Work<T> = (T, Box<dyn FnOnce(T) + Send>);

/// The threads and their queue.
pub(super) struct Pool<T> {
    shared: Arc<Shared<T>>,
    clock: Clock,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    filled: Condvar,
    taken: AtomicU64,
}

struct Queue<T> {
    waiting: VecDeque<Work<T>>,
    started: usize,
    idle: usize,
    /// Threads that there may be.
    threads: usize,
    /// Jobs that may wait.
    room: usize,
}

impl<T: Send + 'static> Pool<T> {
    pub(super) fn new(threads: usize, room: usize, clock: Clock) -> Self {
        let queue = Queue { waiting: VecDeque::new(), started: 0, idle: 0, threads, room };
        let shared =
            Shared { queue: Mutex::new(queue), filled: Condvar::new(), taken: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), clock }
    }

    /// Other limits hold from now on: threads that are too many end when they have nothing to do.
    pub(super) fn limit(&self, threads: usize, room: usize) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        (queue.threads, queue.room) = (threads, room);
        self.shared.filled.notify_all();
    }

    /// Has `work` done on `job`; `false` if too much waits already.
    pub(super) fn put(&self, job: T, work: impl FnOnce(T) + Send + 'static) -> bool {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= queue.room {
            return false;
        }
        if queue.idle <= queue.waiting.len() && queue.started < queue.threads {
            let shared = Arc::clone(&self.shared);
            let name = "password".to_owned();
            let thread = std::thread::Builder::new().name(name).spawn(move || shared.run());
            if thread.is_ok() {
                queue.started += 1;
            } else if queue.started == 0 {
                return false;
            }
        }
        queue.waiting.push_back((job, Box::new(work)));
        self.shared.filled.notify_one();
        true
    }

    /// Jobs that a thread has taken up.
    pub(super) fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<T> Shared<T> {
    fn run(&self) {
        // Not allowed to stand behind: then beside.
        _ = rustix::process::nice(NICE);
        while let Some((job, work)) = self.next() {
            // Before its answer goes out: who has the answer finds it counted.
            self.taken.fetch_add(1, Ordering::Relaxed);
            work(job);
        }
    }

    /// The next job; `None` if this thread is one too many.
    fn next(&self) -> Option<Work<T>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.started > queue.threads {
                queue.started -= 1;
                return None;
            }
            if let Some(work) = queue.waiting.pop_front() {
                return Some(work);
            }
            queue.idle += 1;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}
