//! Elements as f64.

use super::datatype::{FloatBits, Type};

/// How to turn the bytes of one element into a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decoder {
    F64(bool),
    F32(bool),
    Float {
        size: usize,
        big: bool,
        bits: FloatBits,
    },
    /// Whole little-endian integers, the common ones.
    U8,
    I8,
    U16,
    I16,
    I32,
    Int {
        size: usize,
        signed: bool,
        big: bool,
        shift: u32,
        bits: u32,
    },
}

const SINGLE: FloatBits = FloatBits {
    sign: 31,
    exponent_at: 23,
    exponent_bits: 8,
    mantissa_at: 0,
    mantissa_bits: 23,
    bias: 127,
    implied: true,
};
const DOUBLE: FloatBits = FloatBits {
    sign: 63,
    exponent_at: 52,
    exponent_bits: 11,
    mantissa_at: 0,
    mantissa_bits: 52,
    bias: 1023,
    implied: true,
};

impl Decoder {
    /// `None` when elements of that type are no numbers.
    pub(super) fn new(kind: &Type) -> Option<Decoder> {
        Some(match kind {
            Type::Float { size, big, bits } => match (*size, *bits) {
                (4, SINGLE) => Decoder::F32(*big),
                (8, DOUBLE) => Decoder::F64(*big),
                _ => Decoder::Float {
                    size: *size,
                    big: *big,
                    bits: *bits,
                },
            },
            Type::Int {
                size,
                signed,
                big,
                shift,
                bits,
            } => {
                let plain = *shift == 0 && *bits as usize == 8 * size && (!big || *size == 1);
                match (size, signed) {
                    (1, false) if plain => Decoder::U8,
                    (1, true) if plain => Decoder::I8,
                    (2, false) if plain => Decoder::U16,
                    (2, true) if plain => Decoder::I16,
                    (4, true) if plain => Decoder::I32,
                    _ => Decoder::Int {
                        size: *size,
                        signed: *signed,
                        big: *big,
                        shift: *shift,
                        bits: *bits,
                    },
                }
            }
            Type::Enum { base, .. } => return Decoder::new(base),
            _ => return None,
        })
    }

    /// Fills `out` from the elements at `at`, `at + step`, ... of `bytes`; what lies beyond the
    /// end (which callers have checked) stays as it is.
    pub(super) fn run(&self, bytes: &[u8], at: usize, step: usize, out: &mut [f64]) {
        match *self {
            Decoder::F64(false) => each(bytes, at, step, out, f64::from_le_bytes),
            Decoder::F64(true) => each(bytes, at, step, out, f64::from_be_bytes),
            Decoder::F32(false) => {
                each(bytes, at, step, out, |b| f64::from(f32::from_le_bytes(b)));
            }
            Decoder::F32(true) => {
                each(bytes, at, step, out, |b| f64::from(f32::from_be_bytes(b)));
            }
            Decoder::U8 => each(bytes, at, step, out, |b| f64::from(u8::from_le_bytes(b))),
            Decoder::I8 => each(bytes, at, step, out, |b| f64::from(i8::from_le_bytes(b))),
            Decoder::U16 => each(bytes, at, step, out, |b| f64::from(u16::from_le_bytes(b))),
            Decoder::I16 => each(bytes, at, step, out, |b| f64::from(i16::from_le_bytes(b))),
            Decoder::I32 => each(bytes, at, step, out, |b| f64::from(i32::from_le_bytes(b))),
            Decoder::Int {
                size,
                signed,
                big,
                shift,
                bits,
            } => {
                let mask = u64::MAX >> 64u32.saturating_sub(bits).min(63);
                any(bytes, at, step, size, big, out, |word| {
                    let value = (word as u64 >> shift) & mask;
                    let negative = signed && (value >> bits.saturating_sub(1).min(63)) & 1 == 1;
                    if negative {
                        (value | !mask) as i64 as f64
                    } else {
                        value as f64
                    }
                });
            }
            Decoder::Float { size, big, bits } => {
                any(bytes, at, step, size, big, out, |word| float(word, &bits));
            }
        }
    }
}

fn each<const N: usize>(
    bytes: &[u8],
    at: usize,
    step: usize,
    out: &mut [f64],
    convert: impl Fn([u8; N]) -> f64,
) {
    let bytes = bytes.get(at..).unwrap_or_default();
    if step == N {
        for (o, b) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *o = convert(*b);
        }
        return;
    }
    for (o, b) in out.iter_mut().zip(bytes.chunks(step.max(1))) {
        if let Some(b) = b.first_chunk::<N>() {
            *o = convert(*b);
        }
    }
}

fn any(
    bytes: &[u8],
    at: usize,
    step: usize,
    size: usize,
    big: bool,
    out: &mut [f64],
    convert: impl Fn(u128) -> f64,
) {
    let bytes = bytes.get(at..).unwrap_or_default();
    for (o, b) in out.iter_mut().zip(bytes.chunks(step.max(1))) {
        let Some(b) = b.get(..size) else { return };
        let mut word = [0u8; 16];
        for (i, slot) in word.iter_mut().take(size).enumerate() {
            let from = if big { size - 1 - i } else { i };
            *slot = b.get(from).copied().unwrap_or_default();
        }
        *o = convert(u128::from_le_bytes(word));
    }
}

/// Any binary floating-point number, rounded once to the nearest f64.
fn float(word: u128, bits: &FloatBits) -> f64 {
    let field = |at: u32, n: u32| (word >> at.min(127)) & ((1u128 << n.min(127)) - 1);
    let negative = field(bits.sign, 1) == 1;
    let exponent = field(bits.exponent_at, bits.exponent_bits);
    let mantissa = field(bits.mantissa_at, bits.mantissa_bits);
    let top = (1u128 << bits.exponent_bits) - 1;
    // Without an implied bit the mantissa's first bit is the 1 before the point.
    let point = bits.mantissa_bits.saturating_sub(u32::from(!bits.implied));
    let fraction = mantissa & ((1u128 << point) - 1);
    let magnitude = if exponent == top {
        if fraction == 0 {
            f64::INFINITY
        } else {
            f64::NAN
        }
    } else {
        let whole = if bits.implied && exponent != 0 {
            mantissa | 1 << bits.mantissa_bits
        } else {
            mantissa
        };
        let exponent = (exponent as i64).max(1) - i64::from(bits.bias) - i64::from(point);
        scaled(whole, exponent)
    };
    if negative { -magnitude } else { magnitude }
}

/// `whole * 2^exponent`, rounded to nearest, ties to even.
fn scaled(whole: u128, exponent: i64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let length = i64::from(128 - whole.leading_zeros());
    // Bits that an f64 of this size keeps: 53, or fewer below 2^-1022.
    let lowest = (length + exponent - 53).max(-1074);
    let drop = lowest - exponent;
    let kept = if drop <= 0 {
        whole
    } else if drop > 127 {
        0
    } else {
        let cut = whole >> drop;
        let rest = whole & ((1u128 << drop) - 1);
        let half = 1u128 << (drop - 1);
        cut + u128::from(rest > half || (rest == half && cut & 1 == 1))
    };
    let exponent = exponent.max(lowest);
    if exponent > 1100 {
        return f64::INFINITY;
    }
    // Exact: at most 53 bits are left, and two steps keep each factor a normal number.
    let half = exponent / 2;
    let power = |e: i64| 2f64.powi(e as i32);
    (kept as f64) * power(half) * power(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: FloatBits = FloatBits {
        sign: 15,
        exponent_at: 10,
        exponent_bits: 5,
        mantissa_at: 0,
        mantissa_bits: 10,
        bias: 15,
        implied: true,
    };

    #[test]
    fn halves() {
        assert_eq!(float(0x3c00, &HALF), 1.0);
        assert_eq!(float(0xc000, &HALF), -2.0);
        assert_eq!(float(0x0001, &HALF), 2f64.powi(-24));
        assert_eq!(float(0x7bff, &HALF), 65504.0);
        assert_eq!(float(0xfc00, &HALF), f64::NEG_INFINITY);
        assert!(float(0x7c01, &HALF).is_nan());
    }

    #[test]
    fn the_general_way_agrees_with_the_processor() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let value = f64::from_bits(state);
            let found = float(u128::from(state), &DOUBLE);
            assert!(
                found == value || found.is_nan() && value.is_nan(),
                "{state:x}"
            );
        }
        for bits in [1u64, 0x000f_ffff_ffff_ffff, 0x0010_0000_0000_0000, 1 << 63] {
            let found = float(u128::from(bits), &DOUBLE);
            assert_eq!(found.to_bits(), bits);
        }
    }

    #[test]
    fn ties_go_to_even() {
        assert_eq!(scaled((1 << 53) + 1, 0), 9_007_199_254_740_992.0);
        assert_eq!(scaled((1 << 53) + 3, 0), 9_007_199_254_740_996.0);
        assert_eq!(scaled(1, -1075), 0.0);
        assert_eq!(scaled(3, -1075), 2f64.powi(-1073));
        assert_eq!(scaled(1, 20_000), f64::INFINITY);
    }
}
