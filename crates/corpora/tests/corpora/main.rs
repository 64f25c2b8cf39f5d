//! Tests of the crate through its public doors.

mod archives;
mod bids;
mod channels;
mod chb_mit;
mod clocks;
mod common;
mod labels;
mod manifests;
mod mapping;
mod matrices;
mod paired;
mod plain;
mod real;
mod side_cars;
mod trees;
mod tuh;
