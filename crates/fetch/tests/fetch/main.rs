//! Fetches against a server of ours on the loopback interface, which misbehaves as asked.

mod liars;
mod listings;
mod moves;
mod places;
mod server;
mod support;
