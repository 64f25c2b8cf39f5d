//! The tests of this crate through its public doors, as one program.

mod common;
mod everything;
mod malformed;
mod peers;
mod properties;
mod tables;
mod written;
