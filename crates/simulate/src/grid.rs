//! The grid of values that a 16-bit EDF signal can hold, as `mmpipe_formats::write` lays it:
//! the physical range over the integers -32767 to 32767.

/// Largest digital value; the smallest is its negative.
pub(crate) const LIMIT: i16 = 32_767;

/// The digital value nearest to each `x`, those beyond the range at its end.
pub(crate) fn digitise(x: &[f64], physical: (f64, f64)) -> Vec<i16> {
    let limit = f64::from(LIMIT);
    let scale = 2.0 * limit / (physical.1 - physical.0);
    x.iter()
        .map(|v| {
            ((v - physical.0) * scale - limit)
                .round()
                .clamp(-limit, limit) as i16
        })
        .collect()
}

/// The physical value of a digital one, by the formula of the EDF standard.
pub(crate) fn physical_value(digital: i16, physical: (f64, f64)) -> f64 {
    let limit = f64::from(LIMIT);
    (f64::from(digital) + limit) * (physical.1 - physical.0) / (2.0 * limit) + physical.0
}

/// `x` cut to the range, as an amplifier does.
pub(crate) fn clip(x: &mut [f64], physical: (f64, f64)) {
    x.iter_mut()
        .for_each(|v| *v = v.clamp(physical.0, physical.1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_step_survives(d in -LIMIT..=LIMIT, low in -9000.0..0.0_f64, width in 1.0..9000.0_f64) {
            let range = (low, low + width);
            prop_assert_eq!(digitise(&[physical_value(d, range)], range), vec![d]);
        }
    }
}
