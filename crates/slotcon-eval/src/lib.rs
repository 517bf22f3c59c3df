//! What a network learned: segments, how well they match labels that it has never seen, and features for other programs.
//!
//! [`mod@pictures`] brings a folder to the network, [`segment`] gives every pixel a group, [`clusters`] measures groups against
//! labels beside what needs no training, [`retrieval`] and [`mod@knn`] measure features by nearest neighbours, [`mod@survey`] finds the
//! pictures that show a prototype best, [`embed`] writes what the network makes of a folder to a file, [`names`] are those that a person
//! gave to the groups, [`mod@groups`] finds others in the backbone's features after training, in which [`whitening`] lets count less what changes with colour.

pub mod clusters;
pub mod embed;
mod error;
pub mod groups;
pub mod knn;
pub mod names;
pub mod neighbours;
pub mod pictures;
pub mod retrieval;
pub mod segment;
pub mod survey;
pub mod whitening;

pub use clusters::{Clusterer, Measured, Spread, SubsetScore, TestSet};
pub use error::Error;
pub use groups::FoundGroups;
pub use names::{NamedGroups, Names};
pub use pictures::{InputConfig, Pictures, ProgressSink};
pub use segment::Segmenter;
