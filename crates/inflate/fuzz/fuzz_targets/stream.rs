//! Any bytes as a deflate stream, and as what is deflated in blocks of some bytes, with places as
//! near as the first byte says: nothing, or what libdeflate gives, and what went in.
//!
//!     cargo fuzz run stream
#![no_main]

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};
use libfuzzer_sys::fuzz_target;
use mmpipe_inflate::Plan;

fuzz_target!(|data: &[u8]| {
    let [near, zlib, block, stream @ ..] = data else {
        return;
    };
    let plan = Plan {
        apart: 1 + usize::from(*near),
        searched: 4096,
    };
    let mut out = vec![0; 8 * stream.len() + 64];
    let zlib = zlib & 1 == 1;
    if let Some(n) = plan.inflate(stream, zlib, &mut out) {
        let mut peer = vec![0; out.len()];
        let mut state = libdeflater::Decompressor::new();
        let given = match zlib {
            true => state.zlib_decompress(stream, &mut peer),
            false => state.deflate_decompress(stream, &mut peer),
        };
        assert!(given == Ok(n) && out[..n] == peer[..n]);
    }
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
    for part in stream.chunks(1 + usize::from(*block) * 4) {
        packer.write_all(part).expect("in memory");
        packer.flush().expect("in memory");
    }
    let packed = packer.finish().expect("in memory");
    if let Some(n) = plan.inflate(&packed, false, &mut out) {
        assert!(out[..n] == *stream);
    }
});
