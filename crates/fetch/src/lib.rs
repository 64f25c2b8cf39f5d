//! Data sets brought from their publishers: what a source offers, what of it is wanted, the bytes
//! moved, each file checked. Owns the table of sources and of checksums; knows nothing of what is
//! in the files, and unpacks no archive.
//!
//! [`find`] a data set, make a [`plan`] of its files, and [`fetch`] them. A name below the folder
//! is a whole, checked file: parts lie in `.mmpipe-fetch/parts`, are synced, checked and renamed.
//! `.mmpipe-fetch/receipts.jsonl` lets the next run skip what was checked.
//!
//! Only HTTP and HTTPS are spoken, anonymously. Object stores are asked by plain GET.

mod dataset;
mod digest;
mod error;
mod folder;
mod http;
mod listing;
mod md5;
mod path;
mod plan;
mod probe;
mod report;
mod retry;
mod run;
mod sniff;
mod space;
mod table;
mod transfer;

pub use dataset::{Access, Dataset, Source, datasets, find};
pub use digest::{AnnexKey, Digest};
pub use error::{Error, Result};
pub use http::{Client, Settings};
pub use path::RelPath;
pub use plan::{Filter, Here, Plan, Wanted, plan};
pub use report::{Check, FileReport, Report, Status};
pub use retry::Patience;
pub use run::{Options, Progress, fetch};
