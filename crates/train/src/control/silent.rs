//! `audio-only`: the sound alone, and what can be told of it without any training.

use std::collections::{BTreeMap, HashMap};

use super::other_eeg::Eeg;
use crate::Result;
use crate::source::{Fold, Source};

/// Zeros for EEG.
///
/// Not the EEG of other trials or noise: training has nothing to remember an example by but its sound, so
/// the control finds what the sound can tell. What is left of the EEG is its montage.
pub(crate) struct Silence;

impl Eeg for Silence {
    fn read_eeg(&self, _: &dyn Source, _: usize, out: &mut [f32]) -> Result<()> {
        out.fill(0.0);
        Ok(())
    }
}

/// What the trials say, before anything is trained, of sounds that test epochs share with training: how
/// often the label that a sound had most in training is the test epoch's. A note where that is more often
/// than the commonest label, by two standard deviations of a guess, `None` elsewhere, and where the source
/// does not name its sounds.
///
/// It looks at the names of whole sounds. That a new sound may still sound like its class, only the control
/// can show.
pub(crate) fn told_by_sound(source: &dyn Source, fold: &Fold) -> Option<String> {
    let mut learnt: HashMap<u64, BTreeMap<i32, usize>> = HashMap::new();
    for &i in &fold.train {
        let key = source.stimulus_key(i, 0)?;
        *learnt
            .entry(key)
            .or_default()
            .entry(source.meta(i).label)
            .or_default() += 1;
    }
    let most = |counts: &BTreeMap<i32, usize>| {
        // Of equals the lowest label.
        let best = counts.iter().rev().max_by_key(|(_, n)| **n);
        best.map(|(label, _)| *label)
    };
    let (mut known, mut right) = (0usize, 0usize);
    let mut labels: BTreeMap<i32, usize> = BTreeMap::new();
    for &i in &fold.test {
        let label = source.meta(i).label;
        let Some(counts) = learnt.get(&source.stimulus_key(i, 0)?) else {
            continue;
        };
        known += 1;
        right += usize::from(most(counts) == Some(label));
        *labels.entry(label).or_default() += 1;
    }
    let commonest = labels.values().copied().max().unwrap_or(0);
    let (n, by_chance) = (known as f64, commonest as f64);
    let spread = (by_chance * (n - by_chance) / n.max(1.0)).sqrt();
    let clear = right > commonest && right as f64 >= by_chance + 2.0 * spread;
    clear.then(|| {
        format!(
            "the sound alone can tell the class: {known} of {} test epochs are of a sound that training has, and the label that it has there is right for {right} of them (the commonest label for {commonest}); hold this run against its control audio-only",
            fold.test.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::other_eeg::OtherEeg;
    use crate::source::{MemorySource, Meta};

    /// Four epochs a sound; `label` of (sound, epoch).
    fn source(label: impl Fn(usize, usize) -> i32) -> (MemorySource, Fold) {
        let mut s = MemorySource {
            classes: vec!["sad".into(), "glad".into()],
            ..MemorySource::default()
        };
        for sound in 0..6 {
            for epoch in 0..4 {
                s.metas.push(Meta {
                    epoch_id: s.metas.len() as u64,
                    label: label(sound, epoch),
                    candidates: 1,
                    ..Meta::default()
                });
                s.keys.push(vec![sound as u64]);
            }
        }
        let of = |f: &dyn Fn(usize) -> bool| (0..s.metas.len()).filter(|i| f(*i)).collect();
        let fold = Fold {
            train: of(&|i| i % 4 < 3),
            test: of(&|i| i % 4 == 3),
            ..Fold::default()
        };
        (s, fold)
    }

    #[test]
    fn sounds_of_one_label_each_are_told() {
        let (s, fold) = source(|sound, _| (sound % 2) as i32);
        let note = told_by_sound(&s, &fold).expect("a note");
        assert!(note.contains("6 of 6 test epochs"), "{note}");
        assert!(
            note.contains("right for 6 of them (the commonest label for 3)"),
            "{note}"
        );
        // Other sounds in the test than in training; or labels that go with no sound; or no names.
        let apart = Fold {
            train: (0..12).collect(),
            test: (12..24).collect(),
            ..Fold::default()
        };
        assert_eq!(told_by_sound(&s, &apart), None);
        let (mixed, fold) = source(|_, epoch| (epoch % 2) as i32);
        assert_eq!(told_by_sound(&mixed, &fold), None);
        let unnamed = MemorySource {
            keys: Vec::new(),
            ..s
        };
        assert_eq!(told_by_sound(&unnamed, &fold), None);
    }

    #[test]
    fn nothing_is_left_of_the_eeg() {
        let (mut s, _) = source(|_, _| 0);
        (s.n_times, s.montages) = (2, vec![vec!["Cz".into()]]);
        s.eeg = vec![vec![1.0, 2.0]; s.metas.len()];
        let silent = OtherEeg::new(&s, Silence);
        let mut out = [5.0; 2];
        silent.read_eeg(3, &mut out).unwrap();
        assert_eq!(out, [0.0; 2]);
        assert_eq!(silent.candidate_key(4, 0), s.candidate_key(4, 0));
        s.embeddings
            .insert(("any".into(), s.keys[4][0]), vec![1.5, 2.5]);
        let silent = OtherEeg::new(&s, Silence);
        let vector = silent.embedding("any", 4, 0).unwrap();
        assert_eq!(
            vector,
            Some(vec![1.5, 2.5]),
            "a kept vector is not made again"
        );
    }
}
