//! Orders that are pure functions of (seed, pass, position) or (seed, epoch or trial, pass).

use mmpipe_models::rng::Stream;

/// `indices` in the random order of pass `pass`.
pub(crate) fn shuffled(indices: &[usize], seed: u64, pass: u64) -> Vec<usize> {
    let mut order = indices.to_vec();
    permute(
        &mut order,
        Stream::named(seed, "order of examples").child(pass),
    );
    order
}

/// Fisher and Yates with draws at fixed counters.
pub(crate) fn permute<T>(items: &mut [T], stream: Stream) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(stream, last as u64, last as u64 + 1) as usize);
    }
}

/// A uniform integer below `n`, by the high half of a 128-bit product (bias below n / 2^64).
pub(crate) fn below(stream: Stream, counter: u64, n: u64) -> u64 {
    ((u128::from(stream.bits(counter)) * u128::from(n)) >> 64) as u64
}

/// Cut `n` positions into batches of `size`. A last batch of one example joins the batch before:
/// batch statistics of one example are none.
pub(crate) fn batches(n: usize, size: usize) -> Vec<std::ops::Range<usize>> {
    let size = size.max(1);
    let mut out: Vec<std::ops::Range<usize>> = (0..n)
        .step_by(size)
        .map(|at| at..(at + size).min(n))
        .collect();
    if let [.., before, last] = out.as_mut_slice()
        && last.len() == 1
        && size > 1
    {
        before.end = last.end;
        out.pop();
    }
    out
}

/// Pass number under which candidates are ordered when a model is asked, apart from any training
/// pass.
pub(crate) const ASKING: u64 = u64::MAX;

/// The order in which the `k` candidates of an example are shown in pass `pass`: place → candidate
/// of the source. It depends on nothing that knows the answer.
pub(crate) fn show_order(k: usize, seed: u64, key: u64, pass: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..k).collect();
    permute(
        &mut order,
        Stream::named(seed, "order of candidates")
            .child(key)
            .child(pass),
    );
    order
}

/// Place at which `candidate` of the source is shown.
pub(crate) fn place_of(order: &[usize], candidate: usize) -> usize {
    order.iter().position(|c| *c == candidate).unwrap_or(0)
}

/// A cyclic shift of shown places; matching models see all of them, so that no place is favoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation(pub(crate) usize);

impl Rotation {
    /// Place in the unrotated order of what stands at `place`.
    pub(crate) fn source(self, place: usize, k: usize) -> usize {
        (place + self.0) % k
    }

    /// Where the thing at unrotated place `place` stands now.
    pub(crate) fn place(self, place: usize, k: usize) -> usize {
        (place + k - self.0 % k) % k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_and_pure() {
        let indices: Vec<usize> = (10..110).collect();
        let a = shuffled(&indices, 1, 0);
        assert_eq!(a, shuffled(&indices, 1, 0));
        assert_ne!(a, shuffled(&indices, 1, 1));
        assert_ne!(a, shuffled(&indices, 2, 0));
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, indices);
    }

    #[test]
    fn batches_cover_everything_once() {
        for n in 0..40 {
            for size in 1..9 {
                let cut = batches(n, size);
                let all: Vec<usize> = cut.iter().cloned().flatten().collect();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
                if size > 1 && cut.len() > 1 {
                    assert!(cut.iter().all(|b| b.len() > 1));
                }
            }
        }
    }

    #[test]
    fn each_candidate_is_shown_first_equally_often() {
        let mut first = [0usize; 3];
        for id in 0..3000 {
            first[show_order(3, 5, id, 2)[0]] += 1;
        }
        assert!(first.iter().all(|n| (900..1100).contains(n)), "{first:?}");
        for k in 1..5 {
            for r in 0..k {
                for place in 0..k {
                    assert_eq!(Rotation(r).source(Rotation(r).place(place, k), k), place);
                }
            }
        }
    }
}
