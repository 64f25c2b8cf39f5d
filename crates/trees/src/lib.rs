//! Containers of named arrays: a file becomes a [`Tree`] of variables, structs, cells and
//! numbers, read on demand. Owns the model and the expressions that point into it. Knows
//! nothing of recordings, channels, data sets or units.

mod csv;
mod error;
mod hdf5;
mod inflate;
mod matlab5;
mod numbers;
mod numpy;
mod open;
mod room;
mod select;
mod source;
mod tree;
pub mod write;

pub use error::{Error, Result};
pub use open::open;
pub use select::{Place, places, select};
pub use tree::{Class, Container, Note, Tree, Var};
