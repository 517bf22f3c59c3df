//! Pages for people, each one file that needs no network: the report of a run ([`run`]) and galleries of prototypes
//! ([`gallery`]), in one frame and look ([`page`]), with curves drawn as SVG ([`curve`]).

pub mod curve;
mod error;
pub mod gallery;
pub mod page;
pub mod run;
pub mod series;

pub use error::Error;
