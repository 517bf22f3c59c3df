//! The store at which processes meet: small texts under keys, kept by one process and reached over TCP.

use std::fmt;
use std::time::Duration;

use cxx::SharedPtr;

use crate::error::Error;
use crate::ffi::bridge;

/// One connection to a store (c10d's `TCPStore`). Its operations come one after the other.
#[derive(Clone)]
pub struct Store(SharedPtr<bridge::Store>);

// SAFETY: c10d's stores lock their connection for every operation.
#[allow(unsafe_code)]
unsafe impl Send for Store {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Store {}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store(port {})", self.port())
    }
}

impl Store {
    /// Keeps a store in this process, reachable at every address of this machine; port 0 takes any that is free. Keys
    /// of another `prefix` are not seen.
    ///
    /// # Errors
    /// A port that is taken.
    pub fn keep(port: u16, timeout: Duration, prefix: &str) -> Result<Self, Error> {
        Self::open("localhost", port, true, timeout, prefix)
    }

    /// Connects to the store that `host` keeps at `port`, trying for as long as `timeout`, which also limits every
    /// [`Store::get`].
    ///
    /// # Errors
    /// Nobody there in time.
    pub fn connect(host: &str, port: u16, timeout: Duration, prefix: &str) -> Result<Self, Error> {
        Self::open(host, port, false, timeout, prefix)
    }

    fn open(host: &str, port: u16, keep: bool, timeout: Duration, prefix: &str) -> Result<Self, Error> {
        let store = bridge::open_store(host, port, keep, millis(timeout), prefix)?;
        Ok(Self(store))
    }

    /// The port, also where any was asked for.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Puts `value` under `key`.
    ///
    /// # Errors
    /// A broken connection.
    pub fn set(&self, key: &str, value: &str) -> Result<(), Error> {
        Ok(self.0.set(key, value)?)
    }

    /// Waits for `key` and returns its value.
    ///
    /// # Errors
    /// A broken connection, or no such key in time.
    pub fn get(&self, key: &str) -> Result<String, Error> {
        Ok(self.0.get(key)?)
    }

    /// Adds to the number under `key` (0 at first) and returns it.
    ///
    /// # Errors
    /// A broken connection.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        Ok(self.0.add(key, amount)?)
    }

    /// Whether there is something under `key`, without waiting.
    ///
    /// # Errors
    /// A broken connection.
    pub fn has(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.has(key)?)
    }

    pub(super) fn inner(&self) -> &bridge::Store {
        &self.0
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
