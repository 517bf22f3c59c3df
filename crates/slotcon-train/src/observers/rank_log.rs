//! What ranks other than the first say: their warnings, on standard error. Rank 0 writes everything else.

#![allow(clippy::print_stderr, reason = "showing is its purpose; the program adds it")]

use super::{Level, Observer};
use crate::error::Error;
use crate::process_group::heartbeat::rank_tag;

/// Shows warnings with the rank they come from.
#[derive(Debug)]
pub struct RankLog;

impl Observer for RankLog {
    fn said(&mut self, level: Level, text: &str) -> Result<(), Error> {
        if level == Level::Warning {
            eprintln!("{}warning: {text}", rank_tag());
        }
        Ok(())
    }
}
