//! Who attends to what: the balanced design of a two-talker experiment.
//!
//! Story pair `c` is heard once by every subject. Its four versions (attended side × attended
//! talker) go to subjects by a Latin square, so within a subject each version occurs equally
//! often, and over four subjects each story pair occurs in all four versions. Neither the
//! content, the talker nor the place in the recording tells the side.

use crate::config::TwoTalker;
use crate::random::{stream, uniform};
use rand::Rng;
use rand::seq::SliceRandom;

/// The side that a listener attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The left ear.
    Left,
    /// The right ear.
    Right,
}

impl Side {
    /// The `trial_type` of `events.tsv`.
    pub fn trial_type(self) -> &'static str {
        match self {
            Self::Left => "attend_left",
            Self::Right => "attend_right",
        }
    }
}

/// One trial of one subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    /// Seconds from the start of the recording, on a sample.
    pub(crate) onset: f64,
    pub(crate) side: Side,
    /// Index of the story pair.
    pub(crate) content: usize,
    /// Index of the attended talker (0 or 1).
    pub(crate) attended: usize,
    /// Seconds into the sound at the trial's start, for the attended and the other one.
    pub(crate) sound_onsets: [f64; 2],
}

/// Lead of every sound before the earliest trial start, in seconds. Starts are multiples of the
/// 2-s segments in which sounds are stored, so an epoch has exactly one segment.
pub(crate) const LEAD: f64 = 2.0;

/// Length of every sound in seconds.
pub(crate) fn sound_seconds(cfg: &TwoTalker) -> f64 {
    (LEAD + cfg.trial_seconds + 0.5).ceil()
}

/// The trials of a subject, in time order, and the length of the recording in whole seconds.
pub(crate) fn trials(cfg: &TwoTalker, subject: usize) -> (Vec<Trial>, usize) {
    const VERSIONS: [(Side, usize); 4] = [
        (Side::Left, 0),
        (Side::Left, 1),
        (Side::Right, 0),
        (Side::Right, 1),
    ];
    let mut order: Vec<usize> = (0..cfg.trials).collect();
    let mut rng = stream(cfg.seed, "order", &[subject]);
    order.shuffle(&mut rng);
    // Each run of four contents gets a random Latin square, shared by all subjects.
    let squares: Vec<[usize; 4]> = (0..cfg.trials / 4)
        .map(|block| {
            let mut columns = [0, 1, 2, 3];
            columns.shuffle(&mut stream(cfg.seed, "square", &[block, subject / 4]));
            columns
        })
        .collect();
    let mut t = 5.0;
    let mut out = Vec::with_capacity(cfg.trials);
    for content in order {
        let shift = squares.get(content / 4).map_or(0, |s| s[content % 4]);
        let (side, attended) = VERSIONS[(shift + subject) % 4];
        let mut sound_onset = || if rng.random::<bool>() { 0.0 } else { LEAD };
        let sound_onsets = [sound_onset(), sound_onset()];
        let onset = (t * cfg.sfreq).round() / cfg.sfreq;
        out.push(Trial {
            onset,
            side,
            content,
            attended,
            sound_onsets,
        });
        t = onset + cfg.trial_seconds + uniform(&mut rng, 2.5, 5.0);
    }
    (out, t.ceil() as usize)
}

/// `stimuli/...` path of a sound, relative to the raw root.
pub(crate) fn sound_path(content: usize, voice: &str) -> String {
    format!("stimuli/{}_talker-{voice}.wav", content_id(content))
}

/// Key of a story pair.
pub(crate) fn content_id(content: usize) -> String {
    format!("story-{:02}", content + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn design_is_balanced(seed in any::<u64>(), quarter in 1_usize..6, group in 1_usize..3) {
            let cfg = TwoTalker { seed, trials: quarter * 4, subjects: group * 4, ..TwoTalker::default() };
            let all: Vec<_> = (0..cfg.subjects).map(|s| trials(&cfg, s).0).collect();
            for subject in &all {
                // Every version equally often, every content once, in time order without overlap.
                for side in [Side::Left, Side::Right] {
                    for talker in 0..2 {
                        let n = subject.iter().filter(|t| t.side == side && t.attended == talker).count();
                        prop_assert_eq!(n, quarter);
                    }
                }
                let mut contents: Vec<_> = subject.iter().map(|t| t.content).collect();
                contents.sort_unstable();
                prop_assert_eq!(contents, (0..cfg.trials).collect::<Vec<_>>());
                for pair in subject.windows(2) {
                    prop_assert!(pair[1].onset - pair[0].onset >= cfg.trial_seconds + 2.0);
                }
            }
            // Over four subjects, every content in all its versions.
            for content in 0..cfg.trials {
                let mut versions: Vec<_> = all.iter().flatten().filter(|t| t.content == content)
                    .map(|t| (t.side == Side::Left, t.attended)).collect();
                versions.sort_unstable();
                versions.dedup();
                prop_assert_eq!(versions.len(), 4);
            }
        }
    }
}
