//! Where blocks of a deflate stream begin and what they say of themselves (RFC 1951, section
//! 3.2.3). Owns the bits of a stream, the head of a block and the search for one in the middle
//! of a stream. Does not decode what a block holds.

use crate::codes::{Codes, Lengths};

/// At least 57 bits of `input` from `bit` on, the first the lowest; zeros behind the end.
#[inline(always)]
pub(crate) fn word(input: &[u8], bit: usize) -> u64 {
    let rest = input.get(bit / 8..).unwrap_or_default();
    let whole = match rest.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, b| word << 8 | u64::from(*b)),
    };
    whole >> (bit % 8)
}

/// What a block holds.
pub(crate) enum Body {
    /// Bytes as they are, from this one on, so many.
    Stored { from: usize, bytes: usize },
    /// Symbols of the codes that were set.
    Coded,
}

/// The head of a block.
pub(crate) struct Head {
    pub(crate) last: bool,
    pub(crate) body: Body,
    /// Where what it holds begins; behind it, where it is stored.
    pub(crate) bit: usize,
}

/// Reads the head of the block at `bit` and sets `codes` to its codes. None where there is none.
pub(crate) fn head(input: &[u8], bit: usize, codes: &mut Codes) -> Option<Head> {
    let kind = word(input, bit);
    let last = kind & 1 == 1;
    match (kind >> 1) & 3 {
        0 => {
            let at = (bit + 3).div_ceil(8);
            let size: &[u8; 4] = input.get(at..)?.first_chunk()?;
            let bytes = u16::from_le_bytes([size[0], size[1]]);
            if bytes != !u16::from_le_bytes([size[2], size[3]]) {
                return None;
            }
            let (from, bytes) = (at + 4, usize::from(bytes));
            Some(Head {
                last,
                body: Body::Stored { from, bytes },
                bit: (from + bytes) * 8,
            })
        }
        1 => {
            let mut lengths = [8; 288];
            lengths[144..256].fill(9);
            lengths[256..280].fill(7);
            codes.set(&lengths, &[5; 32]).then_some(Head {
                last,
                body: Body::Coded,
                bit: bit + 3,
            })
        }
        2 => Some(Head {
            last,
            body: Body::Coded,
            bit: own_codes(input, bit + 3, codes)?,
        }),
        _ => None,
    }
}

/// The order in which lengths of the lengths' code are written.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Reads the codes of a block that brings its own; gives the bit behind them.
fn own_codes(input: &[u8], bit: usize, codes: &mut Codes) -> Option<usize> {
    let counts = word(input, bit);
    let literals = (counts & 31) as usize + 257;
    let distances = ((counts >> 5) & 31) as usize + 1;
    let written = ((counts >> 10) & 15) as usize + 4;
    if literals > 286 || distances > 30 {
        return None;
    }
    let mut bit = bit + 14;
    let mut of = [0; 19];
    let each = word(input, bit);
    for (k, &symbol) in ORDER.iter().take(written).enumerate() {
        of[symbol] = ((each >> (3 * k)) & 7) as u8;
    }
    bit += 3 * written;
    let code = Lengths::of(&of)?;
    // A run may go past what was announced, and is then no run of this block.
    let mut lengths = [0; 286 + 30 + 138];
    let total = literals + distances;
    let mut n = 0;
    while n < total {
        let word = word(input, bit);
        let (symbol, bits) = code.look(word);
        let (length, times, extra) = match symbol {
            ..16 => {
                lengths[n] = symbol as u8;
                n += 1;
                bit += bits as usize;
                continue;
            }
            16 => (*lengths.get(n.checked_sub(1)?)?, 3, 2),
            17 => (0, 3, 3),
            _ => (0, 11, 7),
        };
        let times = times + ((word >> bits) & ((1 << extra) - 1)) as usize;
        lengths[n..n + times].fill(length);
        n += times;
        bit += (bits + extra) as usize;
    }
    let ends = lengths[256] > 0;
    let (of_literals, rest) = lengths.split_at(literals);
    let set = n == total && ends && codes.set(of_literals, &rest[..distances]);
    (set && bit <= input.len() * 8).then_some(bit)
}

/// The first bit of `from..to` at which a block can begin that brings its own codes and is not
/// the last. Other bits may look so by chance.
pub(crate) fn find(input: &[u8], from: usize, to: usize, codes: &mut Codes) -> Option<usize> {
    (from..to.min(input.len() * 8)).find(|&bit| {
        let head = word(input, bit);
        let counts = head & 7 == 4 && (head >> 3) & 31 < 30 && (head >> 8) & 31 < 30;
        counts && whole(input, bit, head) && own_codes(input, bit + 3, codes).is_some()
    })
}

/// Whether the code of the code lengths leaves no bits without a symbol, which few bits do that
/// are none.
fn whole(input: &[u8], bit: usize, head: u64) -> bool {
    let written = ((head >> 13) & 15) + 4;
    let each = word(input, bit + 17);
    let share = |k: u64| (128 >> ((each >> (3 * k)) & 7)) & 127;
    (0..written).map(share).sum::<u32>() == 128
}
