//! Can the sound alone tell the answer? Computed from what trials, streams and stimuli say.
//!
//! Two questions, each answered without any EEG, for held-out subjects (recordings or trials where
//! there is only one):
//!
//! - *The label*: every value of a cue (a content, a set of sounds, who was attended, ...) is given
//!   the label that it had for most of the time elsewhere. Scored by balanced accuracy.
//! - *The attended sound*: of the sounds of a trial the one is chosen whose cue (the file, the
//!   speaker, the side, ...) was attended for the largest share of the time elsewhere. Scored by
//!   the share of the time in which that is right; ties count in part.
//!
//! A design can also hang together within groups of listeners only, so that what one half of the
//! subjects answers the other half contradicts. [`Cue::LikeListeners`] asks for that: the label
//! that a content had for those other subjects whose labels for all other contents agree best with
//! this one's.
//!
//! A score is a warning when it exceeds chance by [`MARGIN`] and by two standard errors of guessing
//! as many trials.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Row;
use crate::audit::alone::{Counts, Score, majority};

mod choice;
mod listeners;

pub use choice::{By, ChoiceScore};

/// What is too little above chance to speak of.
pub(crate) const MARGIN: f64 = 0.05;

/// What is known of a trial without its EEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cue {
    /// Story, piece or clip.
    Content,
    /// The content, as listeners who were asked alike heard it.
    LikeListeners,
    /// All sounds of the trial and where each was played.
    Sounds,
    /// The attended sound.
    Attended,
    /// Where the attended sound was played.
    Side,
    /// Who is attended.
    Speaker,
    /// Gender of the attended speaker.
    Gender,
}

impl Cue {
    /// All cues of the label.
    const ALL: [Cue; 7] = [
        Cue::Content,
        Cue::LikeListeners,
        Cue::Sounds,
        Cue::Attended,
        Cue::Side,
        Cue::Speaker,
        Cue::Gender,
    ];

    /// The value in an epoch's trial; `None` where it is not known.
    pub(crate) fn of(self, row: &Row) -> Option<String> {
        match self {
            Cue::Content | Cue::LikeListeners => row.content_id.clone(),
            Cue::Sounds => {
                // The debug form quotes, so that no two sets run together.
                let heard: BTreeSet<_> = row.heard.iter().map(|h| (&h.sound, &h.side)).collect();
                (!heard.is_empty()).then(|| format!("{heard:?}"))
            }
            Cue::Attended => Some(row.attended()?.sound.clone()),
            Cue::Side => row.attended()?.side.clone(),
            Cue::Speaker => row.attended()?.speaker.clone(),
            Cue::Gender => row.attended()?.gender.clone(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Cue::Content => "content",
            Cue::LikeListeners => "content, by listeners asked alike",
            Cue::Sounds => "sounds and their sides",
            Cue::Attended => "attended sound",
            Cue::Side => "attended side",
            Cue::Speaker => "attended speaker",
            Cue::Gender => "attended gender",
        }
    }
}

/// What is left out in turn, so that nothing is asked that was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOut {
    /// Each subject.
    Subject,
    /// Each recording, of a single subject.
    Recording,
    /// Each trial, of a single recording.
    Trial,
}

/// How well one cue tells the label, over the trials that have the cue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CueScore {
    /// The cue.
    pub cue: Cue,
    /// Mean over classes of the share of the time in which the guess is right.
    pub balanced_accuracy: f64,
    /// 1 / classes.
    pub chance: f64,
    /// Share of the time in which the guess is right.
    pub accuracy: f64,
    /// Share of all labelled time whose trials have the cue.
    pub known_share: f64,
    /// Share of that time whose cue was met elsewhere too.
    pub seen_share: f64,
    /// Whether cue and label are one thing under two names (a side that is the label itself).
    pub is_label: bool,
    /// Whether a reader must be warned.
    pub warns: bool,
}

/// What the sound alone tells, of one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioOnly {
    /// What was left out in turn.
    pub held_out: HeldOut,
    /// Trials that have a label or a choice of sounds.
    pub trials: u64,
    /// Their time, s.
    pub seconds: f64,
    /// The label from each cue; empty where there are no labels or fewer than two classes.
    pub label: Vec<CueScore>,
    /// The attended sound from each cue; empty where no trial has a choice.
    pub attended: Vec<ChoiceScore>,
    /// One sentence for each score that warns.
    pub warnings: Vec<String>,
}

/// Epochs of one trial with one label.
struct Item<'a> {
    row: &'a Row,
    label: Option<i32>,
    epochs: u64,
    /// What is left out with it.
    group: usize,
}

/// What the sound alone tells of these epochs; `None` where they have no sound and no content, or
/// lie in a single trial.
pub fn audio_only(rows: &[Row]) -> Option<AudioOnly> {
    let mut trials: BTreeMap<_, (&Row, u64)> = BTreeMap::new();
    let mut seconds = 0.0;
    for row in rows {
        let heard = row.content_id.is_some() || !row.heard.is_empty();
        if heard && (row.label.is_some() || choice::is_one(row)) {
            trials
                .entry((row.trial_key(), row.label))
                .or_insert((row, 0))
                .1 += 1;
            seconds += row.seconds;
        }
    }
    let (held_out, groups) = groups(&trials.values().map(|t| t.0).collect::<Vec<_>>())?;
    let items: Vec<Item<'_>> = trials
        .into_iter()
        .zip(groups)
        .map(|(((_, label), (row, epochs)), group)| Item {
            row,
            label,
            epochs,
            group,
        })
        .collect();
    let trials = items
        .iter()
        .map(|i| i.row.trial_key())
        .collect::<BTreeSet<_>>()
        .len() as u64;
    let label: Vec<CueScore> = Cue::ALL
        .into_iter()
        .filter_map(|cue| score(&items, cue, trials))
        .collect();
    let attended = choice::scores(&items, trials);
    if label.is_empty() && attended.is_empty() {
        return None;
    }
    let mut found = AudioOnly {
        held_out,
        trials,
        seconds,
        label,
        attended,
        warnings: Vec::new(),
    };
    found.warnings = found.sentences();
    Some(found)
}

/// What is left out, and for each trial the number of its group.
fn groups(rows: &[&Row]) -> Option<(HeldOut, Vec<usize>)> {
    type Group = fn(&Row) -> (&str, &str, i32);
    let ways: [(HeldOut, Group); 3] = [
        (HeldOut::Subject, |r| (&r.subject, "", 0)),
        (HeldOut::Recording, |r| (&r.subject, &r.recording, 0)),
        (HeldOut::Trial, |r| (&r.subject, &r.recording, r.trial)),
    ];
    for (held_out, key) in ways {
        let names: BTreeSet<_> = rows.iter().map(|r| key(r)).collect();
        if names.len() > 1 {
            let number: BTreeMap<_, usize> = names.into_iter().zip(0..).collect();
            let numbers = rows.iter().filter_map(|r| number.get(&key(r)).copied());
            return Some((held_out, numbers.collect()));
        }
    }
    None
}

/// Whether a score is above chance by more than guessing would be.
fn warns(score: f64, chance: f64, trials: u64) -> bool {
    let error = (chance * (1.0 - chance) / trials.max(1) as f64).sqrt();
    score > chance + MARGIN.max(2.0 * error)
}

/// The label from a cue; `None` where no trial has the cue or there is one class only.
fn score(items: &[Item<'_>], cue: Cue, trials: u64) -> Option<CueScore> {
    let keys: Vec<Option<String>> = items.iter().map(|i| cue.of(i.row)).collect();
    let labelled = || {
        items
            .iter()
            .zip(&keys)
            .filter_map(|(i, key)| Some((i, key.as_deref(), i.label?)))
    };
    let mut all: Counts<Option<&str>> = Counts::new();
    let mut own: Counts<(usize, Option<&str>)> = Counts::new();
    // The key of `None` counts everything, for guesses about what was never met.
    for (item, key, label) in labelled() {
        for key in [None, key].into_iter().take(1 + usize::from(key.is_some())) {
            *all.entry(key).or_default().entry(label).or_default() += item.epochs;
            let own = own.entry((item.group, key)).or_default();
            *own.entry(label).or_default() += item.epochs;
        }
    }
    let elsewhere = |group: usize, key: Option<&str>| -> Option<i32> {
        let mut labels = all.get(&key)?.clone();
        for (label, n) in own.get(&(group, key)).into_iter().flatten() {
            *labels.entry(*label).or_default() -= n;
        }
        majority(&labels)
    };
    let alike = (cue == Cue::LikeListeners).then(|| listeners::Listeners::new(items));
    let (mut score, mut total) = (Score::default(), 0_u64);
    for (item, key, label) in labelled() {
        total += item.epochs;
        // A trial without the cue (one of EEG alone) says nothing of the cue.
        let Some(value) = key else { continue };
        let learned = match &alike {
            Some(alike) => alike.guess(&item.row.subject, value),
            None => elsewhere(item.group, key),
        };
        // Where nothing at all was learned, any guess is as wrong as another.
        let fallback = elsewhere(item.group, None).unwrap_or(label.wrapping_add(1));
        score.take((label, item.epochs), true, learned, fallback);
    }
    let alone = score.finish()?;
    // One class is no question, and what nobody else met is no answer.
    if alone.chance == 1.0 || (alike.is_some() && alone.seen_share == 0.0) {
        return None;
    }
    let known: u64 = labelled()
        .filter_map(|(item, key, _)| key.map(|_| item.epochs))
        .sum();
    let pairs: BTreeSet<(&str, i32)> = labelled()
        .filter_map(|(_, key, label)| Some((key?, label)))
        .collect();
    let values: BTreeSet<&str> = pairs.iter().map(|p| p.0).collect();
    let classes: BTreeSet<i32> = pairs.iter().map(|p| p.1).collect();
    let is_label = pairs.len() == values.len() && pairs.len() == classes.len();
    Some(CueScore {
        cue,
        balanced_accuracy: alone.balanced_accuracy,
        chance: alone.chance,
        accuracy: score.accuracy(),
        known_share: known as f64 / total as f64,
        seen_share: alone.seen_share,
        is_label,
        warns: !is_label && warns(alone.balanced_accuracy, alone.chance, trials),
    })
}

impl AudioOnly {
    fn sentences(&self) -> Vec<String> {
        let label = self.label.iter().filter(|s| s.warns).map(|s| {
            format!(
                "the {} alone tells the label with a balanced accuracy of {:.2} (chance {:.2})",
                s.cue.words(),
                s.balanced_accuracy,
                s.chance
            )
        });
        let attended = self.attended.iter().filter(|s| s.warns).map(|s| {
            format!(
                "which sound is attended can be told by its {} alone, right for {:.0} % of the time (chance {:.0} %)",
                s.by,
                100.0 * s.accuracy,
                100.0 * s.chance
            )
        });
        label.chain(attended).collect()
    }
}

impl fmt::Display for AudioOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held_out = match self.held_out {
            HeldOut::Subject => "subject",
            HeldOut::Recording => "recording",
            HeldOut::Trial => "trial",
        };
        writeln!(
            f,
            "sound alone what is known without EEG, each {held_out} left out in turn ({} trials)",
            self.trials
        )?;
        for s in &self.label {
            let note = match (s.is_label, s.warns) {
                (true, _) => "; it is the label itself",
                (_, true) => "  WARNING",
                _ => "",
            };
            writeln!(
                f,
                "            label by {}: balanced accuracy {:.2}, chance {:.2}{note}",
                s.cue.words(),
                s.balanced_accuracy,
                s.chance
            )?;
        }
        for s in &self.attended {
            let note = if s.warns { "  WARNING" } else { "" };
            writeln!(
                f,
                "            attended sound by {}: right {:.0} % of the time, chance {:.0} %{note}",
                s.by,
                100.0 * s.accuracy,
                100.0 * s.chance
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning     {warning}")?;
        }
        Ok(())
    }
}
