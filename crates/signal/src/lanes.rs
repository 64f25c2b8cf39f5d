//! Lane arithmetic: several channels side by side, one fixed order of operations.
//!
//! A *lane* is one channel; data lie as `[f64; L]`, sample after sample. Every operation acts on
//! each lane alone, and multiply-adds are fused where the source says so (`mul_add`) and nowhere
//! else, so a lane's result is the same bits for any `L` and any instruction set. The compiler
//! makes a version of each kernel for the instruction sets named in its `multiversion` attribute;
//! the CPU picks one at run time. A CPU without fused multiply-add (x86-64 before 2013) gets the
//! same bits from the C library, many times slower.

use crate::iir::Sos;

/// Channels in one pass, where vectors have 256 bits or fewer: four doubles are one such vector, and
/// the state of four sections then fits the 16 registers of AVX2. Eight lanes spill them and were
/// slower (README, "Measured").
pub(crate) const NARROW: usize = 4;

/// Channels in one pass, where vectors have 512 bits: twice as fast as four there, as the same
/// instructions work on twice as many.
pub(crate) const WIDE: usize = 8;

/// Channels that the next pass takes, of `left`: [`NARROW`] or [`WIDE`] ones. What comes out of them
/// is the same bits.
pub(crate) fn width(left: usize) -> usize {
    if left > NARROW && has_wide_vectors() {
        WIDE
    } else {
        NARROW
    }
}

/// Whether the kernels' versions for 512-bit vectors are those that run.
fn has_wide_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Samples of a channel that are moved at a time; a block of four lanes is 16 KiB.
pub(crate) const BLOCK: usize = 512;

#[inline(always)]
fn mul<const L: usize>(a: [f64; L], b: f64) -> [f64; L] {
    std::array::from_fn(|i| a[i] * b)
}

#[inline(always)]
fn add<const L: usize>(a: [f64; L], b: [f64; L]) -> [f64; L] {
    std::array::from_fn(|i| a[i] + b[i])
}

#[inline(always)]
fn sub<const L: usize>(a: [f64; L], b: [f64; L]) -> [f64; L] {
    std::array::from_fn(|i| a[i] - b[i])
}

/// `a b + c`, rounded once.
#[inline(always)]
fn fma<const L: usize>(a: [f64; L], b: f64, c: [f64; L]) -> [f64; L] {
    std::array::from_fn(|i| a[i].mul_add(b, c[i]))
}

/// A sample as stored: `f32` or `f64`.
pub trait Sample: Copy + Default + Send + Sync + 'static + private::Sealed {
    /// The sample as f64, exactly.
    fn to_f64(self) -> f64;
    /// The nearest sample to `x`.
    fn from_f64(x: f64) -> Self;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Sample for f32 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
}

impl Sample for f64 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
}

/// Lays up to `L` channels side by side: `rows[t][l] = channels[l][t]`. Missing lanes are zero.
/// Returns whether every value is finite.
#[multiversion::multiversion(targets("x86_64+avx+avx2+fma"))]
pub(crate) fn interleave<T: Sample, const L: usize>(
    channels: &[&[T]],
    rows: &mut [[f64; L]],
) -> bool {
    debug_assert!(channels.len() <= L);
    let mut probe = [0.0; L];
    if let Ok(full) = <[&[T]; L]>::try_from(channels) {
        let full = full.map(|c| &c[..rows.len()]);
        // L samples at a time: a square block is turned over in registers.
        let (squares, rest) = rows.as_chunks_mut::<L>();
        for (s, square) in squares.iter_mut().enumerate() {
            let block: [[f64; L]; L] = std::array::from_fn(|l| {
                let of_channel = &full[l][s * L..(s + 1) * L];
                std::array::from_fn(|t| of_channel[t].to_f64())
            });
            for lane in block {
                probe = add(probe, mul(lane, 0.0));
            }
            for (t, row) in square.iter_mut().enumerate() {
                *row = std::array::from_fn(|l| block[l][t]);
            }
        }
        let done = squares.len() * L;
        for (t, row) in rest.iter_mut().enumerate() {
            *row = std::array::from_fn(|l| full[l][done + t].to_f64());
            probe = add(probe, mul(*row, 0.0));
        }
    } else {
        rows.fill([0.0; L]);
        for (l, channel) in channels.iter().enumerate() {
            for (row, x) in rows.iter_mut().zip(*channel) {
                row[l] = x.to_f64();
                probe[l] += row[l] * 0.0;
            }
        }
    }
    // 0 x is 0 for finite x and NaN for the rest, and a NaN stays in the sum.
    probe.iter().all(|p| *p == 0.0)
}

/// The inverse of [`interleave`], rounding to the stored type.
#[multiversion::multiversion(targets("x86_64+avx+avx2+fma"))]
pub(crate) fn separate<O: Sample, const L: usize>(rows: &[[f64; L]], channels: &mut [&mut [O]]) {
    if let Ok(full) = <&mut [&mut [O]; L]>::try_from(&mut *channels) {
        for channel in full.iter_mut() {
            assert_eq!(channel.len(), rows.len());
        }
        let (squares, rest) = rows.as_chunks::<L>();
        for (s, square) in squares.iter().enumerate() {
            for (l, channel) in full.iter_mut().enumerate() {
                let to = &mut channel[s * L..(s + 1) * L];
                for (x, row) in to.iter_mut().zip(square) {
                    *x = O::from_f64(row[l]);
                }
            }
        }
        let done = squares.len() * L;
        for (t, row) in rest.iter().enumerate() {
            for l in 0..L {
                full[l][done + t] = O::from_f64(row[l]);
            }
        }
    } else {
        for (l, channel) in channels.iter_mut().enumerate() {
            for (x, row) in channel.iter_mut().zip(rows) {
                *x = O::from_f64(row[l]);
            }
        }
    }
}

/// Odd extension about the ends: `rows` holds `pad` free rows, the signal, `pad` free rows.
pub(crate) fn extend_left<const L: usize>(rows: &mut [[f64; L]], pad: usize) {
    let first = mul(rows[pad], 2.0);
    for k in 0..pad {
        rows[k] = sub(first, rows[2 * pad - k]);
    }
}

/// See [`extend_left`].
pub(crate) fn extend_right<const L: usize>(rows: &mut [[f64; L]], pad: usize) {
    let end = rows.len() - pad;
    let last = mul(rows[end - 1], 2.0);
    for k in 0..pad {
        rows[end + k] = sub(last, rows[end - 2 - k]);
    }
}

/// Bytes of a cache line. Rows that straddle two lines cost two loads.
const LINE: usize = 64;

/// `len` rows of the buffer, from the start of a cache line on; the buffer is made longer where
/// need be. Contents are unspecified.
pub(crate) fn rows<const L: usize>(buffer: &mut Vec<f64>, len: usize) -> &mut [[f64; L]] {
    let spare = LINE / size_of::<f64>();
    if buffer.len() < len * L + spare {
        buffer.resize(len * L + spare, 0.0);
    }
    // The offset may come out larger than asked for; then the rows just lie as they lie.
    let first = buffer.as_ptr().align_offset(LINE).min(spare);
    &mut buffer[first..].as_chunks_mut::<L>().0[..len]
}

/// State of one section for `L` lanes.
pub(crate) type State<const L: usize> = [[f64; L]; 2];

/// A cascade of second-order sections, ready to run on lanes.
#[derive(Debug, Clone)]
pub(crate) struct Cascade {
    /// `b0, b1, b2, a1, a2` of each section.
    coef: Vec<[f64; 5]>,
    zi: Vec<[f64; 2]>,
    padlen: usize,
}

impl Cascade {
    pub(crate) fn new(sos: &Sos) -> Self {
        let coef = sos
            .sections()
            .iter()
            .map(|&[b0, b1, b2, _, a1, a2]| [b0, b1, b2, a1, a2])
            .collect();
        Self {
            coef,
            zi: sos.zi(),
            padlen: sos.padlen(),
        }
    }

    pub(crate) fn padlen(&self) -> usize {
        self.padlen
    }

    pub(crate) fn sections(&self) -> usize {
        self.coef.len()
    }

    /// The state in which a constant `x0` has settled.
    pub(crate) fn settled<const L: usize>(&self, x0: [f64; L]) -> Vec<State<L>> {
        let scale = |z: &[f64; 2]| [mul(x0, z[0]), mul(x0, z[1])];
        self.zi.iter().map(scale).collect()
    }

    /// Filters `data` in place, from the first sample to the last.
    pub(crate) fn forward<const L: usize>(&self, state: &mut [State<L>], data: &mut [[f64; L]]) {
        self.run::<L, false>(state, data);
    }

    /// Filters `data` in place, from the last sample to the first.
    pub(crate) fn backward<const L: usize>(&self, state: &mut [State<L>], data: &mut [[f64; L]]) {
        self.run::<L, true>(state, data);
    }

    /// Both passes over `rows` = padding, signal, padding; the signal's part is then the result.
    pub(crate) fn filtfilt<const L: usize>(&self, rows: &mut [[f64; L]]) {
        extend_left(rows, self.padlen);
        extend_right(rows, self.padlen);
        self.forward(&mut self.settled(rows[0]), rows);
        self.backward(&mut self.settled(rows[rows.len() - 1]), rows);
    }

    fn run<const L: usize, const BACK: bool>(&self, state: &mut [State<L>], data: &mut [[f64; L]]) {
        if BACK {
            data.rchunks_mut(BLOCK)
                .for_each(|block| self.block::<L, BACK>(state, block));
        } else {
            data.chunks_mut(BLOCK)
                .for_each(|block| self.block::<L, BACK>(state, block));
        }
    }

    /// Four sections fit the registers of 256-bit vectors; longer cascades go through the block
    /// again while it is in the nearest cache. The result does not depend on the grouping.
    fn block<const L: usize, const BACK: bool>(
        &self,
        state: &mut [State<L>],
        data: &mut [[f64; L]],
    ) {
        for (coef, state) in self.coef.chunks(4).zip(state.chunks_mut(4)) {
            match coef.len() {
                4 => sections::<L, 4, BACK>(coef, state, data),
                3 => sections::<L, 3, BACK>(coef, state, data),
                2 => sections::<L, 2, BACK>(coef, state, data),
                _ => sections::<L, 1, BACK>(coef, state, data),
            }
        }
    }
}

/// `S` sections on a block. Direct form II transposed.
#[multiversion::multiversion(targets(
    "x86_64+avx+avx2+avx512bw+avx512cd+avx512dq+avx512f+avx512vl+bmi1+bmi2+fma",
    "x86_64+avx+avx2+fma",
))]
fn sections<const L: usize, const S: usize, const BACK: bool>(
    coef: &[[f64; 5]],
    state: &mut [State<L>],
    data: &mut [[f64; L]],
) {
    sections_body::<L, S, BACK>(coef, state, data);
}

#[inline(always)]
fn sections_body<const L: usize, const S: usize, const BACK: bool>(
    coef: &[[f64; 5]],
    state: &mut [State<L>],
    data: &mut [[f64; L]],
) {
    let c: [[f64; 5]; S] = std::array::from_fn(|s| coef[s]);
    let mut z: [State<L>; S] = std::array::from_fn(|s| state[s]);
    let n = data.len();
    for t in 0..n {
        let at = if BACK { n - 1 - t } else { t };
        let mut x = data[at];
        for s in 0..S {
            let [b0, b1, b2, a1, a2] = c[s];
            let y = fma(x, b0, z[s][0]);
            z[s][0] = fma(y, -a1, fma(x, b1, z[s][1]));
            z[s][1] = fma(y, -a2, mul(x, b2));
            x = y;
        }
        data[at] = x;
    }
    state.copy_from_slice(&z);
}

/// Where a pair of outputs of a polyphase filter gets its taps and rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// Which taps: those from `phase * window` on.
    pub(crate) phase: usize,
    /// The first row.
    pub(crate) first: usize,
    /// Rows from there to where the taps of the second output begin.
    pub(crate) shift: usize,
}

/// Pairs of weighted sums of a polyphase filter, see [`crate::resample`]:
/// `out[j][k] = sum_i taps[phase * window + i][k] * rows[first + i]`.
#[multiversion::multiversion(targets(
    "x86_64+avx+avx2+avx512bw+avx512cd+avx512dq+avx512f+avx512vl+bmi1+bmi2+fma",
    "x86_64+avx+avx2+fma",
))]
pub(crate) fn weighted_sums<const L: usize>(
    taps: &[[f64; 2]],
    window: usize,
    rows: &[[f64; L]],
    index: &[Pair],
    out: &mut [[[f64; L]; 2]],
) {
    weighted_sums_body(taps, window, rows, index, out);
}

#[inline(always)]
fn weighted_sums_body<const L: usize>(
    taps: &[[f64; 2]],
    window: usize,
    rows: &[[f64; L]],
    index: &[Pair],
    out: &mut [[[f64; L]; 2]],
) {
    for (pair, out) in index.iter().zip(out) {
        let taps = &taps[pair.phase * window..(pair.phase + 1) * window];
        *out = weighted_pair(taps, &rows[pair.first..pair.first + window], pair.shift);
    }
}

/// Two dot products over the same rows, each in four interleaved partial sums (fewer would wait
/// for each other). Which sum a tap goes to depends on its place in its own output's filter, so
/// an output is the same bits as the first and as the second of a pair. `taps.len()` is a
/// multiple of four.
#[inline(always)]
fn weighted_pair<const L: usize>(
    taps: &[[f64; 2]],
    rows: &[[f64; L]],
    shift: usize,
) -> [[f64; L]; 2] {
    let mut a = [[0.0; L]; 4];
    let mut b = [[0.0; L]; 4];
    for (h, x) in taps.as_chunks::<4>().0.iter().zip(rows.as_chunks::<4>().0) {
        for i in 0..4 {
            a[i] = fma(x[i], h[i][0], a[i]);
            b[i] = fma(x[i], h[i][1], b[i]);
        }
    }
    let sum = |s: [[f64; L]; 4]| add(add(s[0], s[1]), add(s[2], s[3]));
    [sum(a), sum(std::array::from_fn(|k| b[(k + shift) % 4]))]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn value(t: usize, l: usize) -> f64 {
        ((t * t * 7 + t * 31 + l * 17) % 401) as f64 / 3.0 - 60.0
    }

    /// Fills `block` as a reader of [`crate::pipeline::Conditioner::run`] does.
    pub(crate) fn read(first: usize, start: usize, block: &mut [&mut [f64]]) -> crate::Result<()> {
        for (k, to) in block.iter_mut().enumerate() {
            let samples = (start..).map(|t| value(t, first + k));
            to.iter_mut().zip(samples).for_each(|(to, x)| *to = x);
        }
        Ok(())
    }

    fn rows<const L: usize>(n: usize) -> Vec<[f64; L]> {
        (0..n)
            .map(|t| std::array::from_fn(|l| value(t, l)))
            .collect()
    }

    fn bits<const L: usize>(rows: &[[f64; L]], lane: usize) -> Vec<u64> {
        rows.iter().map(|r| r[lane].to_bits()).collect()
    }

    const SECTIONS: [[f64; 5]; 4] = [
        [0.01, 0.02, 0.01, -1.2, 0.41],
        [1.0, 2.0, 1.0, -1.31, 0.63],
        [1.0, -2.0, 1.0, -1.97, 0.975],
        [1.0, -2.0, 1.0, -1.98, 0.985],
    ];

    /// `_body` outside a dispatched function is compiled for the baseline instruction set, the
    /// dispatched one for the best that this CPU has.
    #[test]
    fn every_instruction_set_and_width_gives_the_same_bits() {
        fn filtered<const L: usize, const BACK: bool>(best: bool) -> Vec<[f64; L]> {
            let mut data = rows::<L>(700);
            let mut state = [[[0.25; L]; 2]; 4];
            if best {
                sections::<L, 4, BACK>(&SECTIONS, &mut state, &mut data);
            } else {
                sections_body::<L, 4, BACK>(&SECTIONS, &mut state, &mut data);
            }
            data
        }
        fn summed<const L: usize>(best: bool) -> Vec<[f64; L]> {
            let taps: Vec<[f64; 2]> = (0..120)
                .map(|i| [1.0 / (i as f64 - 55.3), 1.0 / (i as f64 - 31.7)])
                .collect();
            let place = |j| Pair {
                phase: j % 3,
                first: j,
                shift: j % 5,
            };
            let index: Vec<Pair> = (0..600).map(place).collect();
            let mut out = vec![[[0.0; L]; 2]; 600];
            if best {
                weighted_sums(&taps, 40, &rows::<L>(700), &index, &mut out);
            } else {
                weighted_sums_body(&taps, 40, &rows::<L>(700), &index, &mut out);
            }
            out.as_flattened().to_vec()
        }
        let scalar = [
            bits(&filtered::<1, false>(false), 0),
            bits(&filtered::<1, true>(false), 0),
            bits(&summed::<1>(false), 0),
        ];
        for best in [false, true] {
            let found = [
                bits(&filtered::<1, false>(best), 0),
                bits(&filtered::<1, true>(best), 0),
                bits(&summed::<1>(best), 0),
            ];
            assert_eq!(found, scalar, "1 lane");
            let found = [
                bits(&filtered::<4, false>(best), 0),
                bits(&filtered::<4, true>(best), 0),
                bits(&summed::<4>(best), 0),
            ];
            assert_eq!(found, scalar, "4 lanes");
            let found = [
                bits(&filtered::<8, false>(best), 0),
                bits(&filtered::<8, true>(best), 0),
                bits(&summed::<8>(best), 0),
            ];
            assert_eq!(found, scalar, "8 lanes");
        }
        let lanes = filtered::<8, true>(true);
        let same = filtered::<8, true>(false);
        for lane in 0..8 {
            assert_eq!(bits(&lanes, lane), bits(&same, lane), "lane {lane}");
        }
    }
}
