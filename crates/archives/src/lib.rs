//! Archives (zip, tar, tar.gz, gz) listed, and unpacked safely to a scratch folder. Owns the
//! limits, the safety rules and the stamp; knows nothing of what is inside, and does not unpack
//! archives within archives.
//!
//! [`unpack`] streams each wanted member to a temporary name, syncs it, and renames it: a name
//! that is there is whole. `.unpacked.json`, written last, tells a finished unpack and lets the
//! next call do nothing. No name leads out of the folder, no link is made from an archive's
//! text (a link to a member is unpacked as a file), and [`Limits`] bound bytes, members and
//! names. What is left out has a row in [`Report::refused`].

mod catalogue;
mod error;
mod gz;
mod links;
mod model;
mod names;
mod pipe;
mod place;
mod sniff;
mod stamp;
mod tar;
mod unpack;
mod unpack_zip;
mod zip;
mod zip_names;

pub use catalogue::{list, list_all};
pub use error::{Error, Result};
pub use model::{
    Collision, Failed, How, Kind, Limits, Listing, Member, Reason, Refused, Report, Unpacked,
};
pub use sniff::kind;
pub use unpack::unpack;
