//! Prefix codes as tables that are looked up (RFC 1951, section 3.2). Owns the two alphabets, the
//! tables and how they are made of code lengths. Does not read bits.

/// Bits that are looked up at once, and room for the tables of all codes that are longer: 2 342
/// and 402 entries at most for 288 and 32 symbols of at most 15 bits.
pub(crate) const LITERAL_BITS: u32 = 11;
pub(crate) const DISTANCE_BITS: u32 = 8;
const LITERAL_ROOM: usize = 2400;
const DISTANCE_ROOM: usize = 416;

/// What is looked up: bits 0 to 7 are the length of the code with its extra bits, bits 8 to 11
/// the number of extra bits, bits 16 to 30 the literal, the least length or the least distance.
/// The kind is in the others.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Entry(u32);

impl Entry {
    const LITERAL: u32 = 1 << 31;
    const LONGER: u32 = 1 << 12;
    const END: u32 = 1 << 13;
    /// No code begins like this, or its symbol has no meaning.
    const NONE: Entry = Entry(1 << 14);

    const fn value(value: u32, extra: u32) -> Entry {
        Entry(value << 16 | extra << 8 | extra)
    }

    fn longer(start: usize, bits: u32, skip: u32) -> Entry {
        Entry((start as u32) << 16 | Entry::LONGER | bits << 8 | skip)
    }

    #[inline(always)]
    pub(crate) fn is_literal(self) -> bool {
        self.0 & Entry::LITERAL != 0
    }

    /// A literal where both are.
    #[inline(always)]
    pub(crate) fn both(self, other: Entry) -> Entry {
        Entry(self.0 & other.0)
    }

    #[inline(always)]
    pub(crate) fn is_end(self) -> bool {
        self.0 & Entry::END != 0
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 & Entry::NONE.0 != 0
    }

    #[inline(always)]
    fn is_longer(self) -> bool {
        self.0 & Entry::LONGER != 0
    }

    /// The bits of the code and what follows it.
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    pub(crate) fn literal(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// A length or distance: the least and what the extra bits of `word`, which begins with the
    /// code, add to it.
    #[inline(always)]
    pub(crate) fn number(self, word: u64) -> usize {
        let extra = (self.0 >> 8) & 15;
        let code = self.bits() - extra;
        (self.0 >> 16) as usize + ((word >> code) & ((1 << extra) - 1)) as usize
    }
}

const fn literals() -> [Entry; 288] {
    let mut out = [Entry::NONE; 288];
    let mut k = 0;
    while k < 256 {
        out[k] = Entry(Entry::LITERAL | (k as u32) << 16);
        k += 1;
    }
    out[256] = Entry(Entry::END);
    let (mut least, mut symbol) = (3, 257);
    while symbol < 285 {
        let extra = match symbol {
            ..265 => 0,
            _ => (symbol as u32 - 261) / 4,
        };
        out[symbol] = Entry::value(least, extra);
        least += 1 << extra;
        symbol += 1;
    }
    out[285] = Entry::value(258, 0);
    out
}

const fn distances() -> [Entry; 32] {
    let mut out = [Entry::NONE; 32];
    let (mut least, mut symbol) = (1, 0);
    while symbol < 30 {
        let extra = match symbol {
            ..4 => 0,
            _ => (symbol as u32 - 2) / 2,
        };
        out[symbol] = Entry::value(least, extra);
        least += 1 << extra;
        symbol += 1;
    }
    out
}

const fn plain() -> [Entry; 19] {
    let mut out = [Entry::NONE; 19];
    let mut k = 0;
    while k < 19 {
        out[k] = Entry::value(k as u32, 0);
        k += 1;
    }
    out
}

static LITERALS: [Entry; 288] = literals();
static DISTANCES: [Entry; 32] = distances();
static PLAIN: [Entry; 19] = plain();

/// The two codes of a block.
#[derive(Clone)]
pub(crate) struct Codes {
    literals: [Entry; LITERAL_ROOM],
    distances: [Entry; DISTANCE_ROOM],
}

impl Codes {
    /// Codes of no symbols.
    pub(crate) fn none() -> Codes {
        Codes {
            literals: [Entry::NONE; LITERAL_ROOM],
            distances: [Entry::NONE; DISTANCE_ROOM],
        }
    }

    /// The codes of these lengths. False where they are no codes, or leave bits without a symbol
    /// that no compressor leaves.
    pub(crate) fn set(&mut self, literals: &[u8], distances: &[u8]) -> bool {
        let whole = fill(&mut self.literals, LITERAL_BITS, literals, &LITERALS);
        let some = fill(&mut self.distances, DISTANCE_BITS, distances, &DISTANCES);
        whole == Some(Fill::Whole) && some.is_some()
    }

    /// The entry of a literal or length whose code has at most 11 bits, one that
    /// [`Codes::literal`] looks further for, or of none.
    #[inline(always)]
    pub(crate) fn short_literal(&self, word: u64) -> Entry {
        self.literals[(word & ((1 << LITERAL_BITS) - 1)) as usize]
    }

    /// The entry of the literal or length that `word` begins with, and how many bits come before
    /// those that the entry counts.
    #[inline(always)]
    pub(crate) fn literal(&self, word: u64) -> (Entry, u32) {
        look(&self.literals, LITERAL_BITS, word)
    }

    /// So for the distance.
    #[inline(always)]
    pub(crate) fn distance(&self, word: u64) -> (Entry, u32) {
        look(&self.distances, DISTANCE_BITS, word)
    }
}

#[inline(always)]
fn look(table: &[Entry], main: u32, word: u64) -> (Entry, u32) {
    let first = table[(word & ((1 << main) - 1)) as usize];
    if !first.is_longer() {
        return (first, 0);
    }
    let bits = (first.0 >> 8) & 15;
    let start = (first.0 >> 16) as usize;
    let rest = (word >> main) & ((1 << bits) - 1);
    (table[start + rest as usize], main)
}

/// The code in which a block's code lengths are written, of at most 7 bits.
pub(crate) struct Lengths([Entry; 128]);

impl Lengths {
    pub(crate) fn of(lengths: &[u8; 19]) -> Option<Lengths> {
        let mut table = [Entry::NONE; 128];
        let whole = fill(&mut table, 7, lengths, &PLAIN) == Some(Fill::Whole);
        whole.then_some(Lengths(table))
    }

    /// The symbol that `word` begins with, and the length of its code.
    pub(crate) fn look(&self, word: u64) -> (u32, u32) {
        let entry = self.0[(word & 127) as usize];
        (entry.0 >> 16, entry.bits())
    }
}

#[derive(PartialEq)]
enum Fill {
    /// All bits lead to a symbol.
    Whole,
    /// There is one symbol of one bit, or none.
    Lone,
}

/// The codeword after `code` of the same length, its bits in the order in which they are read.
/// None after the last.
fn next(code: usize, bits: u32) -> Option<usize> {
    let free = !code & ((1 << bits) - 1);
    let bit = 1usize << free.checked_ilog2()?;
    Some((code & (bit - 1)) | bit)
}

/// Sets a table to the code whose symbols have these lengths; 0 is a symbol that does not occur.
/// None where it is no code, or leaves bits without a symbol in another way than
/// [`Fill::Lone`].
fn fill(table: &mut [Entry], main: u32, lengths: &[u8], symbols: &[Entry]) -> Option<Fill> {
    let mut count = [0usize; 16];
    for &length in lengths {
        count[usize::from(length & 15)] += 1;
    }
    count[0] = 0;
    let mut free = 1i32;
    for n in &count[1..] {
        free = free * 2 - *n as i32;
        if free < 0 {
            return None;
        }
    }
    // Symbols by length, and of one length in their order.
    let mut first = [0usize; 17];
    for length in 1..16 {
        first[length + 1] = first[length] + count[length];
    }
    let total = first[16];
    let mut sorted = [0u16; 288];
    for (symbol, &length) in lengths.iter().enumerate() {
        if length > 0 {
            let at = &mut first[usize::from(length & 15)];
            sorted[*at] = symbol as u16;
            *at += 1;
        }
    }
    let entry = |at: usize, bits: u32| Entry(symbols[usize::from(sorted[at])].0 + bits);
    if free > 0 {
        if total > count[1] {
            return None;
        }
        table[..1 << main].fill(Entry::NONE);
        if total == 1 {
            let lone = entry(0, 1);
            table[..1 << main]
                .iter_mut()
                .step_by(2)
                .for_each(|e| *e = lone);
        }
        return Some(Fill::Lone);
    }
    // A code of `bits` bits stands once among that many bits; with one bit more, twice.
    let (mut at, mut code, mut filled) = (0, 0, 1);
    for bits in 1..=main {
        table.copy_within(..filled, filled);
        filled *= 2;
        for _ in 0..count[bits as usize] {
            table[code] = entry(at, bits);
            at += 1;
            let Some(after) = next(code, bits) else {
                while filled < 1 << main {
                    table.copy_within(..filled, filled);
                    filled *= 2;
                }
                return Some(Fill::Whole);
            };
            code = after;
        }
    }
    let mut start = 1usize << main;
    let mut bits = main + 1;
    loop {
        while count[bits as usize] == 0 {
            bits += 1;
        }
        // As many bits as the codes that begin like this one have.
        let begin = code & ((1 << main) - 1);
        let mut deep = bits;
        let mut free = 1i32 << (deep - main);
        while free > count[deep as usize] as i32 {
            free = (free - count[deep as usize] as i32) * 2;
            deep += 1;
        }
        let size = 1usize << (deep - main);
        table[begin] = Entry::longer(start, deep - main, main);
        let part = table.get_mut(start..start + size)?;
        start += size;
        while code & ((1 << main) - 1) == begin {
            let symbol = entry(at, bits - main);
            let each = 1usize << (bits - main);
            part[code >> main..]
                .iter_mut()
                .step_by(each)
                .for_each(|e| *e = symbol);
            at += 1;
            count[bits as usize] -= 1;
            let Some(after) = next(code, bits) else {
                return Some(Fill::Whole);
            };
            code = after;
            while count[bits as usize] == 0 {
                bits += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each symbol's code as RFC 1951 gives it, first bit lowest.
    fn canonical(lengths: &[u8]) -> Vec<(usize, u64, u32)> {
        let mut code = 0_u64;
        let mut out = Vec::new();
        for length in 1..16 {
            code <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                let bits = u32::from(length);
                out.push((symbol, code.reverse_bits() >> (64 - bits), bits));
                code += 1;
            }
        }
        out
    }

    /// Lengths of a code without gaps: a leaf is split as often as there are picks.
    fn split(symbols: usize, picks: &[usize]) -> Vec<u8> {
        let mut leaves = vec![1_u8, 1];
        for pick in picks {
            let at = pick % leaves.len();
            if leaves[at] < 15 && leaves.len() < symbols {
                leaves[at] += 1;
                leaves.push(leaves[at]);
            }
        }
        leaves.resize(symbols, 0);
        // Symbols that do not occur stand anywhere.
        leaves.rotate_right(picks.len() % symbols);
        leaves
    }

    fn finds_all(lengths: &[u8], main: u32, room: usize, after: u64) {
        let symbols: Vec<Entry> = (0..lengths.len() as u32)
            .map(|s| Entry::value(s, 0))
            .collect();
        let mut table = vec![Entry::NONE; room];
        assert!(fill(&mut table, main, lengths, &symbols) == Some(Fill::Whole));
        for (symbol, code, bits) in canonical(lengths) {
            let (found, before) = look(&table, main, code | after << bits);
            assert_eq!((found.0 >> 16) as usize, symbol);
            assert_eq!(before + found.bits(), bits);
        }
    }

    proptest! {
        #[test]
        fn every_code_leads_to_its_symbol(
            picks in prop::collection::vec(any::<usize>(), 1..600), deep: bool, after in 0..u64::MAX >> 15,
        ) {
            // The last leaf again and again makes the longest codes.
            let picks: Vec<usize> = match deep {
                true => picks.iter().enumerate().map(|(k, p)| if k % 3 == 0 { *p } else { k }).collect(),
                false => picks,
            };
            finds_all(&split(288, &picks), LITERAL_BITS, LITERAL_ROOM, after);
            finds_all(&split(30, &picks), DISTANCE_BITS, DISTANCE_ROOM, after);
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let mut codes = Codes::none();
        let mut ends = [0; 257];
        assert!(!codes.set(&ends, &[1, 1]), "no symbols");
        ends[256] = 1;
        assert!(
            !codes.set(&ends, &[1, 1]),
            "one symbol, as no compressor writes"
        );
        ends[0] = 1;
        assert!(codes.set(&ends, &[1, 1]));
        assert!(codes.set(&ends, &[0, 0]) && codes.distance(0).0.is_none());
        assert!(codes.set(&ends, &[0, 1]) && !codes.distance(0).0.is_none());
        assert!(codes.distance(1).0.is_none());
        assert!(
            !codes.set(&ends, &[2, 2]) && !codes.set(&ends, &[2]),
            "gaps"
        );
        assert!(!codes.set(&ends, &[1, 1, 1]), "too many");
        ends[1] = 9;
        assert!(!codes.set(&ends, &[1, 1]), "too many");
    }

    #[test]
    fn lengths_and_distances_are_those_of_the_standard() {
        // RFC 1951, section 3.2.5: first and last of each symbol.
        let all = |entries: &[Entry]| -> Vec<(usize, usize)> {
            let number = |e: &Entry, ones: u64| Entry(e.0 + 3).number(ones << 3);
            entries
                .iter()
                .map(|e| (number(e, 0), number(e, u64::MAX >> 3)))
                .collect()
        };
        let lengths = all(&LITERALS[257..286]);
        let first = [
            (3, 3),
            (4, 4),
            (5, 5),
            (6, 6),
            (7, 7),
            (8, 8),
            (9, 9),
            (10, 10),
            (11, 12),
        ];
        assert_eq!(lengths[..9], first);
        let last = [
            (115, 130),
            (131, 162),
            (163, 194),
            (195, 226),
            (227, 258),
            (258, 258),
        ];
        assert_eq!(lengths[23..], last);
        let distances = all(&DISTANCES[..30]);
        assert_eq!(
            distances[..6],
            [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 8)]
        );
        assert_eq!(
            distances[26..],
            [
                (8193, 12288),
                (12289, 16384),
                (16385, 24576),
                (24577, 32768)
            ]
        );
        assert!(LITERALS[286].is_none() && DISTANCES[30].is_none());
    }
}
