//! Linear warm-up, then half a cosine.

/// Learning rate as a pure function of the step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) peak: f64,
    /// Rate at the last step, as a share of the peak.
    pub(crate) floor: f64,
    /// Steps of the rise.
    pub(crate) warmup: u64,
    /// Steps in all.
    pub(crate) total: u64,
}

impl Schedule {
    /// Rate of step `step`, counted from 0.
    pub(crate) fn lr(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = self
            .total
            .saturating_sub(self.warmup)
            .saturating_sub(1)
            .max(1);
        let done = ((step - self.warmup) as f64 / rest as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_the_floor() {
        let s = Schedule {
            peak: 2.0,
            floor: 0.1,
            warmup: 4,
            total: 14,
        };
        assert_eq!(s.lr(0), 0.5);
        assert_eq!(s.lr(3), 2.0);
        assert_eq!(s.lr(4), 2.0);
        assert!((s.lr(13) - 0.2).abs() < 1e-12);
        assert!((s.lr(99) - 0.2).abs() < 1e-12);
        assert!((0..13).skip(4).all(|i| s.lr(i) > s.lr(i + 1)));
    }

    #[test]
    fn no_warm_up_and_a_single_step() {
        let s = Schedule {
            peak: 1.0,
            floor: 0.0,
            warmup: 0,
            total: 1,
        };
        assert_eq!(s.lr(0), 1.0);
    }
}
