//! The threads: each takes the next sample of the earliest unfinished batch, until enough batches are ready.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batch::{BadPicture, PairedBatch, ViewBatch};
use super::config::LoaderConfig;
use super::pool::{BufferSource, Pool};
use super::reader::Reader;
use super::sample::{SampleMaker, SampleResult};
use crate::augment::Augment;
use crate::error::{Error, Result};
use crate::picture::panic_text;
use crate::sampler::Sampler;
use crate::source::Dataset;

/// What the threads and the caller share.
#[derive(Debug)]
pub(super) struct Shared {
    dataset: Arc<Dataset>,
    augment: Augment,
    batch: usize,
    prefetch: usize,
    seed: u64,
    patience: Duration,
    pool: Arc<Pool>,
    state: Mutex<State>,
    /// There is room for a further batch, or the end has come.
    room: Condvar,
    /// The earliest batch is whole, or the end has come.
    ready: Condvar,
}

#[derive(Debug)]
struct State {
    sampler: Sampler,
    next_step: u64,
    /// Batches in the making or ready, earliest first; the last one may have samples left to hand out.
    batches: VecDeque<Unfinished>,
    stop: bool,
    /// Why the threads have ended, if not asked to.
    broken: Option<String>,
}

#[derive(Debug)]
struct Unfinished {
    epoch: u64,
    /// The pictures, and how many of them have been handed out and finished.
    wanted: Vec<u32>,
    handed_out: usize,
    finished: usize,
    made: Arc<Mutex<Option<Made>>>,
}

/// A batch as it fills.
#[derive(Debug)]
pub(super) struct Made {
    batch: PairedBatch,
    /// With the sample's place in the batch, to be put in order at the end.
    bad: Vec<(usize, BadPicture)>,
    /// Pictures tried, replacements included.
    pub(super) tried: u64,
    /// A sample was left without any picture.
    pub(super) hopeless: bool,
}

impl Made {
    /// The pictures that could not be used, in the order of the samples.
    pub(super) fn bad(&self) -> impl Iterator<Item = &BadPicture> {
        self.bad.iter().map(|(_, bad)| bad)
    }

    pub(super) fn bad_count(&self) -> u64 {
        self.bad.len() as u64
    }

    pub(super) fn into_batch(mut self) -> PairedBatch {
        self.batch.bad = self.bad.into_iter().map(|(_, bad)| bad).collect();
        self.batch
    }
}

/// One sample to make.
struct Task {
    epoch: u64,
    index: u32,
    place: usize,
    made: Arc<Mutex<Option<Made>>>,
}

/// A thread that panicked while it held a lock has left nothing half-done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        dataset: Arc<Dataset>,
        augment: Augment,
        config: &LoaderConfig,
        sampler: Sampler,
        source: Arc<dyn BufferSource>,
    ) -> Self {
        let pool = Arc::new(Pool::new(config.batch * augment.view_bytes(), source));
        let state = State {
            sampler,
            next_step: config.first_step,
            batches: VecDeque::new(),
            stop: false,
            broken: None,
        };
        Self {
            dataset,
            augment,
            batch: config.batch,
            prefetch: config.prefetch,
            seed: config.seed,
            patience: config.read_timeout,
            pool,
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// Ends the threads.
    pub(super) fn stop(&self) {
        lock(&self.state).stop = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// Waits for the earliest batch and takes it out.
    pub(super) fn take(&self) -> Result<Made> {
        let mut state = lock(&self.state);
        loop {
            if let Some(reason) = &state.broken {
                return Err(Error::Stopped {
                    reason: reason.clone(),
                });
            }
            if state.batches.front().is_some_and(|b| b.finished == self.batch)
                && let Some(whole) = state.batches.pop_front()
            {
                drop(state);
                self.room.notify_all();
                let made = lock(&whole.made).take();
                let mut made = made.ok_or_else(|| Error::Stopped {
                    reason: "a batch was lost".into(),
                })?;
                made.bad.sort_by_key(|(place, _)| *place);
                return Ok(made);
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The life of a thread.
    pub(super) fn work(&self) {
        let worked = catch_unwind(AssertUnwindSafe(|| {
            let mut maker = SampleMaker::new(&self.augment);
            let mut reader = Reader::new(Arc::clone(&self.dataset), self.patience);
            while let Some(task) = self.next_task() {
                let result = maker.make(&mut reader, &self.augment, self.seed, task.epoch, task.index);
                self.put(&task, result, &maker);
            }
        }));
        if let Err(cause) = worked {
            lock(&self.state).broken = Some(format!("a thread broke down: {}", panic_text(cause.as_ref())));
            self.stop();
        }
    }

    /// The next sample to make; waits while enough batches are under way.
    fn next_task(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return None;
            }
            let open = state.batches.back().is_some_and(|b| b.handed_out < self.batch);
            if !open && state.batches.len() < self.prefetch {
                self.begin_batch(&mut state);
            }
            if let Some(batch) = state.batches.back_mut()
                && batch.handed_out < self.batch
            {
                let place = batch.handed_out;
                batch.handed_out += 1;
                let made = Arc::clone(&batch.made);
                let (epoch, index) = (batch.epoch, batch.wanted[place]);
                return Some(Task {
                    epoch,
                    index,
                    place,
                    made,
                });
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin_batch(&self, state: &mut State) {
        let step = state.next_step;
        state.next_step += 1;
        let (epoch, wanted) = state.sampler.batch(step);
        let wanted = wanted.to_vec();
        let view = || ViewBatch {
            pixels: self.pool.take(),
            coords: vec![[0.0; 4]; self.batch],
            flips: vec![false; self.batch],
        };
        let batch = PairedBatch {
            epoch,
            step,
            views: [view(), view()],
            indices: wanted.clone(),
            bad: Vec::new(),
        };
        let made = Made {
            batch,
            bad: Vec::new(),
            tried: 0,
            hopeless: false,
        };
        state.batches.push_back(Unfinished {
            epoch,
            wanted,
            handed_out: 0,
            finished: 0,
            made: Arc::new(Mutex::new(Some(made))),
        });
    }

    /// Puts a sample into its place.
    fn put(&self, task: &Task, result: SampleResult, maker: &SampleMaker) {
        if let Some(made) = lock(&task.made).as_mut() {
            made.tried += result.bad.len() as u64 + u64::from(result.made.is_some());
            made.bad
                .extend(result.bad.into_iter().map(|bad| (task.place, bad)));
            match result.made {
                Some((index, plan)) => {
                    made.batch.indices[task.place] = index;
                    let bytes = self.augment.view_bytes();
                    for v in 0..2 {
                        let view = &mut made.batch.views[v];
                        view.pixels[task.place * bytes..(task.place + 1) * bytes]
                            .copy_from_slice(&maker.views[v]);
                        view.coords[task.place] = plan.coords[v];
                        view.flips[task.place] = plan.views[v].flip;
                    }
                }
                None => made.hopeless = true,
            }
        }
        let mut state = lock(&self.state);
        let finished = state
            .batches
            .iter_mut()
            .find(|b| Arc::ptr_eq(&b.made, &task.made))
            .map(|b| {
                b.finished += 1;
                b.finished == self.batch
            });
        drop(state);
        if finished == Some(true) {
            self.ready.notify_all();
        }
    }
}
