//! Scores of candidate sounds, two ways that are never mixed.

use candle_core::Tensor;

use super::contrast::{cosine, own_candidates};
use super::fusion::Fusion;
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::ops;
use crate::rng::Stream;

/// `candidate` scoring, the honest one: cosines [B, K] of each EEG with each of its candidates, every
/// one from its own fused pair. No label is an argument, and a candidate's score depends on that
/// candidate and the EEG alone.
///
/// `eeg` [B, D], `candidates` [B, K, D], `types` [B·K].
///
/// # Errors
/// [`Error::Shape`] when counts do not fit.
pub fn candidate(
    fusion: &Fusion,
    eeg: &Tensor,
    candidates: &Tensor,
    types: &[u32],
) -> Result<Tensor> {
    own_candidates(fusion, eeg, candidates, types, Mode::Eval)
}

/// `paper` scoring: **the label enters the input.** As the released evaluator, the EEG is fused with
/// the *attended* sound, and that vector is compared with every candidate (each fused with the EEG
/// for its own vector alone). The score of a slot is the log-probability of the diagonal in a softmax
/// over the batch, so it also depends on which epochs share the batch. Returns [B, K] in the order of
/// the candidates. For reproduction only; noise reaches 100 % under it.
///
/// `attended`: the right candidate of each epoch. `factor`: the temperature's factor.
///
/// # Errors
/// [`Error::Shape`] when counts do not fit or an attended index is no candidate.
pub fn paper(
    fusion: &Fusion,
    eeg: &Tensor,
    candidates: &Tensor,
    types: &[u32],
    attended: &[usize],
    factor: f64,
) -> Result<Tensor> {
    let (b, k, d) = candidates.dims3()?;
    if attended.len() != b || attended.iter().any(|a| *a >= k) || types.len() != b * k {
        return Err(Error::Shape {
            what: "attended candidates",
            found: attended.to_vec(),
            expected: format!("{b} numbers below {k}, and {} types", b * k),
        });
    }
    // Slot 0 is the attended one, the others follow in order; undone at the end.
    let order: Vec<u32> = attended
        .iter()
        .enumerate()
        .flat_map(|(i, a)| {
            std::iter::once(*a)
                .chain((0..k).filter(move |j| j != a))
                .map(move |j| (i * k + j) as u32)
        })
        .collect();
    let flat = candidates.contiguous()?.reshape((b * k, d))?;
    let mut fused = None;
    let mut columns = Vec::with_capacity(k);
    for slot in 0..k {
        let rows: Vec<u32> = order.iter().copied().skip(slot).step_by(k).collect();
        let kinds: Vec<u32> = rows
            .iter()
            .filter_map(|r| types.get(*r as usize).copied())
            .collect();
        let sounds = flat.index_select(&Tensor::from_vec(rows, b, flat.device())?, 0)?;
        let (e, a) = fusion.forward(eeg, &sounds, &kinds, Mode::Eval)?;
        let e = fused.get_or_insert(e);
        let cosines = cosine(&e.unsqueeze(1)?, &a.unsqueeze(0)?)?;
        let log_p = ops::log_softmax(&(cosines * factor)?)?;
        let own = Tensor::eye(b, log_p.dtype(), log_p.device())?;
        columns.push((log_p * own)?.sum(1)?);
    }
    let slots = Tensor::stack(&columns, 1)?;
    let mut back = vec![0u32; b * k];
    for (slot, place) in order.iter().enumerate() {
        if let Some(b) = back.get_mut(*place as usize) {
            *b = slot as u32;
        }
    }
    let back = Tensor::from_vec(back, b * k, slots.device())?;
    Ok(slots
        .reshape(b * k)?
        .index_select(&back, 0)?
        .reshape((b, k))?)
}

/// Index of the best score of each row [B, K]; of equal ones the first, so ties are broken by the
/// order of the candidates, which is random ([`order`]).
///
/// # Errors
/// Those of the tensor library.
pub fn best(scores: &Tensor) -> Result<Vec<u32>> {
    Ok(scores
        .detach()
        .argmax(1)?
        .to_dtype(candle_core::DType::U32)?
        .to_vec1()?)
}

/// A random order of `k` candidates, a pure function of the seed and the epoch.
pub fn order(seed: u64, epoch_id: u64, k: usize) -> Vec<usize> {
    let stream = Stream::named(seed, "candidate order").child(epoch_id);
    let mut order: Vec<usize> = (0..k).collect();
    for i in (1..k).rev() {
        // Fisher and Yates; the bias of the remainder is below 2^-57 for any real k.
        order.swap(i, (stream.bits(i as u64) % (i as u64 + 1)) as usize);
    }
    order
}
