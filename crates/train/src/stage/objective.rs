//! What a stage gives to be trained.

use candle_core::Tensor;
use mmpipe_models::{Mode, Params};
use serde_json::Value;

use crate::Result;

/// Forward passes of one step before their random masks could repeat those of the next.
const PASSES: u64 = 1 << 16;

/// What a stage learns. The loop ([`super::train`]) calls, in this order:
///
/// 1. once for a new run [`Objective::begin`]; for a run that goes on, the variables are loaded and
///    [`Objective::take_back`] is called instead;
/// 2. for each batch [`Objective::load`] (in a loader's thread), then in the training thread
///    [`Objective::cut`], and [`Objective::loss`] for each part. The losses of the parts are added
///    up, their gradients too, and one step of the optimiser follows, then
///    [`Objective::constrain`];
/// 3. after each pass [`Objective::validate`], with the averages of the weights in place where they
///    are kept, and [`Objective::end_of_pass`];
/// 4. for a checkpoint [`Objective::kept`].
///
/// Resume is exact where this holds: what `load` and `loss` do is a function of the examples, the
/// pass, the draws handed in, the variables (weights *and* buffers, both of which are stored) and
/// what `kept` gives. Nothing else may be remembered between calls.
///
/// An objective is shared with the loader's threads: what it changes stands behind a lock.
pub(crate) trait Objective: Sync {
    /// A batch, ready for the network.
    type Batch: Send;
    /// A piece of a batch that goes through the network at once.
    type Part;

    /// All variables. The optimiser moves the weights; a weight without a gradient stays.
    fn params(&self) -> &Params;

    /// Loads `examples` (indices into the source) in pass `pass` (from 0).
    fn load(&self, examples: &[usize], pass: u64) -> Result<Self::Batch>;

    /// The parts of a batch, of at most `most` rows each; 0 = as large as the network can take.
    /// Memory is that of one part.
    fn cut(&self, batch: &Self::Batch, most: usize) -> Result<Vec<Self::Part>>;

    /// This part's share in the loss of the batch: the losses of all parts add up to it. Each
    /// forward pass takes its own [`Draws::mode`].
    fn loss(&self, batch: &Self::Batch, part: &Self::Part, draws: &mut Draws) -> Result<Loss>;

    /// The loss of a guess that knows nothing, of which [`super::StepConfig::explode`] is a
    /// multiple.
    fn ignorance(&self) -> f64;

    /// Asks without learning; nothing changes, buffers included. `None` where there is no example:
    /// the latest checkpoint then counts as the best.
    fn validate(&self, examples: &[usize]) -> Result<Option<Validation>>;

    /// Before the first step of a new run, with the training examples in the order of the first
    /// pass. Gives notes for the report.
    fn begin(&self, train: &[usize]) -> Result<Vec<String>> {
        let _ = train;
        Ok(Vec::new())
    }

    /// Projects weights back into their constraint set, after each step.
    fn constrain(&self) -> Result<()> {
        Ok(())
    }

    /// Numbers about the pass that are no means over its batches, for the record of the pass; what
    /// was gathered for them starts anew.
    fn end_of_pass(&self) -> Result<Vec<(&'static str, f64)>> {
        Ok(Vec::new())
    }

    /// What is kept besides variables, for `state.json`.
    fn kept(&self) -> Value {
        Value::Null
    }

    /// Takes back what [`Objective::kept`] gave. `Err` says what does not fit.
    fn take_back(&self, kept: &Value) -> std::result::Result<(), String> {
        let _ = kept;
        Ok(())
    }
}

/// Loss of a part, and what to log beside it.
pub(crate) struct Loss {
    /// The scalar that is differentiated.
    pub(crate) value: Tensor,
    /// Parts of it, rates, and so on.
    pub(crate) named: Vec<Named>,
}

/// A number for the logs, as a weighted sum: over the parts of a batch and over the batches of a
/// pass sums and weights add up, and their quotient is shown. A pass shows `accuracy` as its
/// training accuracy, the others under their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) sum: f64,
    pub(crate) weight: f64,
}

impl Named {
    /// The mean `mean` over `weight` things.
    pub(crate) fn mean(name: &'static str, mean: f64, weight: f64) -> Self {
        Self {
            name,
            sum: mean * weight,
            weight,
        }
    }
}

/// What validation found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Validation {
    /// Mean loss; the lowest is the best.
    pub(crate) loss: f64,
    /// Balanced accuracy, where there are classes.
    pub(crate) balanced_accuracy: Option<f64>,
    /// Other numbers; names begin with `val_`.
    pub(crate) named: Vec<(String, f64)>,
}

/// The random draws of one step: a mode of its own for each forward pass.
#[derive(Debug)]
pub(crate) struct Draws {
    seed: u64,
    next: u64,
}

impl Draws {
    /// Of step `step`.
    pub(crate) fn of(seed: u64, step: u64) -> Self {
        Self {
            seed,
            next: step * PASSES,
        }
    }

    /// The mode of the next forward pass, and its number, which no other pass of the run has.
    pub(crate) fn mode(&mut self) -> (Mode, u64) {
        let step = self.next;
        self.next += 1;
        let seed = self.seed;
        (Mode::Train { seed, step }, step)
    }
}
