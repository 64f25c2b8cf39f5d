//! The lake: mmpipe's tables on disk, the SQL session over them, and the ingest that fills them.
//!
//! Owns the folder layout and the schemas in `schemas/`, the DataFusion session with its
//! functions, the ingest plan with its two operators, atomic commits, and the random-access
//! readers that training uses. Does not own file formats (`mmpipe-formats`), filters
//! (`mmpipe-signal`), what a trial is (`mmpipe-corpora`), or what a split is (`mmpipe-splits`).
#![deny(unsafe_code)]

mod audio_store;
mod commit;
mod embeddings;
mod epoch_store;
mod error;
mod functions;
pub mod ingest;
mod lake;
pub mod layout;
mod mapped;
mod page;
mod pieces;
pub mod schema;
mod session;
mod shard;
mod view;
mod waveforms;

pub use audio_store::AudioStore;
pub use commit::write_bytes as write_file;
pub use embeddings::{EmbeddingStore, Encoder, Missing, Segment, remove_orphans, write_embeddings};
pub use epoch_store::{EpochMeta, EpochStore, StreamRef};
pub use error::{Error, Result};
pub use ingest::{IngestReport, IngestRequest, Progress, ingest, sound_of};
pub use lake::{FORMAT_VERSION, Lake, remove_partition, write_table};
