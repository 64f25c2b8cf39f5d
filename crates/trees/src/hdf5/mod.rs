//! HDF5 files of any maker and MATLAB v7.3 files, read without the HDF5 library.
//!
//! Owns the format down to the bytes: superblocks 0 to 3, both object headers, old and new
//! groups, the six chunk indexes, heaps, types, filters. Knows nothing of recordings.
//!
//! Why an own reader. The crate `hdf5-pure` 0.47 was tried on files of h5py 3.16 with one to
//! four bytes changed at random, under an allocator that gives at most 4 GiB at once: it asked
//! for 1,030,792,154,240 bytes in `Dataset::read_f64_rows` (`FillPattern::buffer`) for a changed
//! dataspace of a file of 160 kB, which ends the process. Its partial reads are rows of the
//! first dimension only, so 512 samples of a data set of channels by time cost the whole of it.
//!
//! A v7.3 file is one whose user block starts with "MATLAB": dimensions are reversed, and the
//! attributes `MATLAB_class`, `MATLAB_empty`, `MATLAB_sparse`, `MATLAB_fields` and
//! `MATLAB_object_decode` are followed. Elsewhere they are not.
//!
//! Not read, each with an error or as an opaque variable with a note: virtual data sets and
//! external files, szip, n-bit and scale-offset filters, region references, variable-length
//! sequences other than text, compounds within compounds, shared message heaps, filtered and
//! huge fractal heap objects, and MATLAB objects other than `string` and `table`.
//!
//! Source: HDF5 File Format Specification Version 3.0 (The HDF Group), and what HDF5 2.0 writes
//! where that is silent.

mod array;
mod attribute;
mod btree;
mod cache;
mod checksum;
mod chunks;
mod dataset;
mod datatype;
mod file;
mod filters;
mod group;
mod header;
mod heap;
mod layout;
mod matlab;
mod mcos;
mod number;
mod object;
mod reader;
mod values;

pub(crate) use file::find_signature;

use crate::error::Result;
use crate::source::Source;
use crate::tree::Tree;

/// Opens a file that [`find_signature`] found to be HDF5.
///
/// # Errors
/// [`crate::Error::UnknownFormat`], [`crate::Error::Damaged`], [`crate::Error::Unsupported`].
pub(crate) fn open(source: Source) -> Result<Box<dyn Tree>> {
    Ok(Box::new(reader::Hdf5::open(source)?))
}
