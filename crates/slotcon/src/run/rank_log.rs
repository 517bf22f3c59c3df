//! What ranks other than the first say: their warnings, on standard error. Rank 0 writes everything else.

use super::crew::watch;
use super::observer::{Level, Observer};
use crate::error::Error;

/// Shows warnings with the rank they come from.
#[derive(Debug)]
pub struct RankLog;

impl Observer for RankLog {
    fn said(&mut self, level: Level, text: &str) -> Result<(), Error> {
        if level == Level::Warning {
            eprintln!("{}warning: {text}", watch::tag());
        }
        Ok(())
    }
}
