//! Interval of a share whose tries come in blocks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Interval, check_level, quantile};
use crate::Result;

/// Percentile bootstrap interval of `sum of successes / sum of tries` over whole blocks, each a
/// pair (successes, tries): what happens inside a block need not be independent. Replicates
/// without a try are left out. `None` for fewer than two blocks with tries or no replicate.
///
/// # Errors
/// When `level` is not inside (0, 1).
pub fn bootstrap_share(
    blocks: &[(u64, u64)],
    unit: &str,
    replicates: usize,
    level: f64,
    seed: u64,
) -> Result<Option<Interval>> {
    check_level(level)?;
    let blocks: Vec<(u64, u64)> = blocks.iter().copied().filter(|b| b.1 > 0).collect();
    if blocks.len() < 2 || replicates == 0 {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f64> = (0..replicates)
        .map(|_| {
            let (mut right, mut all) = (0u64, 0u64);
            for _ in 0..blocks.len() {
                let (r, n) = blocks[rng.random_range(0..blocks.len())];
                right = right.saturating_add(r);
                all = all.saturating_add(n);
            }
            right as f64 / all as f64
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let alpha = (1.0 - level) / 2.0;
    Ok(Some(Interval {
        low: quantile(&values, alpha),
        high: quantile(&values, 1.0 - alpha),
        level,
        method: format!(
            "percentile bootstrap over {} {unit}s, {replicates} replicates",
            blocks.len()
        ),
        unit: unit.to_owned(),
        units: blocks.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_drawn() {
        // Ten blocks, all right or all wrong: as wide as ten tries, not as a thousand.
        let blocks: Vec<(u64, u64)> = (0..10).map(|k| (100 * (k % 2), 100)).collect();
        let wide = bootstrap_share(&blocks, "trial", 2000, 0.95, 1)
            .unwrap()
            .unwrap();
        assert!(wide.low <= 0.25 && wide.high >= 0.75, "{wide:?}");
        assert_eq!((wide.units, wide.unit.as_str()), (10, "trial"));
        let even: Vec<(u64, u64)> = (0..10).map(|_| (50, 100)).collect();
        let narrow = bootstrap_share(&even, "trial", 200, 0.95, 1)
            .unwrap()
            .unwrap();
        assert_eq!((narrow.low, narrow.high), (0.5, 0.5));
        assert_eq!(
            bootstrap_share(&[(1, 1), (0, 0)], "trial", 9, 0.9, 1),
            Ok(None)
        );
        assert!(bootstrap_share(&even, "trial", 9, 1.0, 1).is_err());
    }
}
