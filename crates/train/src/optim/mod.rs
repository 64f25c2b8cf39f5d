//! AdamW with decay groups and rates by layer and part, clipping by global norm, the learning-rate
//! schedule, and the moving average of the weights.

mod adamw;
mod average;
mod depth;
mod parts;
mod schedule;

pub use adamw::AdamW;
pub(crate) use average::Average;
pub use parts::LrScale;
pub(crate) use schedule::Schedule;
