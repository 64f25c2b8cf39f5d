//! End-to-end tests through the binary, in one program so that it links once.

mod bad_input;
mod cli;
mod support;
mod walk;
