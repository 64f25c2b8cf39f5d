//! One long deflate stream inflated from several of its places at once. Owns the choice of the
//! places, the proof that blocks begin there, and the copies. A place is guessed: it counts only
//! where the part before it ends at that very bit, and the whole must have its checksum.
//!
//! For streams of almost nothing but literals, as doubles of filtered EEG are: libdeflate waits
//! 7 to 8 cycles for each, four places at once take less than 5 (`benches/noise.rs` compares
//! them). Other streams are faster by libdeflate, and are left to it. Does not say what is wrong
//! with a damaged stream, and allocates nothing for what comes out.
#![deny(unsafe_code)]

mod blocks;
mod codes;
mod lanes;

use blocks::find;
use codes::Codes;
use lanes::{Copy, Lane, State, together};

/// Places at a time. With more, the processors that were measured gain nothing.
const PLACES: usize = 4;
/// A copy among so many bytes or fewer is too many, as the first rounds show.
const LITERALS: usize = 32;

/// How places are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Compressed bytes from one place to the next.
    pub apart: usize,
    /// Compressed bytes in which a block is looked for. Compressors make blocks of some 10,000
    /// symbols.
    pub searched: usize,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            apart: 2 << 20,
            searched: 128 << 10,
        }
    }
}

impl Plan {
    /// Whether a stream of so many bytes, which gives `room` bytes at most, is long enough and
    /// may be one of almost nothing but literals.
    pub fn suits(&self, packed: usize, room: usize) -> bool {
        packed / 2 / PLACES >= self.apart && room / 3 <= packed / 2
    }

    /// All of a deflate stream (RFC 1951), or of one in the frame of zlib (RFC 1950), into `out`:
    /// how many bytes came out. What follows the stream is not looked at. None where it is damaged,
    /// gives more, or is not of the kind that this is for; `out` then holds anything.
    pub fn inflate(&self, packed: &[u8], zlib: bool, out: &mut [u8]) -> Option<usize> {
        let body = match zlib {
            true => zlib_body(packed)?,
            false => packed,
        };
        // Places are counted in bits.
        packed.len().checked_mul(16)?;
        let mut sum = libdeflater::Adler32::new();
        let (bytes, end) = self.rounds(body, out, |part| {
            if zlib {
                sum.update(part);
            }
        })?;
        if zlib {
            let expected = body.get(end.div_ceil(8)..)?.first_chunk()?;
            if u32::from_be_bytes(*expected) != sum.sum() {
                return None;
            }
        }
        Some(bytes)
    }

    /// Bytes that came out and the bit behind the last block. `done` is told each part in turn.
    fn rounds(
        &self,
        input: &[u8],
        out: &mut [u8],
        mut done: impl FnMut(&[u8]),
    ) -> Option<(usize, usize)> {
        let mut hold = Hold {
            codes: vec![Codes::none(); PLACES].try_into().ok()?,
            apart: vec![vec![0; 2 * self.apart]; PLACES - 1],
            copies: Default::default(),
            most: self.apart,
        };
        let mut searched = Codes::none();
        let (mut bit, mut bytes, mut copies, mut parts) = (0, 0, 0, 0);
        for round in 1.. {
            let places = (1..PLACES).map_while(|k| {
                let from = bit + k * self.apart * 8;
                find(input, from, from + self.searched * 8, &mut searched)
            });
            let starts: Vec<usize> = std::iter::once(bit).chain(places).collect();
            let stop = match starts.len() {
                PLACES => starts[PLACES - 1] + self.apart * 8,
                // Without a next place the stream is about to end.
                _ => usize::MAX,
            };
            let ends = hold.decode(input, (&starts, stop), &mut out[bytes..]);
            for (k, (state, end, filled)) in ends.into_iter().enumerate() {
                // What looked like a block is none where the part before it does not end there, or
                // where it leads to no next one.
                if k > 0 && (starts[k] != bit || state == State::Failed) {
                    break;
                }
                let part = out.get_mut(bytes..bytes + filled)?;
                if k > 0 {
                    part.copy_from_slice(&hold.apart[k - 1][..filled]);
                }
                for copy in &hold.copies[k] {
                    make(out, bytes, copy)?;
                }
                done(&out[bytes..bytes + filled]);
                (bit, bytes) = (end, bytes + filled);
                (copies, parts) = (copies + hold.copies[k].len(), parts + 1);
                match state {
                    State::Stopped => {}
                    State::Done => return Some((bytes, bit)),
                    State::Running | State::Failed => return None,
                }
            }
            // Later on, more would be lost than won.
            if round <= 2 && (copies > bytes / LITERALS || parts < round * PLACES / 2) {
                return None;
            }
        }
        None
    }
}

/// What follows the head of a zlib stream without a dictionary.
fn zlib_body(packed: &[u8]) -> Option<&[u8]> {
    let (head, body) = packed.split_first_chunk()?;
    let checked = u16::from_be_bytes(*head).is_multiple_of(31);
    let [method, flags] = *head;
    (checked && method & 15 == 8 && method >> 4 < 8 && flags & 32 == 0).then_some(body)
}

/// What the parts of a round are decoded with, used again by the next.
struct Hold {
    codes: Box<[Codes; PLACES]>,
    /// What comes out of all parts but the first, which is decoded in its place.
    apart: Vec<Vec<u8>>,
    copies: [Vec<Copy>; PLACES],
    /// Copies that a part may have.
    most: usize,
}

impl Hold {
    /// The parts that begin at `starts`, each to where the next begins, the last to the first block
    /// at `stop` or behind: how they ended, at which bit, and how many bytes came out.
    fn decode(
        &mut self,
        input: &[u8],
        (starts, stop): (&[usize], usize),
        out: &mut [u8],
    ) -> Vec<(State, usize, usize)> {
        let rooms = std::iter::once(out).chain(self.apart.iter_mut().map(Vec::as_mut_slice));
        let stops = starts[1..].iter().copied().chain([stop]);
        let of_part = rooms.zip(&mut self.copies).zip(self.codes.iter_mut());
        let mut lanes: Vec<Lane<'_>> = (starts.iter().zip(stops).zip(of_part))
            .map(|((start, stop), ((room, copies), codes))| {
                Lane::begin(input, (*start, stop), room, (copies, self.most), codes)
            })
            .collect();
        if let Ok(lanes) = <&mut [Lane<'_>; PLACES]>::try_from(lanes.as_mut_slice()) {
            together(lanes, input, &mut self.codes);
        }
        (lanes.iter_mut().zip(self.codes.iter_mut()))
            .map(|(lane, codes)| {
                lane.finish(input, codes);
                (lane.state, lane.bit, lane.filled)
            })
            .collect()
    }
}

/// Makes a copy that was noted in the part that begins at `from`.
fn make(out: &mut [u8], from: usize, copy: &Copy) -> Option<()> {
    let to = from + copy.to as usize;
    let source = to.checked_sub(usize::from(copy.back))?;
    let bytes = usize::from(copy.bytes);
    if copy.back < copy.bytes {
        // It copies what it has just written.
        for k in 0..bytes {
            *out.get_mut(to + k)? = *out.get(source + k)?;
        }
    } else {
        out.copy_within(source..source + bytes, to);
    }
    Some(())
}
