//! What each prototype stands for, drawn: the pictures that show it best, with its mask, as a page or as one picture.
//!
//! [`slotcon_eval::survey`] says which pictures these are. They are looked at again here and drawn one at a time.

mod html;
mod run_length;
mod sheet;
mod spotlight;

pub use html::write_html;
pub use sheet::write_png;
pub use spotlight::spotlight;
