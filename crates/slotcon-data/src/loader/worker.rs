//! The threads: each takes the next sample of the earliest unfinished batch, until enough batches are ready.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batch::{BadPicture, Batch};
use super::config::LoaderConfig;
use super::make::{Made, MakeSample, Maker};
use super::pool::{BufferSource, PixelBuffer, Pool};
use super::reader::Reader;
use crate::error::{Error, Result};
use crate::sampler::Sampler;
use crate::source::Dataset;

/// What the threads and the caller share.
#[derive(Debug)]
pub(super) struct Shared<M: MakeSample> {
    dataset: Arc<Dataset>,
    maker: M,
    batch: usize,
    prefetch: usize,
    seed: u64,
    timeout: Duration,
    /// Of each buffer of a batch, with the bytes that a sample takes in it.
    pools: Vec<(Arc<Pool>, usize)>,
    state: Mutex<State<M::Info>>,
    /// There is room for a further batch, or the end has come.
    room: Condvar,
    /// The earliest batch is whole, or the end has come.
    ready: Condvar,
}

#[derive(Debug)]
struct State<I> {
    sampler: Sampler,
    next_step: u64,
    /// Batches in the making or ready, earliest first; the last one may have samples left to hand out.
    batches: VecDeque<Unfinished<I>>,
    stop: bool,
    /// Why the threads have ended, if not asked to.
    broken: Option<String>,
}

#[derive(Debug)]
struct Unfinished<I> {
    epoch: u64,
    /// The pictures, and how many of them have been handed out and finished.
    wanted: Vec<u32>,
    handed_out: usize,
    finished: usize,
    filling: Arc<Mutex<Option<Filling<I>>>>,
}

/// A batch as it fills.
#[derive(Debug)]
pub(super) struct Filling<I> {
    epoch: u64,
    step: u64,
    pixels: Vec<PixelBuffer>,
    info: Vec<Option<I>>,
    indices: Vec<u32>,
    /// With the sample's place in the batch, to be put in order at the end.
    bad: Vec<(usize, BadPicture)>,
    /// Pictures tried, replacements included.
    pub(super) tried: u64,
    /// A sample was left without any picture.
    pub(super) hopeless: bool,
}

impl<I> Filling<I> {
    /// The pictures that could not be used, in the order of the samples.
    pub(super) fn bad(&self) -> impl Iterator<Item = &BadPicture> {
        self.bad.iter().map(|(_, bad)| bad)
    }

    pub(super) fn bad_count(&self) -> u64 {
        self.bad.len() as u64
    }

    pub(super) fn into_batch(self) -> Batch<I> {
        Batch {
            epoch: self.epoch,
            step: self.step,
            pixels: self.pixels,
            // A batch with a sample left out is refused before it comes here.
            info: self.info.into_iter().flatten().collect(),
            indices: self.indices,
            bad: self.bad.into_iter().map(|(_, bad)| bad).collect(),
        }
    }
}

/// One sample to make.
struct Task<I> {
    epoch: u64,
    index: u32,
    place: usize,
    filling: Arc<Mutex<Option<Filling<I>>>>,
}

/// A thread that panicked while it held a lock has left nothing half-done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: MakeSample> Shared<M> {
    pub(super) fn new(
        dataset: Arc<Dataset>,
        maker: M,
        config: &LoaderConfig,
        sampler: Sampler,
        source: &Arc<dyn BufferSource>,
    ) -> Self {
        let pools = maker.sample_bytes().into_iter();
        let pools = pools.map(|bytes| {
            (
                Arc::new(Pool::new(config.batch * bytes, Arc::clone(source))),
                bytes,
            )
        });
        let pools = pools.collect();
        let state = State {
            sampler,
            next_step: config.first_step,
            batches: VecDeque::new(),
            stop: false,
            broken: None,
        };
        Self {
            dataset,
            maker,
            batch: config.batch,
            prefetch: config.prefetch,
            seed: config.seed,
            timeout: config.read_timeout,
            pools,
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
    pub(super) fn take(&self) -> Result<Filling<M::Info>> {
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
                let filling = lock(&whole.filling).take();
                let mut filling = filling.ok_or_else(|| Error::Stopped {
                    reason: "a batch was lost".into(),
                })?;
                filling.bad.sort_by_key(|(place, _)| *place);
                return Ok(filling);
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The life of a thread.
    pub(super) fn work(&self) {
        let worked = crate::caught::catch(|| {
            let mut maker = Maker::new(&self.maker);
            let mut reader = Reader::new(Arc::clone(&self.dataset), self.timeout);
            while let Some(task) = self.next_task() {
                let made = maker.make(&mut reader, self.seed, task.epoch, task.index);
                self.put(&task, made, &maker.out);
            }
        });
        if let Err(text) = worked {
            lock(&self.state).broken = Some(format!("a thread broke down: {text}"));
            self.stop();
        }
    }

    /// The next sample to make; waits while enough batches are under way.
    fn next_task(&self) -> Option<Task<M::Info>> {
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
                let filling = Arc::clone(&batch.filling);
                let (epoch, index) = (batch.epoch, batch.wanted[place]);
                return Some(Task {
                    epoch,
                    index,
                    place,
                    filling,
                });
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin_batch(&self, state: &mut State<M::Info>) {
        let step = state.next_step;
        state.next_step += 1;
        let (epoch, wanted) = state.sampler.batch(step);
        let wanted = wanted.to_vec();
        let filling = Filling {
            epoch,
            step,
            pixels: self.pools.iter().map(|(pool, _)| pool.take()).collect(),
            info: wanted.iter().map(|_| None).collect(),
            indices: wanted.clone(),
            bad: Vec::new(),
            tried: 0,
            hopeless: false,
        };
        state.batches.push_back(Unfinished {
            epoch,
            wanted,
            handed_out: 0,
            finished: 0,
            filling: Arc::new(Mutex::new(Some(filling))),
        });
    }

    /// Puts a sample into its place.
    fn put(&self, task: &Task<M::Info>, made: Made<M::Info>, bytes: &[Vec<u8>]) {
        if let Some(batch) = lock(&task.filling).as_mut() {
            batch.tried += made.bad.len() as u64 + u64::from(made.sample.is_some());
            batch
                .bad
                .extend(made.bad.into_iter().map(|bad| (task.place, bad)));
            match made.sample {
                Some((index, info)) => {
                    batch.indices[task.place] = index;
                    batch.info[task.place] = Some(info);
                    for ((buffer, (_, size)), sample) in batch.pixels.iter_mut().zip(&self.pools).zip(bytes) {
                        buffer[task.place * size..][..*size].copy_from_slice(sample);
                    }
                }
                None => batch.hopeless = true,
            }
        }
        let mut state = lock(&self.state);
        let finished = state
            .batches
            .iter_mut()
            .find(|b| Arc::ptr_eq(&b.filling, &task.filling))
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
