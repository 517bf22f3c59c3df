//! For tests only: [`cases`] finds the golden cases of the repository's `fixtures/` and of every folder that
//! `SLOTCON_FIXTURES` names, [`rule`] makes the weights and inputs that the cases do not store.

pub mod cases;
pub mod rule;

pub use cases::{Case, Kind, trials};
pub use rule::{sym, unit, values};
