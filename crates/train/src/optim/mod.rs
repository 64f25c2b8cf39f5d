//! AdamW with decay groups and layer-wise rates, clipping by global norm, the learning-rate
//! schedule, and the moving average of the weights.

mod adamw;
mod average;
mod depth;
mod schedule;

pub use adamw::AdamW;
pub(crate) use average::Average;
pub(crate) use schedule::Schedule;
