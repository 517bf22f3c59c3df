//! Names that a person gives to the groups on the gallery page: the file that the page saves, and what it says as classes.

mod file;
mod groups;

pub use file::Names;
pub use groups::{BACKGROUND, NamedGroups, same_name};
