//! Containers of named arrays: a file becomes a [`Tree`] of variables, structs, cells and
//! numbers, read on demand. Owns the model and the expressions that point into it. Knows
//! nothing of recordings, channels, data sets or units.

mod error;
mod select;
mod source;
mod tree;

pub use error::{Error, Result};
pub use select::select;
pub use tree::{Class, Container, Note, Tree, Var};
