//! How fast pictures become batches, stage by stage, and how that compares to decoding alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::augment::AugmentConfig;
use crate::error::{Error, Result};
use crate::geometry::CropBox;
use crate::loader::{Loader, LoaderConfig, MakeSample, PairMaker, Reader, Stage};
use crate::picture::{self, Decoder};
use crate::rng::{Purpose, Stream};
use crate::source::Dataset;

/// What to measure with.
#[derive(Clone, Debug)]
pub struct BenchConfig {
    /// The loader as training uses it, read timeout and all. Its threads are those of decoding alone, too; 0 takes all
    /// cores.
    pub loader: LoaderConfig,
    /// How long to measure. Loading and decoding alone take turns, ten each.
    pub seconds: f64,
}

impl Default for BenchConfig {
    fn default() -> Self {
        Self {
            loader: LoaderConfig {
                threads: 1,
                batch: 16,
                ..LoaderConfig::default()
            },
            seconds: 10.0,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Pictures a second, both views made and collected into batches.
    pub pictures_per_second: f64,
    /// Pictures a second, read and decoded whole, nothing else.
    pub decode_only_pictures_per_second: f64,
    /// The same two by the processor time used instead of the time passed, per thread: what remains comparable when
    /// other programs share the machine (0 where the system does not tell).
    pub pictures_per_cpu_second: f64,
    /// See `pictures_per_cpu_second`.
    pub decode_only_pictures_per_cpu_second: f64,
    /// Threads at work in both.
    pub threads: usize,
    /// Pictures of the data set.
    pub pictures: usize,
    /// Microseconds that each stage takes for one picture on one thread.
    pub stages_us: Stages,
    /// Most memory that the process ever held, in megabytes (0 where the system does not tell).
    pub peak_mb: f64,
}

/// Microseconds for one picture, both views together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stages {
    /// Reading the file.
    pub read: f64,
    /// Decoding what the two crops show.
    pub decode: f64,
    /// Cropping, resizing and mirroring.
    pub crop_resize: f64,
    /// Jitter and gray.
    pub colour: f64,
    /// Blur and solarize.
    pub blur: f64,
    /// Copying the views into the batch.
    pub collate: f64,
    /// Decoding the whole picture, which the loader does not do: the floor to compare with.
    pub decode_whole: f64,
}

/// How fast samples of any kind come.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadRate {
    /// Pictures a second, made and collected into batches.
    pub pictures_per_second: f64,
    /// The same by the processor time used, see [`BenchReport::pictures_per_cpu_second`].
    pub pictures_per_cpu_second: f64,
}

/// Measures the loader with `maker` for `config.seconds`.
///
/// # Errors
/// As [`Loader::new`] and [`Loader::next`].
pub fn load_rate<M: MakeSample>(dataset: &Arc<Dataset>, maker: M, config: &BenchConfig) -> Result<LoadRate> {
    let mut loader = Loader::new(Arc::clone(dataset), maker, config.loader.clone())?;
    // As in `run`: what is in the making when the clock starts stands for what is when it stops.
    loader.next()?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut loaded = 0;
    while start.elapsed().as_secs_f64() < config.seconds {
        loaded += loader.next()?.indices.len();
    }
    Ok(LoadRate {
        pictures_per_second: rate(loaded, start.elapsed().as_secs_f64()),
        pictures_per_cpu_second: rate(loaded, cpu_seconds() - cpu),
    })
}

/// Measures.
///
/// # Errors
/// As [`Loader::new`] and [`Loader::next`].
pub fn run(dataset: &Arc<Dataset>, augment: &AugmentConfig, config: &BenchConfig) -> Result<BenchReport> {
    const TURNS: u32 = 10;
    let threads = match config.loader.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let turn = Duration::from_secs_f64(config.seconds.max(0.1) / f64::from(2 * TURNS));
    let loader_config = LoaderConfig {
        batch: config.loader.batch.min(dataset.len()),
        threads,
        ..config.loader.clone()
    };
    let maker = PairMaker::new(augment.clone())?;
    let (mut loaded, mut loading) = (0usize, 0.0);
    let (mut decoded, mut decoding) = (0usize, 0.0);
    let (mut loading_cpu, mut decoding_cpu) = (0.0, 0.0);
    let mut step = 0;
    for _ in 0..TURNS {
        let mut loader = Loader::new(
            Arc::clone(dataset),
            maker.clone(),
            LoaderConfig {
                first_step: step,
                ..loader_config.clone()
            },
        )?;
        // The batches that are in the making when the clock starts stand for those that are when it stops.
        loader.next()?;
        let (start, cpu) = (Instant::now(), cpu_seconds());
        while start.elapsed() < turn {
            loaded += loader.next()?.indices.len();
            step += 1;
        }
        loading += start.elapsed().as_secs_f64();
        loading_cpu += cpu_seconds() - cpu;
        drop(loader);
        let cpu = cpu_seconds();
        let (pictures, seconds) = decode_for(dataset, augment, threads, decoded, turn);
        decoding_cpu += cpu_seconds() - cpu;
        decoded += pictures;
        decoding += seconds;
    }
    Ok(BenchReport {
        pictures_per_second: loaded as f64 / loading,
        decode_only_pictures_per_second: decoded as f64 / decoding,
        pictures_per_cpu_second: rate(loaded, loading_cpu),
        decode_only_pictures_per_cpu_second: rate(decoded, decoding_cpu),
        threads,
        pictures: dataset.len(),
        stages_us: stages(dataset, augment, &maker, config.loader.read_timeout)?,
        peak_mb: peak_mb(),
    })
}

/// Decodes whole pictures on several threads for a while; gives how many, and the seconds that took.
fn decode_for(
    dataset: &Dataset,
    augment: &AugmentConfig,
    threads: usize,
    first: usize,
    time: Duration,
) -> (usize, f64) {
    let next = AtomicUsize::new(first);
    let start = Instant::now();
    let done = std::thread::scope(|scope| {
        let work = || {
            let (mut decoder, mut bytes, mut done) = (Decoder::default(), Vec::new(), 0);
            while start.elapsed() < time {
                let index = next.fetch_add(1, Ordering::Relaxed) % dataset.len();
                // A picture that cannot be decoded has taken its time, too.
                if dataset.read(index, &mut bytes).is_ok() {
                    let _ = decoder.decode_part(&bytes, &augment.decode_options(), whole);
                }
                done += 1;
            }
            done
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|w| w.join().unwrap_or(0)).sum()
    });
    (done, start.elapsed().as_secs_f64())
}

fn whole(width: u32, height: u32) -> ((), [CropBox; 2]) {
    ((), [picture::whole(width, height); 2])
}

/// Times the stages of some hundred pictures on this thread.
fn stages(
    dataset: &Arc<Dataset>,
    augment: &AugmentConfig,
    maker: &PairMaker,
    read_timeout: Duration,
) -> Result<Stages> {
    let count = dataset.len().min(400);
    let mut scratch = maker.scratch();
    let mut reader = Reader::new(Arc::clone(dataset), read_timeout);
    let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
    let sizes = maker.sample_bytes();
    let buffers = |samples: usize| Vec::from_iter(sizes.iter().map(|size| vec![0u8; size * samples]));
    const BATCH: usize = 16;
    let (mut views, mut batch) = (buffers(1), buffers(BATCH));
    let mut sums = Stages::default();
    let mut good = 0;
    for i in 0..count {
        // The least of three, so that what else the machine does weighs little.
        let mut least: Option<Stages> = None;
        for _ in 0..3 {
            let mut times = Stages::default();
            let mut last = Instant::now();
            let mut lap = || {
                let now = Instant::now();
                let us = now.duration_since(last).as_secs_f64() * 1e6;
                last = now;
                us
            };
            let mut random = Stream::new(0, 0, i as u64, Purpose::Augment, 0);
            let made = maker.make_timed(
                &mut reader,
                &mut scratch,
                i as u32,
                &mut random,
                &mut views,
                |stage| {
                    let time = match stage {
                        Stage::Read => &mut times.read,
                        Stage::Decode => &mut times.decode,
                        Stage::CropResize => &mut times.crop_resize,
                        Stage::Colour => &mut times.colour,
                        Stage::Blur => &mut times.blur,
                    };
                    *time += lap();
                },
            );
            if made.is_err() || dataset.read(i, &mut bytes).is_err() {
                break;
            }
            lap();
            for (batch, view) in batch.iter_mut().zip(&views) {
                batch[i % BATCH * view.len()..][..view.len()].copy_from_slice(view);
            }
            times.collate = lap();
            if decoder
                .decode_part(&bytes, &augment.decode_options(), whole)
                .is_err()
            {
                break;
            }
            times.decode_whole = lap();
            least = Some(least.map_or(times, |least| least.least(&times)));
        }
        if let Some(least) = least {
            good += 1;
            sums.add(&least);
        }
    }
    if good == 0 {
        return Err(Error::Stopped {
            reason: format!("none of {count} pictures could be decoded"),
        });
    }
    Ok(sums.divided(f64::from(good)))
}

impl Stages {
    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.decode += other.decode;
        self.crop_resize += other.crop_resize;
        self.colour += other.colour;
        self.blur += other.blur;
        self.collate += other.collate;
        self.decode_whole += other.decode_whole;
    }

    fn least(&self, other: &Self) -> Self {
        Self {
            read: self.read.min(other.read),
            decode: self.decode.min(other.decode),
            crop_resize: self.crop_resize.min(other.crop_resize),
            colour: self.colour.min(other.colour),
            blur: self.blur.min(other.blur),
            collate: self.collate.min(other.collate),
            decode_whole: self.decode_whole.min(other.decode_whole),
        }
    }

    fn divided(&self, n: f64) -> Self {
        Self {
            read: self.read / n,
            decode: self.decode / n,
            crop_resize: self.crop_resize / n,
            colour: self.colour / n,
            blur: self.blur / n,
            collate: self.collate / n,
            decode_whole: self.decode_whole / n,
        }
    }
}

fn rate(pictures: usize, seconds: f64) -> f64 {
    if seconds > 0.0 {
        pictures as f64 / seconds
    } else {
        0.0
    }
}

/// Processor time of this process so far, all threads together; Linux counts it in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |n: usize| {
        fields
            .split_whitespace()
            .nth(n)
            .and_then(|v| v.parse::<f64>().ok())
    };
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// The most memory that this process ever held, from the system's own count.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
