//! Several places of one deflate stream decoded side by side. A code is known only when the one
//! before it has been looked up, so one place leaves most of a processor idle; some places that
//! do not wait for each other fill it. Owns the decoding of symbols from a place up to a block's
//! end. Copies are noted, not made: what they copy may lie before the place. Does not know how
//! places are found, nor whether a block truly began there.

use crate::blocks::{Body, head, word};
use crate::codes::Codes;

/// A copy that was met: `bytes` bytes to `to`, from `back` bytes before it.
#[derive(Clone, Copy)]
pub(crate) struct Copy {
    pub(crate) to: u32,
    pub(crate) back: u16,
    pub(crate) bytes: u16,
}

/// How far a lane is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum State {
    /// In a block.
    Running,
    /// Before a block that begins at its `stop` or behind.
    Stopped,
    /// Behind the last block.
    Done,
    /// At something that is no deflate stream, or without room for what comes out or for copies.
    Failed,
}

/// One place.
pub(crate) struct Lane<'a> {
    pub(crate) state: State,
    /// The bit that comes next.
    pub(crate) bit: usize,
    /// What came out but for copies, whose bytes hold anything; so many.
    pub(crate) out: &'a mut [u8],
    pub(crate) filled: usize,
    pub(crate) copies: &'a mut Vec<Copy>,
    most: usize,
    stop: usize,
    last: bool,
}

impl<'a> Lane<'a> {
    /// At the block that begins at `bit`, as far as the first one at `stop` or behind, with `most`
    /// copies at most.
    pub(crate) fn begin(
        input: &[u8],
        (bit, stop): (usize, usize),
        out: &'a mut [u8],
        (copies, most): (&'a mut Vec<Copy>, usize),
        codes: &mut Codes,
    ) -> Lane<'a> {
        copies.clear();
        let mut lane = Lane {
            state: State::Running,
            bit,
            out,
            filled: 0,
            copies,
            most,
            stop,
            last: false,
        };
        lane.state = lane.block(input, codes).unwrap_or(State::Failed);
        lane
    }

    /// Before a block.
    fn block(&mut self, input: &[u8], codes: &mut Codes) -> Option<State> {
        loop {
            if self.last {
                return Some(State::Done);
            }
            if self.bit >= self.stop {
                return Some(State::Stopped);
            }
            let head = head(input, self.bit, codes)?;
            self.last = head.last;
            self.bit = head.bit;
            match head.body {
                Body::Coded => return Some(State::Running),
                Body::Stored { from, bytes } => {
                    let to = self.out.get_mut(self.filled..self.filled + bytes)?;
                    to.copy_from_slice(input.get(from..from + bytes)?);
                    self.filled += bytes;
                }
            }
        }
    }

    /// One symbol, whatever it is.
    #[inline(never)]
    fn step(&mut self, input: &[u8], codes: &mut Codes) {
        self.state = self.symbol(input, codes).unwrap_or(State::Failed);
    }

    #[inline(always)]
    fn symbol(&mut self, input: &[u8], codes: &mut Codes) -> Option<State> {
        // The longest code of a length has 20 bits with its extra bits, that of a distance 28.
        let mut ahead = word(input, self.bit);
        let (found, before) = codes.literal(ahead);
        let used = before + found.bits();
        self.bit += used as usize;
        if self.bit > input.len() * 8 || found.is_none() {
            return None;
        }
        if found.is_literal() {
            *self.out.get_mut(self.filled)? = found.literal();
            self.filled += 1;
            return Some(State::Running);
        }
        if found.is_end() {
            return self.block(input, codes);
        }
        let bytes = found.number(ahead >> before);
        ahead >>= used;
        let (found, before) = codes.distance(ahead);
        if found.is_none() {
            return None;
        }
        let back = found.number(ahead >> before);
        self.bit += (before + found.bits()) as usize;
        let room = self.out.len() - self.filled;
        if self.bit > input.len() * 8 || bytes > room || self.copies.len() == self.most {
            return None;
        }
        self.copies.push(Copy {
            to: u32::try_from(self.filled).ok()?,
            back: back as u16,
            bytes: bytes as u16,
        });
        self.filled += bytes;
        Some(State::Running)
    }

    /// Alone to where it stops.
    pub(crate) fn finish(&mut self, input: &[u8], codes: &mut Codes) {
        while self.state == State::Running {
            together(
                std::array::from_mut(self),
                input,
                std::array::from_mut(codes),
            );
            if self.state == State::Running {
                self.step(input, codes);
            }
        }
    }
}

/// Symbols that are looked up between two looks at the input: 5 of at most 11 bits are known from
/// the 56 that are then there.
const GROUP: usize = 5;

/// Decodes all lanes until one of them no longer runs, or has less input or room than 8 bytes.
pub(crate) fn together<const N: usize>(
    lanes: &mut [Lane<'_>; N],
    input: &[u8],
    codes: &mut [Codes; N],
) {
    if lanes.iter().any(|lane| lane.state != State::Running) {
        return;
    }
    let mut bit = lanes.each_ref().map(|lane| lane.bit);
    loop {
        // The highest bit of a word marks where its bits end, so that the zeros above it tell how
        // many have been used.
        let mut words = [0u64; N];
        for k in 0..N {
            let rest = input.get(bit[k] / 8..).unwrap_or_default();
            let Some(bytes) = rest.first_chunk() else {
                return keep(lanes, bit);
            };
            words[k] = (u64::from_le_bytes(*bytes) >> (bit[k] % 8)) | 1 << 63;
        }
        let mut short = false;
        let mut to = lanes.each_mut().map(|lane| {
            let room = lane.out.get_mut(lane.filled..).unwrap_or_default();
            let chunk: Option<&mut [u8; 8]> = room.first_chunk_mut();
            short |= chunk.is_none();
            chunk
        });
        if short {
            return keep(lanes, bit);
        }
        let mut group = 0;
        let mut others = None;
        while group < GROUP {
            let found: [_; N] = std::array::from_fn(|k| codes[k].short_literal(words[k]));
            if !found
                .iter()
                .fold(found[0], |all, one| all.both(*one))
                .is_literal()
            {
                others = Some(found);
                break;
            }
            for k in 0..N {
                words[k] >>= found[k].bits();
                if let Some(to) = &mut to[k] {
                    to[group] = found[k].literal();
                }
            }
            group += 1;
        }
        for k in 0..N {
            bit[k] += words[k].leading_zeros() as usize;
            lanes[k].filled += group;
        }
        let Some(found) = others else { continue };
        let mut all_run = true;
        for k in 0..N {
            if !found[k].is_literal() {
                lanes[k].bit = bit[k];
                lanes[k].step(input, &mut codes[k]);
                bit[k] = lanes[k].bit;
                all_run &= lanes[k].state == State::Running;
            }
        }
        if !all_run {
            return keep(lanes, bit);
        }
    }
}

fn keep<const N: usize>(lanes: &mut [Lane<'_>; N], bit: [usize; N]) {
    for (lane, bit) in lanes.iter_mut().zip(bit) {
        lane.bit = bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::find;
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    /// From `bit` to the first block at `stop` or behind: the state, the bit, and the bytes that
    /// come out, whose copies begin in what `before` holds.
    fn alone(input: &[u8], bit: usize, stop: usize, before: &[u8]) -> (State, usize, Vec<u8>) {
        let (mut room, mut copies) = (vec![0; 1 << 20], Vec::new());
        let mut codes = Codes::none();
        let most = (&mut copies, usize::MAX);
        let mut lane = Lane::begin(input, (bit, stop), &mut room, most, &mut codes);
        lane.finish(input, &mut codes);
        let (state, bit, filled) = (lane.state, lane.bit, lane.filled);
        let mut all = [before, &room[..filled]].concat();
        for copy in copies {
            for k in 0..usize::from(copy.bytes) {
                let to = before.len() + copy.to as usize + k;
                match to.checked_sub(usize::from(copy.back)) {
                    Some(from) => all[to] = all[from],
                    None => return (State::Failed, bit, Vec::new()),
                }
            }
        }
        (state, bit, all.split_off(before.len()))
    }

    fn packed(plain: &[u8], level: u32, block: usize) -> Vec<u8> {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::new(level));
        for part in plain.chunks(block) {
            packer.write_all(part).unwrap();
            packer.flush().unwrap();
        }
        packer.finish().unwrap()
    }

    fn text(bytes: usize) -> Vec<u8> {
        let words = (0_u64..).flat_map(|i| i.wrapping_mul(i % 97 + 40).to_string().into_bytes());
        words.take(bytes).collect()
    }

    #[test]
    fn every_block_can_be_begun_at_and_is_found() {
        let plain = text(120_000);
        let input = packed(&plain, 6, 9_000);
        let (mut bit, mut out, mut starts) = (0, Vec::new(), Vec::new());
        loop {
            starts.push(bit);
            let (state, next, part) = alone(&input, bit, bit + 1, &out);
            out.extend(part);
            bit = next;
            match state {
                State::Stopped => {}
                state => break assert_eq!(state, State::Done),
            }
        }
        assert!(out == plain && starts.len() > 20, "{}", starts.len());
        assert_eq!(bit.div_ceil(8), input.len());
        // From each to the end, after what comes before it.
        let own: Vec<usize> = (starts.iter().copied())
            .filter(|bit| crate::blocks::word(&input, *bit) & 7 == 4)
            .collect();
        assert!(own.len() > 10);
        let mut codes = Codes::none();
        for pair in own.windows(2) {
            for from in [pair[0] + 1, (pair[0] + pair[1]) / 2, pair[1]] {
                let found = find(&input, from, from + 100_000, &mut codes);
                assert_eq!(found, Some(pair[1]));
            }
            assert_eq!(find(&input, pair[0] + 1, pair[1], &mut codes), None);
        }
    }

    #[test]
    fn no_copy_or_byte_beyond_the_room_is_taken() {
        let plain = text(30_000);
        let input = packed(&plain, 6, 30_000);
        let mut codes = Codes::none();
        for (room, most) in [
            (29_999, usize::MAX),
            (5, usize::MAX),
            (0, usize::MAX),
            (30_000, 40),
        ] {
            let (mut room, mut copies) = (vec![0; room], Vec::new());
            let most = (&mut copies, most);
            let mut lane = Lane::begin(&input, (0, usize::MAX), &mut room, most, &mut codes);
            lane.finish(&input, &mut codes);
            assert_eq!(lane.state, State::Failed);
            assert!(lane.filled <= lane.out.len() && copies.len() <= 30_000);
        }
    }

    fn peer(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; 1 << 20];
        let n = libdeflater::Decompressor::new().deflate_decompress(input, &mut out);
        out.truncate(n.ok()?);
        Some(out)
    }

    proptest! {
        #[test]
        fn bytes_are_no_stream_or_the_one_that_libdeflate_sees(
            input in prop::collection::vec(any::<u8>(), 0..400), fixed: bool,
        ) {
            let mut input = input;
            if let (true, Some(first)) = (fixed, input.first_mut()) {
                *first = *first & !7 | 3;
            }
            if let (State::Done, _, out) = alone(&input, 0, usize::MAX, &[]) {
                prop_assert_eq!(peer(&input), Some(out));
            }
        }

        #[test]
        fn a_stream_with_another_bit_is_what_libdeflate_sees(
            bytes in 1..3_000_usize, level in 0..10_u32, at: usize, bit in 0..8_u32,
        ) {
            let mut input = packed(&text(bytes), level, 1_000);
            let whole = alone(&input, 0, usize::MAX, &[]);
            prop_assert_eq!((whole.0, whole.2), (State::Done, text(bytes)));
            let at = at % input.len();
            input[at] ^= 1 << bit;
            let (state, _, out) = alone(&input, 0, usize::MAX, &[]);
            let found = (state == State::Done).then_some(out);
            // Codes with gaps that libdeflate takes, no compressor writes.
            if found.is_some() {
                prop_assert_eq!(found, peer(&input));
            }
        }
    }
}
