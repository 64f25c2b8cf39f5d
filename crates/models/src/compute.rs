//! How operations compute: in which precision, and whether the CPU kernels are used.
//!
//! A setting of the calling thread, as PyTorch's autocast: [`Compute::run`] holds it while its work
//! runs, and what the forward pass recorded then holds for the backward pass too.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

/// Type of the factors of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Factors and results of the products of linear maps, attention and convolutions are rounded to
    /// bf16 and summed in f32. Weights, norms, softmax, losses and sums over a batch stay f32.
    Bf16,
}

/// What holds in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compute {
    /// Of f32 networks; those of f64 stay as they are.
    pub precision: Precision,
    /// Use no CPU kernel: every operation in its composite form, as on other devices.
    pub composite: bool,
}

thread_local! {
    static NOW: Cell<Compute> = const {
        Cell::new(Compute {
            precision: Precision::F32,
            composite: false,
        })
    };
}

/// Puts back what held before, also where the work panics.
struct Before(Compute);

impl Drop for Before {
    fn drop(&mut self) {
        NOW.set(self.0);
    }
}

impl Compute {
    /// What holds in this thread; f32 with kernels, where nothing was set.
    pub fn now() -> Self {
        NOW.get()
    }

    /// Runs `work` with this setting in this thread.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _before = Before(NOW.replace(self));
        work()
    }

    /// Whether CPU kernels, which are f32 alone, may be used.
    pub(crate) fn kernels(self) -> bool {
        !self.composite && self.precision == Precision::F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_nest_and_end_with_their_work() {
        let bf16 = Compute {
            precision: Precision::Bf16,
            composite: false,
        };
        let seen = bf16.run(|| {
            let inner = Compute {
                composite: true,
                ..Compute::now()
            };
            assert_eq!(inner.run(Compute::now).precision, Precision::Bf16);
            Compute::now()
        });
        assert_eq!(seen, bf16);
        assert!(std::panic::catch_unwind(|| bf16.run(|| panic!("as asked"))).is_err());
        assert_eq!(Compute::now(), Compute::default());
        assert!(Compute::now().kernels() && !bf16.kernels());
    }
}
