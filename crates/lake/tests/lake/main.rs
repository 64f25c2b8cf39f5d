//! The lake through its public doors. One binary, because linking the query engine dominates.

mod ahead;
mod alignment;
mod arrays;
mod common;
mod embeddings;
mod gaps;
mod holes;
mod ingest;
mod manifests;
mod plan_bytes;
mod session;
mod sounds;
