//! The number types of GDF channels, and samples of them to calibrated floats.
//!
//! The arithmetic is one product and one sum in `f64`, then (for `f32`) one rounding, as for EDF;
//! without fused multiply-add, so the values are the same bits on every CPU.

use multiversion::multiversion;

/// How a channel stores its samples, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Number {
    /// The type of a code of the specification (table "GDFTYP").
    pub(super) fn from_code(code: u32) -> Option<Number> {
        Some(match code {
            1 => Number::I8,
            2 => Number::U8,
            3 => Number::I16,
            4 => Number::U16,
            5 => Number::I32,
            6 => Number::U32,
            7 => Number::I64,
            8 => Number::U64,
            16 => Number::F32,
            17 => Number::F64,
            279 => Number::I24,
            535 => Number::U24,
            _ => return None,
        })
    }

    /// Bytes a sample.
    pub(super) fn bytes(self) -> usize {
        match self {
            Number::I8 | Number::U8 => 1,
            Number::I16 | Number::U16 => 2,
            Number::I24 | Number::U24 => 3,
            Number::I32 | Number::U32 | Number::F32 => 4,
            Number::I64 | Number::U64 | Number::F64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Number::F32 | Number::F64)
    }

    pub(super) fn is_signed_integer(self) -> bool {
        matches!(
            self,
            Number::I8 | Number::I16 | Number::I24 | Number::I32 | Number::I64
        )
    }
}

/// From stored to physical values. A stored value that is not strictly between `low` and
/// `high` is missing: overflow codes of integers, and NaN and infinities of floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) gain: f64,
    pub(super) offset: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    #[inline(always)]
    fn physical(self, stored: f64) -> f64 {
        if stored > self.low && stored < self.high {
            stored * self.gain + self.offset
        } else {
            f64::NAN
        }
    }
}

/// Where the samples of one channel lie in a stretch of whole records.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Whole records.
    pub(super) records: &'a [u8],
    /// Bytes a record.
    pub(super) stride: usize,
    /// First byte of the channel in a record.
    pub(super) at: usize,
    /// Samples a record.
    pub(super) samples: usize,
    /// Samples of the first record that are not wanted.
    pub(super) skip: usize,
}

/// A float that samples are decoded to.
pub(super) trait Float: Copy {
    fn from_f64(x: f64) -> Self;
    /// Decodes 16-bit integers, the type of nearly all files.
    fn from_i16(place: Place<'_>, scale: Scale, dst: &mut [Self]);
}

impl Float for f32 {
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn from_i16(place: Place<'_>, scale: Scale, dst: &mut [f32]) {
        i16_f32(place, scale, dst);
    }
}

impl Float for f64 {
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn from_i16(place: Place<'_>, scale: Scale, dst: &mut [f64]) {
        i16_f64(place, scale, dst);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i16_f32(place: Place<'_>, scale: Scale, dst: &mut [f32]) {
    walk(place, scale, dst, |b| f64::from(i16::from_le_bytes(b)));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn i16_f64(place: Place<'_>, scale: Scale, dst: &mut [f64]) {
    walk(place, scale, dst, |b| f64::from(i16::from_le_bytes(b)));
}

fn i24(b: [u8; 3]) -> f64 {
    f64::from(i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8)
}

fn u24(b: [u8; 3]) -> f64 {
    f64::from(u32::from_le_bytes([b[0], b[1], b[2], 0]))
}

/// Decodes `dst.len()` samples. 64-bit integers beyond 2^53 are rounded to the nearest `f64`.
pub(super) fn decode<T: Float>(number: Number, place: Place<'_>, scale: Scale, dst: &mut [T]) {
    match number {
        Number::I8 => walk(place, scale, dst, |b| f64::from(i8::from_le_bytes(b))),
        Number::U8 => walk(place, scale, dst, |b| f64::from(u8::from_le_bytes(b))),
        Number::I16 => T::from_i16(place, scale, dst),
        Number::U16 => walk(place, scale, dst, |b| f64::from(u16::from_le_bytes(b))),
        Number::I24 => walk(place, scale, dst, i24),
        Number::U24 => walk(place, scale, dst, u24),
        Number::I32 => walk(place, scale, dst, |b| f64::from(i32::from_le_bytes(b))),
        Number::U32 => walk(place, scale, dst, |b| f64::from(u32::from_le_bytes(b))),
        Number::I64 => walk(place, scale, dst, |b| i64::from_le_bytes(b) as f64),
        Number::U64 => walk(place, scale, dst, |b| u64::from_le_bytes(b) as f64),
        Number::F32 => walk(place, scale, dst, |b| f64::from(f32::from_le_bytes(b))),
        Number::F64 => walk(place, scale, dst, f64::from_le_bytes),
    }
}

#[inline(always)]
fn walk<T: Float, const W: usize>(
    place: Place<'_>,
    scale: Scale,
    dst: &mut [T],
    value: impl Fn([u8; W]) -> f64,
) {
    let records = place.records.chunks_exact(place.stride);
    if place.samples == 1 {
        // Frames of all channels, as BioSig writes them.
        for (d, record) in dst.iter_mut().zip(records) {
            if let Some(b) = record.get(place.at..).and_then(<[u8]>::first_chunk::<W>) {
                *d = T::from_f64(scale.physical(value(*b)));
            }
        }
        return;
    }
    let mut rest = dst;
    let mut skip = place.skip;
    for record in records {
        let field = record
            .get(place.at..place.at + place.samples * W)
            .unwrap_or_default();
        let numbers = field.as_chunks::<W>().0.get(skip..).unwrap_or_default();
        skip = 0;
        let n = numbers.len().min(rest.len());
        let (now, later) = rest.split_at_mut(n);
        for (d, b) in now.iter_mut().zip(numbers) {
            *d = T::from_f64(scale.physical(value(*b)));
        }
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Scale = Scale {
        gain: 1.0,
        offset: 0.0,
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    fn one(number: Number, bytes: &[u8]) -> f64 {
        let place = Place {
            records: bytes,
            stride: bytes.len(),
            at: 0,
            samples: 1,
            skip: 0,
        };
        let mut out = [0f64];
        decode(number, place, PLAIN, &mut out);
        out[0]
    }

    #[test]
    fn every_type_at_its_ends() {
        assert_eq!(one(Number::I8, &[0x80]), -128.0);
        assert_eq!(one(Number::U8, &[0xff]), 255.0);
        assert_eq!(one(Number::I16, &[0, 0x80]), -32_768.0);
        assert_eq!(one(Number::U16, &[0xff, 0xff]), 65_535.0);
        assert_eq!(one(Number::I24, &[0, 0, 0x80]), -8_388_608.0);
        assert_eq!(one(Number::U24, &[0xff, 0xff, 0xff]), 16_777_215.0);
        assert_eq!(one(Number::I32, &[0, 0, 0, 0x80]), -2_147_483_648.0);
        assert_eq!(one(Number::U32, &[0xff; 4]), 4_294_967_295.0);
        assert_eq!(one(Number::I64, &(-5i64).to_le_bytes()), -5.0);
        assert_eq!(one(Number::U64, &5u64.to_le_bytes()), 5.0);
        assert_eq!(one(Number::F32, &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(one(Number::F64, &(-0.1f64).to_le_bytes()), -0.1);
        assert!(one(Number::F64, &f64::INFINITY.to_le_bytes()).is_nan());
        assert!(one(Number::F32, &f32::NAN.to_le_bytes()).is_nan());
    }

    #[test]
    fn limits_are_missing_and_their_neighbours_are_not() {
        let scale = Scale {
            gain: 0.5,
            offset: 1.0,
            low: -100.0,
            high: 100.0,
        };
        let values = [-101i16, -100, -99, 99, 100];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let place = Place {
            records: &bytes,
            stride: 10,
            at: 0,
            samples: 5,
            skip: 0,
        };
        let mut out = [0f32; 5];
        decode(Number::I16, place, scale, &mut out);
        assert!(out[0].is_nan() && out[1].is_nan() && out[4].is_nan());
        assert_eq!(out[2..4], [-48.5, 50.5]);
    }
}
