//! AdamW with decay groups, clipping by global norm, and the learning-rate schedule.

mod adamw;
mod schedule;

pub(crate) use adamw::AdamW;
pub(crate) use schedule::Schedule;
