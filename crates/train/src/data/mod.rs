//! From a [`crate::Source`] to batches: channel choice, features, labels, order, prefetch.

mod cache;
mod channels;
mod features;
mod labels;
mod loader;
mod order;

pub(crate) use cache::Cache;
pub(crate) use channels::{ChannelPlan, common_channels};
pub(crate) use features::{Ear, FeatureKind, Features};
pub(crate) use labels::{Block, Labels, block, trial_key};
pub(crate) use loader::{Load, LoadedBatch, Loader, Plan};
pub(crate) use order::{ASKING, Rotation, batches, permute, place_of, show_order, shuffled};
