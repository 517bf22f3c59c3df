//! Pages for people, each one file that needs no network, in one look ([`page`]): galleries of prototypes ([`gallery`]) and
//! the report of a run ([`run`]), and of many runs side by side ([`sweep`]). What every run has is the frame; what a task adds is its [`panel`]: [`pretraining`], [`semantic`].

pub mod curve;
mod error;
pub mod gallery;
pub mod instances;
pub mod page;
pub mod panel;
pub mod pretraining;
pub mod run;
pub mod semantic;
pub mod series;
pub mod sweep;

pub use error::Error;
