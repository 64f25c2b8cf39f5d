//! Weights of an operation that has more of them than an operation has arguments.
//!
//! An operation has at most three, and copying the weights into one tensor, and their gradients
//! out of one, costs as much as a good part of the work. So the operation reads its weights
//! where they are, and they are bound to it by a chain of [`Binding`]s: each takes the token before it
//! and a weight and gives a token, the last of which is an argument of the operation. In the backward
//! pass the operation comes first and leaves the gradients of all its weights; each binding hands over
//! its own. A weight that is frozen has no binding.
//!
//! What a graph is handed it adds to zeros, each time in new memory. [`gradients`] spares variables
//! that.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::cpu::Values;

/// Gradients by weight, between the backward pass of the operation and that of the binding.
type Gradients = Mutex<Vec<Option<Vec<f32>>>>;

fn locked(gradients: &Gradients) -> MutexGuard<'_, Vec<Option<Vec<f32>>>> {
    gradients.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Variables and their gradients, while [`gradients`] collects them.
    static COLLECTED: RefCell<Option<Vec<(Tensor, Tensor)>>> = const { RefCell::new(None) };
}

/// Ends the collecting, also where a backward pass panics.
struct Collecting;

impl Collecting {
    fn begin() -> Self {
        COLLECTED.set(Some(Vec::new()));
        Self
    }

    fn end(self) -> Vec<(Tensor, Tensor)> {
        COLLECTED.take().unwrap_or_default()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        COLLECTED.set(None);
    }
}

/// The gradients of a loss, as `loss.backward()` gives them. Those of variables that are bound to an operation
/// do not pass through the graph, which takes less time; of a variable with three uses or more the sum may
/// be taken in another order.
///
/// # Errors
/// As [`Tensor::backward`].
pub fn gradients(loss: &Tensor) -> Result<GradStore> {
    let collecting = Collecting::begin();
    let mut all = loss.backward()?;
    for (weight, dw) in collecting.end() {
        // Of a variable that has other uses.
        let dw = match all.remove(&weight) {
            Some(other) => (other + dw)?,
            None => dw,
        };
        all.insert(&weight, dw);
    }
    Ok(all)
}

/// Arguments: the token before it and a weight; gives the next token.
struct Binding {
    weight: usize,
    gradients: Arc<Gradients>,
}

impl CustomOp2 for Binding {
    fn name(&self) -> &'static str {
        "bound-weight"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
    }

    fn bwd(
        &self,
        token: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        _grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let left = locked(&self.gradients)
            .get_mut(self.weight)
            .map(Option::take);
        let Some(dw) = left.flatten() else {
            bail!("an operation left no gradient for a weight that is bound to it");
        };
        let dw = Tensor::from_vec(dw, weight.shape(), weight.device())?;
        let dw = COLLECTED.with_borrow_mut(|all| match all {
            Some(all) if weight.is_variable() => {
                all.push((weight.clone(), dw));
                None
            }
            _ => Some(dw),
        });
        Ok((Some(token.zeros_like()?), dw))
    }
}

/// The token that a chain begins with.
pub(super) fn token() -> Result<Tensor> {
    Tensor::from_vec(vec![0f32], 1, &candle_core::Device::Cpu)
}

/// The weights of one operation, or some of them.
pub(super) struct Bound {
    weights: Vec<Tensor>,
    gradients: Arc<Gradients>,
}

impl Bound {
    /// Binds weights of the CPU, f32; gives the token that the operation takes as an argument, too.
    /// `before` is the token of others that are bound to the same operation, or [`token`].
    pub(super) fn new(before: Tensor, weights: &[&Tensor]) -> Result<(Self, Tensor)> {
        let gradients = Arc::new(Gradients::default());
        let mut token = before;
        let mut bound = Vec::with_capacity(weights.len());
        for (i, weight) in weights.iter().enumerate() {
            let own = weight.contiguous()?;
            if own.track_op() {
                let gradients = gradients.clone();
                let binding = Binding {
                    weight: i,
                    gradients,
                };
                token = token.apply_op2(&own, binding)?;
            }
            bound.push(own.detach());
        }
        let weights = bound;
        Ok((Self { weights, gradients }, token))
    }

    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.weights
    }

    pub(super) fn values(&self) -> Result<Vec<Values<'_>>> {
        self.weights.iter().map(Values::of).collect()
    }

    /// Leaves the gradients, one a weight in their order.
    pub(super) fn leave(&self, gradients: impl IntoIterator<Item = Vec<f32>>) {
        *locked(&self.gradients) = gradients.into_iter().map(Some).collect();
    }
}
