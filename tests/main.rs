//! End-to-end tests through the binary, in one program so that it links once.

mod archives;
mod arrays;
mod bad_input;
mod cli;
mod support;
mod walk;
