//! The watch: every rank gives signs of life, and whoever falls silent, or says why it ends, is named by all others.
//!
//! A thread of each rank writes a pulse into the store and reads there whether the run has come to an end (the
//! *verdict*: one text, of whoever was first). Rank 0 reads everybody's pulse, the others rank 0's. A second thread sees
//! to it that the first is answered at all. A verdict ends the process even where its main thread waits for ever.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slotcon_torch::distributed::{Ranks, Store};

use super::launch::Launch;

/// Written instead of a pulse by a rank that ended well.
const LEFT: &str = "left";

/// How long a rank that knows the verdict waits, in pulses, before it ends: the others should have read it.
const FAREWELL: u32 = 2;

/// What is called with a verdict before it ends the process.
type LastAct = Box<dyn Fn(&str) + Send>;

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
    /// Held while something is done that a verdict must not interrupt.
    busy: Mutex<()>,
}

struct State {
    /// Of every rank whose pulse is read: the last one, and when it was new.
    pulses: Vec<(String, Instant)>,
    /// When the store last answered.
    answered: Instant,
    /// A text that this rank wants to be the verdict.
    claim: Option<String>,
    /// Since when the main thread knows that something is wrong, but not what.
    alarmed: Option<Instant>,
    verdict: Option<String>,
    asking: bool,
    last_act: Option<LastAct>,
}

/// The watch of one rank; ends with [`Watch::leave`].
pub struct Watch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?})", self.shared.launch)
    }
}

/// For whoever panics.
static CURRENT: OnceLock<Arc<Shared>> = OnceLock::new();

/// What a rank is in messages; empty where there is only one.
pub fn tag() -> String {
    CURRENT
        .get()
        .map_or_else(String::new, |shared| format!("[rank {}] ", shared.launch.rank))
}

/// Lets the other ranks know why this one ends; for the hook of a panic.
pub fn last_words(text: &str) {
    if let Some(shared) = CURRENT.get() {
        shared.claim(&format!(
            "{} ended with an error: {text}",
            shared.names[shared.launch.rank]
        ));
        shared.farewell();
    }
}

/// Makes `text` the verdict of the ranks at `store`, unless there is one.
///
/// # Errors
/// A broken connection.
pub fn claim(store: &Store, text: &str) -> Result<(), slotcon_torch::Error> {
    if store.add("verdict/claimed", 1)? == 1 {
        store.set("verdict", text)?;
    }
    Ok(())
}

impl Watch {
    /// Starts giving signs of life through `store`, a connection of its own. `names` are those of all ranks, whose pulses
    /// are in the store already.
    pub fn start(launch: &Launch, names: Vec<String>, store: Store, timeout: Duration) -> Self {
        let interval = (timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(2));
        let now = Instant::now();
        let state = State {
            pulses: vec![(String::new(), now); launch.size],
            answered: now,
            claim: None,
            alarmed: None,
            verdict: None,
            asking: false,
            last_act: None,
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
        let _ = CURRENT.set(Arc::clone(&shared));
        let (pulse, guard) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || pulse.give_pulses(&store)),
            std::thread::spawn(move || guard.guard_the_store()),
        ];
        Self { shared, threads }
    }

    /// Gives the ranks whose operations are told with the pulse.
    pub fn count_operations_of(&self, ranks: &Ranks) {
        let _ = self.shared.ranks.set(ranks.clone());
    }

    /// Has `act` called with the verdict before it ends the process.
    pub fn before_the_end(&self, act: impl Fn(&str) + Send + 'static) {
        self.shared.state().last_act = Some(Box::new(act));
    }

    /// Runs `f`, which a verdict does not interrupt.
    pub fn uninterrupted<T>(&self, f: impl FnOnce() -> T) -> T {
        let _busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }

    /// Lets all know that this rank ends, and why.
    pub fn claim(&self, text: &str) {
        self.shared.claim(text);
    }

    /// Who is to blame for `trouble` that this rank met in working with the others.
    pub fn ask(&self, trouble: &str) -> String {
        let shared = &self.shared;
        let mut state = shared.state();
        state.asking = true;
        state.alarmed.get_or_insert_with(Instant::now);
        let limit = shared.patience() * 4 + shared.interval * 8;
        let deadline = Instant::now() + limit;
        while state.verdict.is_none() && Instant::now() < deadline {
            let (next, _) = shared
                .changed
                .wait_timeout(state, shared.interval)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        match &state.verdict {
            Some(verdict) => verdict.clone(),
            None => trouble.to_owned(),
        }
    }

    /// Waits until the others have had time to read the verdict, if this process keeps the store.
    pub fn farewell(&self) {
        self.shared.farewell();
    }

    /// Ends the watch: this rank has come to a good end.
    pub fn leave(self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a silence is death once something went wrong.
    fn patience(&self) -> Duration {
        (self.interval * 5).max(Duration::from_secs(1)).min(self.timeout)
    }

    fn farewell(&self) {
        if self.launch.keeps_store() {
            std::thread::sleep(self.interval * FAREWELL);
        }
    }

    fn claim(&self, text: &str) {
        let mut state = self.state();
        // What this rank says of itself must not end it before it has said it.
        state.asking = true;
        state.claim.get_or_insert_with(|| text.to_owned());
        let deadline = Instant::now() + self.interval * 4;
        while state.verdict.is_none() && Instant::now() < deadline {
            self.changed.notify_all();
            let (next, _) = self
                .changed
                .wait_timeout(state, self.interval)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }

    /// The first thread: one round a pulse.
    fn give_pulses(&self, store: &Store) {
        let mut last = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            // After a long stop (SIGSTOP, a suspended machine) the others' pulses are old for this rank's own fault.
            if last.elapsed() > self.interval * 4 {
                let now = Instant::now();
                self.state().pulses.iter_mut().for_each(|(_, at)| *at = now);
            }
            last = Instant::now();
            let round = self.round(store);
            let mut state = self.state();
            match round {
                Ok(Some(verdict)) => self.conclude(state, verdict),
                Ok(None) => {
                    state.answered = Instant::now();
                    // Woken early by a claim.
                    let wait = self.changed.wait_timeout(state, self.interval);
                    drop(wait.unwrap_or_else(PoisonError::into_inner));
                }
                Err(_) if self.ended.load(Ordering::SeqCst) => return,
                Err(error) => self.conclude(state, format!("{} ({error})", self.keeper("is gone"))),
            }
        }
        let _ = store.set(&format!("pulse/{}", self.launch.rank), LEFT);
    }

    /// Gives a pulse, reads those of others; returns the verdict, if there is one.
    fn round(&self, store: &Store) -> Result<Option<String>, slotcon_torch::Error> {
        let me = self.launch.rank;
        let operations = self.ranks.get().map_or(0, Ranks::operations);
        self.operations.store(operations, Ordering::Relaxed);
        let pulse = format!("{} {operations}", self.started.elapsed().as_millis());
        store.set(&format!("pulse/{me}"), &pulse)?;
        let (text, alarmed) = {
            let mut state = self.state();
            (state.claim.take(), state.alarmed.is_some())
        };
        if let Some(text) = text {
            claim(store, &text)?;
        }
        if alarmed && !store.has("alarm")? {
            store.set("alarm", "")?;
        }
        if store.has("verdict")? {
            return Ok(Some(store.get("verdict")?));
        }
        if !alarmed && store.has("alarm")? {
            self.state().alarmed.get_or_insert_with(Instant::now);
        }
        let watched = if me == 0 { 1..self.launch.size } else { 0..1 };
        for rank in watched {
            let pulse = store.get(&format!("pulse/{rank}"))?;
            let mut state = self.state();
            if state.pulses[rank].0 != pulse {
                state.pulses[rank] = (pulse, Instant::now());
            }
        }
        let Some(found) = self.judge() else {
            return Ok(None);
        };
        claim(store, &found)?;
        Ok(Some(store.get("verdict")?))
    }

    /// Whoever is silent for too long; who is behind the others, if something is wrong and nobody is silent.
    fn judge(&self) -> Option<String> {
        let state = self.state();
        let limit = if state.alarmed.is_some() {
            self.patience()
        } else {
            self.timeout
        };
        let alive = |pulse: &str| pulse != LEFT && !pulse.is_empty();
        for (rank, (pulse, at)) in state.pulses.iter().enumerate() {
            let silent = at.elapsed();
            if alive(pulse) && silent > limit {
                return Some(format!(
                    "{} is gone: no sign of life for {:.1} s (killed, stopped, or its machine or network failed)",
                    self.names[rank],
                    silent.as_secs_f64()
                ));
            }
        }
        // Rank 0 alone knows everybody's pulse.
        let waited = state.alarmed?.elapsed();
        if self.launch.rank != 0 || waited < self.patience() + self.interval * 3 {
            return None;
        }
        let done = |rank: usize| match state.pulses[rank].0.split_once(' ') {
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
                self.patience()
            } else {
                self.timeout
            };
            let silent = state.answered.elapsed();
            if state.verdict.is_none() && silent > limit + self.interval {
                let text = format!("does not answer for {:.1} s", silent.as_secs_f64());
                let text = self.keeper(&text);
                self.conclude(state, text);
            }
        }
    }

    /// Hands the verdict to the main thread if it asks, else ends the process.
    fn conclude(&self, mut state: MutexGuard<'_, State>, verdict: String) {
        state.verdict.get_or_insert(verdict);
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
        let verdict = state.verdict.clone().unwrap_or_default();
        if let Some(act) = state.last_act.take() {
            act(&verdict);
        }
        eprintln!("[rank {}] error: {verdict}", self.launch.rank);
        self.farewell();
        slotcon_torch::end_process(1);
    }
}
