//! The heartbeat: every rank gives signs of life, and one that falls silent, or says why it ends, is named by all others.
//!
//! A thread of each rank writes a heartbeat into the store and reads there whether the run has failed (the *cause*: one text,
//! of whoever recorded it first). Rank 0 reads everybody's heartbeat, the others rank 0's. A second thread notices when the
//! store itself no longer answers. A cause ends the process even where its main thread waits for ever.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slotcon_torch::distributed::{Ranks, Store};

use super::launch::Launch;

/// Written instead of a heartbeat by a rank that ended well.
const LEFT: &str = "left";

/// How long a rank that knows the cause waits, in heartbeats, before it ends: the others should have read it.
const TIME_TO_READ: u32 = 2;

/// What is called with the cause before it ends the process.
type OnFailure = Box<dyn Fn(&str) + Send>;

struct Shared {
    launch: Launch,
    /// What a rank is called in messages.
    names: Vec<String>,
    timeout: Duration,
    interval: Duration,
    started: Instant,
    /// Operations of the main thread over ranks so far.
    operations: AtomicU64,
    ended: AtomicBool,
    ranks: OnceLock<Ranks>,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while something is done that a failure elsewhere must not interrupt.
    busy: Mutex<()>,
}

struct State {
    /// Of every rank whose heartbeat is read: the last one, and when it was new.
    heartbeats: Vec<(String, Instant)>,
    /// When the store last answered.
    answered: Instant,
    /// Why this rank ends, to be recorded.
    own_failure: Option<String>,
    /// Since when the main thread knows that something is wrong, but not what.
    alarmed: Option<Instant>,
    cause: Option<String>,
    asking: bool,
    on_failure: Option<OnFailure>,
}

/// The heartbeat of one rank; ends with [`Heartbeat::leave`].
pub struct Heartbeat {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heartbeat({:?})", self.shared.launch)
    }
}

/// The heartbeat of this process while it trains with others, for the hook of a panic.
static CURRENT: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Arc<Shared>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this rank is in messages; empty where there is only one.
pub fn rank_tag() -> String {
    let current = current();
    current
        .as_ref()
        .map_or_else(String::new, |shared| format!("[rank {}] ", shared.launch.rank))
}

/// Lets the other ranks know why this one ends; for the hook of a panic.
pub fn report_failure(text: &str) {
    let shared = current().clone();
    if let Some(shared) = shared {
        shared.report_failure(&format!(
            "{} ended with an error: {text}",
            shared.names[shared.launch.rank]
        ));
        shared.let_others_read();
    }
}

/// Records `text` as the cause at `store`, unless there is one.
///
/// # Errors
/// A broken connection.
pub fn record_first_failure(store: &Store, text: &str) -> Result<(), slotcon_torch::Error> {
    if store.add("cause/recorded", 1)? == 1 {
        store.set("cause", text)?;
    }
    Ok(())
}

impl Heartbeat {
    /// Starts giving signs of life through `store`, a connection of its own. `names` are those of all ranks, whose heartbeats
    /// are in the store already.
    pub fn start(launch: &Launch, names: Vec<String>, store: Store, timeout: Duration) -> Self {
        let interval = (timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(2));
        let now = Instant::now();
        let state = State {
            heartbeats: vec![(String::new(), now); launch.size],
            answered: now,
            own_failure: None,
            alarmed: None,
            cause: None,
            asking: false,
            on_failure: None,
        };
        let shared = Arc::new(Shared {
            launch: launch.clone(),
            names,
            timeout,
            interval,
            started: now,
            operations: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            ranks: OnceLock::new(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            busy: Mutex::new(()),
        });
        *current() = Some(Arc::clone(&shared));
        let (beat, guard) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || beat.beat(&store)),
            std::thread::spawn(move || guard.guard_the_store()),
        ];
        Self { shared, threads }
    }

    /// Gives the ranks whose operations are told with the heartbeat.
    pub fn count_operations_of(&self, ranks: &Ranks) {
        let _ = self.shared.ranks.set(ranks.clone());
    }

    /// Has `act` called with the cause before it ends the process.
    pub fn on_failure(&self, act: impl Fn(&str) + Send + 'static) {
        self.shared.state().on_failure = Some(Box::new(act));
    }

    /// Runs `f`, which a failure elsewhere does not interrupt.
    pub fn uninterrupted<T>(&self, f: impl FnOnce() -> T) -> T {
        let _busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }

    /// Lets all know that this rank ends, and why.
    pub fn report_failure(&self, text: &str) {
        self.shared.report_failure(text);
    }

    /// Who is to blame for `trouble` that this rank met in working with the others.
    pub fn why_it_ended(&self, trouble: &str) -> String {
        let shared = &self.shared;
        let mut state = shared.state();
        state.asking = true;
        state.alarmed.get_or_insert_with(Instant::now);
        let limit = shared.silence_limit() * 4 + shared.interval * 8;
        let deadline = Instant::now() + limit;
        while state.cause.is_none() && Instant::now() < deadline {
            let (next, _) = shared
                .changed
                .wait_timeout(state, shared.interval)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        match &state.cause {
            Some(cause) => cause.clone(),
            None => trouble.to_owned(),
        }
    }

    /// Waits until the others have had time to read the cause, if this process keeps the store.
    pub fn let_others_read(&self) {
        self.shared.let_others_read();
    }

    /// Ends the heartbeat: this rank has come to a good end.
    pub fn leave(self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        for thread in self.threads {
            let _ = thread.join();
        }
        *current() = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a rank may be silent once something went wrong.
    fn silence_limit(&self) -> Duration {
        (self.interval * 5).max(Duration::from_secs(1)).min(self.timeout)
    }

    fn let_others_read(&self) {
        if self.launch.keeps_store() {
            std::thread::sleep(self.interval * TIME_TO_READ);
        }
    }

    fn report_failure(&self, text: &str) {
        let mut state = self.state();
        // What this rank says of itself must not end it before it has said it.
        state.asking = true;
        state.own_failure.get_or_insert_with(|| text.to_owned());
        let deadline = Instant::now() + self.interval * 4;
        while state.cause.is_none() && Instant::now() < deadline {
            self.changed.notify_all();
            let (next, _) = self
                .changed
                .wait_timeout(state, self.interval)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }

    /// The first thread: one round a heartbeat.
    fn beat(&self, store: &Store) {
        let mut last = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            // After a long stop (SIGSTOP, a suspended machine) the others' heartbeats are old for this rank's own fault.
            if last.elapsed() > self.interval * 4 {
                let now = Instant::now();
                self.state().heartbeats.iter_mut().for_each(|(_, at)| *at = now);
            }
            last = Instant::now();
            let round = self.round(store);
            let mut state = self.state();
            match round {
                Ok(Some(cause)) => self.fail(state, cause),
                Ok(None) => {
                    state.answered = Instant::now();
                    // Woken early by a failure of this rank.
                    let wait = self.changed.wait_timeout(state, self.interval);
                    drop(wait.unwrap_or_else(PoisonError::into_inner));
                }
                Err(_) if self.ended.load(Ordering::SeqCst) => return,
                Err(error) => self.fail(state, format!("{} ({error})", self.keeper("is gone"))),
            }
        }
        let _ = store.set(&format!("heartbeat/{}", self.launch.rank), LEFT);
    }

    /// Gives a heartbeat, reads those of others; returns the cause, if the run has failed.
    fn round(&self, store: &Store) -> Result<Option<String>, slotcon_torch::Error> {
        let me = self.launch.rank;
        let operations = self.ranks.get().map_or(0, Ranks::operations);
        self.operations.store(operations, Ordering::Relaxed);
        let own = format!("{} {operations}", self.started.elapsed().as_millis());
        store.set(&format!("heartbeat/{me}"), &own)?;
        let (text, alarmed) = {
            let mut state = self.state();
            (state.own_failure.take(), state.alarmed.is_some())
        };
        if let Some(text) = text {
            record_first_failure(store, &text)?;
        }
        if alarmed && !store.has("alarm")? {
            store.set("alarm", "")?;
        }
        if store.has("cause")? {
            return Ok(Some(store.get("cause")?));
        }
        if !alarmed && store.has("alarm")? {
            self.state().alarmed.get_or_insert_with(Instant::now);
        }
        let observed = if me == 0 { 1..self.launch.size } else { 0..1 };
        for rank in observed {
            let heartbeat = store.get(&format!("heartbeat/{rank}"))?;
            let mut state = self.state();
            if state.heartbeats[rank].0 != heartbeat {
                state.heartbeats[rank] = (heartbeat, Instant::now());
            }
        }
        let Some(found) = self.find_silent_rank() else {
            return Ok(None);
        };
        record_first_failure(store, &found)?;
        Ok(Some(store.get("cause")?))
    }

    /// The rank that is silent for too long; the one behind the others, if something is wrong and nobody is silent.
    fn find_silent_rank(&self) -> Option<String> {
        let state = self.state();
        let limit = if state.alarmed.is_some() {
            self.silence_limit()
        } else {
            self.timeout
        };
        let alive = |heartbeat: &str| heartbeat != LEFT && !heartbeat.is_empty();
        for (rank, (heartbeat, at)) in state.heartbeats.iter().enumerate() {
            let silent = at.elapsed();
            if alive(heartbeat) && silent > limit {
                return Some(format!(
                    "{} is gone: no sign of life for {:.1} s (killed, stopped, or its machine or network failed)",
                    self.names[rank],
                    silent.as_secs_f64()
                ));
            }
        }
        // Rank 0 alone knows everybody's heartbeat.
        let waited = state.alarmed?.elapsed();
        if self.launch.rank != 0 || waited < self.silence_limit() + self.interval * 3 {
            return None;
        }
        let done = |rank: usize| match state.heartbeats[rank].0.split_once(' ') {
            _ if rank == 0 => self.operations.load(Ordering::Relaxed),
            Some((_, operations)) => operations.parse().unwrap_or_default(),
            None => u64::MAX,
        };
        let slowest = (0..self.launch.size).min_by_key(|&rank| done(rank))?;
        let most = (0..self.launch.size).map(done).filter(|&n| n != u64::MAX).max()?;
        (done(slowest) < most).then(|| {
            format!(
                "{} is alive but did not come in time: it has begun {} operations over ranks, others {most}. If it only \
                 waits for its pictures or writes a checkpoint, raise run.rank_timeout ({} s)",
                self.names[slowest],
                done(slowest),
                self.timeout.as_secs_f64()
            )
        })
    }

    fn keeper(&self, what: &str) -> String {
        let Launch { host, port, .. } = &self.launch;
        if self.launch.store_elsewhere {
            format!("the launcher's store at {host}:{port} {what}")
        } else {
            format!(
                "{}, which keeps the store at {host}:{port}, {what}",
                self.names[0]
            )
        }
    }

    /// The second thread: the store of a stopped process takes questions and never answers.
    fn guard_the_store(&self) {
        let mut last = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            let state = self.state();
            let (mut state, _) = self
                .changed
                .wait_timeout(state, self.interval)
                .unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() > self.interval * 4 {
                state.answered = Instant::now();
            }
            last = Instant::now();
            let limit = if state.asking {
                self.silence_limit()
            } else {
                self.timeout
            };
            let silent = state.answered.elapsed();
            if state.cause.is_none() && silent > limit + self.interval {
                let text = format!("does not answer for {:.1} s", silent.as_secs_f64());
                let text = self.keeper(&text);
                self.fail(state, text);
            }
        }
    }

    /// Hands the cause to the main thread if it asks, else ends the process.
    #[allow(clippy::print_stderr, reason = "the process ends here: nobody else can tell")]
    fn fail(&self, mut state: MutexGuard<'_, State>, cause: String) {
        state.cause.get_or_insert(cause);
        self.changed.notify_all();
        loop {
            if state.asking || self.ended.load(Ordering::SeqCst) {
                // The main thread knows, and ends in its own way.
                let wait = self.changed.wait_timeout(state, self.interval);
                drop(wait.unwrap_or_else(PoisonError::into_inner));
                return;
            }
            if self.busy.try_lock().is_ok() {
                break;
            }
            let wait = self.changed.wait_timeout(state, self.interval);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let cause = state.cause.clone().unwrap_or_default();
        if let Some(act) = state.on_failure.take() {
            act(&cause);
        }
        #[allow(
            clippy::print_stderr,
            reason = "the process ends here, and nobody else can say why"
        )]
        {
            eprintln!("[rank {}] error: {cause}", self.launch.rank);
        }
        self.let_others_read();
        slotcon_torch::end_process(1);
    }
}
