//! The processes of one run: how they find each other ([`launch`]), make sure that they mean the same run, decide
//! together, and name the one that fails ([`watch`]). A process alone is a crew of one, for which all of it is free.

pub mod launch;
mod meet;
pub mod watch;

use std::time::Duration;

use slotcon_torch::distributed::{Join, Ranks, Store, Traffic};
use tch::Device;

pub use launch::Launch;
use meet::Meeting;
use watch::Watch;

use crate::error::Error;

/// This process and the others.
#[derive(Debug)]
pub struct Crew {
    launch: Launch,
    ranks: Ranks,
    together: Option<(Meeting, Watch)>,
}

/// Keeps the store for processes that this one starts, at any free port.
///
/// # Errors
/// No free port.
pub fn keep_store(attempt: &str, timeout: Duration) -> Result<Store, Error> {
    Ok(Store::keep(0, timeout, &meet::prefix(attempt))?)
}

/// What ranks tell each other before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// The run should end in good order.
    pub stop: bool,
    /// The pictures cannot be used.
    pub no_pictures: bool,
    /// Pictures that were replaced.
    pub bad_pictures: u64,
}

impl Crew {
    /// Meets the other processes of `launch`, waiting for them for as long as `timeout`.
    ///
    /// # Errors
    /// A port that is taken, a master that cannot be reached, ranks that do not come, come twice, or are another version
    /// or number.
    pub fn meet(launch: &Launch, timeout: Duration) -> Result<Self, Error> {
        let together = if launch.is_alone() {
            None
        } else {
            let (meeting, names) = Meeting::new(launch, timeout)?;
            let watch = Watch::start(launch, names, meeting.connect_again()?, timeout);
            Some((meeting, watch))
        };
        Ok(Self {
            launch: launch.clone(),
            ranks: Ranks::alone(),
            together,
        })
    }

    /// This process's place.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Whether this process writes the run directory.
    pub fn is_first(&self) -> bool {
        self.launch.rank == 0
    }

    /// What the ranks compute together; [`Ranks::alone`] before [`Crew::join`].
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The value that `make` gives on rank 0, on every rank. If it fails there, all end.
    ///
    /// # Errors
    /// That of `make`, or a rank that is gone.
    pub fn first_says(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, Error>,
    ) -> Result<String, Error> {
        let Some((meeting, _)) = &self.together else {
            return make();
        };
        if self.is_first() {
            let value = make()?;
            meeting.set(name, &value)?;
            return Ok(value);
        }
        meeting.wait_for(name)
    }

    /// Every rank's `value`, in the order of ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn exchange(&self, name: &str, value: &str) -> Result<Vec<String>, Error> {
        let Some((meeting, _)) = &self.together else {
            return Ok(vec![value.to_owned()]);
        };
        meeting.set(&format!("{name}/{}", self.launch.rank), value)?;
        (0..self.launch.size)
            .map(|rank| meeting.wait_for(&format!("{name}/{rank}")))
            .collect()
    }

    /// Refuses to go on unless `value` is the same on every rank; `what` it is, in words.
    ///
    /// # Errors
    /// The first rank that differs from rank 0, with both values.
    pub fn require_same(&self, name: &str, what: &str, value: &str) -> Result<(), Error> {
        let all = self.exchange(name, value)?;
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(Error::Ranks(format!(
                "{what} differs between ranks: {} on rank 0, {} on rank {rank}; start all ranks alike",
                all[0], all[rank]
            ))),
        }
    }

    /// Connects the ranks for computing on `device`, each operation waiting `timeout` at most.
    ///
    /// # Errors
    /// GPUs in a build for the CPU; ranks that cannot reach each other.
    pub fn join(&mut self, device: Device, timeout: Duration) -> Result<(), Error> {
        let Some((meeting, watch)) = &self.together else {
            return Ok(());
        };
        let local = matches!(self.launch.host.as_str(), "127.0.0.1" | "localhost" | "::1");
        self.ranks = Ranks::join(&Join {
            store: meeting.store(),
            rank: self.launch.rank,
            size: self.launch.size,
            timeout,
            address: if local { "127.0.0.1" } else { "" },
            device,
        })?;
        watch.count_operations_of(&self.ranks);
        Ok(())
    }

    /// What the ranks together want, before a step.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn take_turn(&self, own: Turn) -> Result<Turn, Error> {
        let numbers = [
            i64::from(own.stop),
            i64::from(own.no_pictures),
            own.bad_pictures as i64,
        ];
        let [stop, no_pictures, bad] = self.ranks.sum_numbers(numbers, Traffic::Control)?;
        Ok(Turn {
            stop: stop > 0,
            no_pictures: no_pictures > 0,
            bad_pictures: bad as u64,
        })
    }

    /// Runs `f`, which another rank's end does not interrupt: writing a file.
    pub fn uninterrupted<T>(&self, f: impl FnOnce() -> T) -> T {
        match &self.together {
            Some((_, watch)) => watch.uninterrupted(f),
            None => f(),
        }
    }

    /// Has `act` called with the reason where another rank's end ends this process.
    pub fn before_the_end(&self, act: impl Fn(&str) + Send + 'static) {
        if let Some((_, watch)) = &self.together {
            watch.before_the_end(act);
        }
    }

    /// Ends the crew after `outcome`. An error of working together becomes one that names the rank at fault; an own one
    /// is told to the others.
    ///
    /// # Errors
    /// That of `outcome`, explained.
    pub fn disband<T>(self, outcome: Result<T, Error>) -> Result<T, Error> {
        let Self { ranks, together, .. } = self;
        let Some((meeting, watch)) = together else {
            return outcome;
        };
        let outcome = outcome.and_then(|value| meeting.wait_for_all_to_end(&self.launch).map(|()| value));
        match outcome {
            Ok(value) => {
                watch.leave();
                meeting.close(&self.launch);
                Ok(value)
            }
            // Not its own fault, so it asks whose.
            Err(error)
                if ranks.broken() || matches!(error, Error::Elsewhere | Error::NoPicturesElsewhere) =>
            {
                let trouble = error.to_string();
                let verdict = watch.ask(&trouble);
                if verdict == trouble {
                    watch.claim(&format!("{}: {trouble}", meeting.name(self.launch.rank)));
                }
                watch.farewell();
                // Its end would wait for operations that no longer end.
                std::mem::forget(ranks);
                Err(Error::Ranks(verdict))
            }
            Err(error) => {
                watch.claim(&format!(
                    "{} ended with an error: {error}",
                    meeting.name(self.launch.rank)
                ));
                watch.farewell();
                std::mem::forget(ranks);
                Err(error)
            }
        }
    }
}
