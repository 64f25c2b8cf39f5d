//! Little-endian 16- and 24-bit integers to calibrated floats.
//!
//! The arithmetic is one product and one sum in `f64`, then (for `f32`) one rounding. No fused
//! multiply-add is used, so the values are the same bits on every CPU; the functions are
//! compiled for AVX-512, AVX2 and the baseline and chosen at run time.

use multiversion::multiversion;

/// `physical = digital · gain + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    pub(crate) gain: f64,
    pub(crate) offset: f64,
}

/// A float that samples are decoded to.
pub(crate) trait Float: Copy + Send {
    /// Decodes `dst.len()` 16-bit samples.
    fn from_i16(src: &[u8], c: Calibration, dst: &mut [Self]);
    /// Decodes `dst.len()` 24-bit samples.
    fn from_i24(src: &[u8], c: Calibration, dst: &mut [Self]);
}

impl Float for f32 {
    fn from_i16(src: &[u8], c: Calibration, dst: &mut [f32]) {
        i16_f32(src, c, dst);
    }
    fn from_i24(src: &[u8], c: Calibration, dst: &mut [f32]) {
        i24_f32(src, c, dst);
    }
}

impl Float for f64 {
    fn from_i16(src: &[u8], c: Calibration, dst: &mut [f64]) {
        i16_f64(src, c, dst);
    }
    fn from_i24(src: &[u8], c: Calibration, dst: &mut [f64]) {
        i24_f64(src, c, dst);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i16_f32(src: &[u8], c: Calibration, dst: &mut [f32]) {
    for (d, s) in dst.iter_mut().zip(src.as_chunks::<2>().0) {
        *d = (f64::from(i16::from_le_bytes(*s)) * c.gain + c.offset) as f32;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i16_f64(src: &[u8], c: Calibration, dst: &mut [f64]) {
    for (d, s) in dst.iter_mut().zip(src.as_chunks::<2>().0) {
        *d = f64::from(i16::from_le_bytes(*s)) * c.gain + c.offset;
    }
}

/// Sign-extends three little-endian bytes.
#[inline(always)]
fn i24(b: [u8; 3]) -> i32 {
    i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i24_f32(src: &[u8], c: Calibration, dst: &mut [f32]) {
    for (d, s) in dst.iter_mut().zip(src.as_chunks::<3>().0) {
        *d = (f64::from(i24(*s)) * c.gain + c.offset) as f32;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i24_f64(src: &[u8], c: Calibration, dst: &mut [f64]) {
    for (d, s) in dst.iter_mut().zip(src.as_chunks::<3>().0) {
        *d = f64::from(i24(*s)) * c.gain + c.offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_value_is_exact() {
        let src: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
        let c = Calibration {
            gain: 0.1,
            offset: -3.7,
        };
        let mut single = vec![0f32; 65536];
        let mut double = vec![0f64; 65536];
        f32::from_i16(&src, c, &mut single);
        f64::from_i16(&src, c, &mut double);
        for (i, x) in (i16::MIN..=i16::MAX).enumerate() {
            let want = f64::from(x) * 0.1 + -3.7;
            assert_eq!(double[i].to_bits(), want.to_bits());
            assert_eq!(single[i].to_bits(), (want as f32).to_bits());
        }
    }

    #[test]
    fn signs_of_24_bits() {
        let c = Calibration {
            gain: 1.0,
            offset: 0.0,
        };
        let mut out = [0f32; 4];
        f32::from_i24(
            &[0, 0, 0x80, 0xff, 0xff, 0xff, 1, 0, 0, 0xff, 0xff, 0x7f],
            c,
            &mut out,
        );
        assert_eq!(out, [-8_388_608.0, -1.0, 1.0, 8_388_607.0]);
    }
}
