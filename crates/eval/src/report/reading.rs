//! What the numbers say, in plain words, by fixed rules that the page states.

use super::html::score;
use crate::result::{RunSummary, Scores};

/// Level of the permutation test below which a score counts as above chance.
pub(super) const ALPHA: f64 = 0.05;

/// How a line is to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Flat,
    Warn,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Flat => "flat",
            Self::Warn => "warn",
        }
    }
}

/// Whether a score stands above chance: its permutation test is below [`ALPHA`] and its interval,
/// where there is one, lies above the chance level. `None` without a test.
pub(super) fn above_chance(scores: &Scores) -> Option<bool> {
    let test = scores.permutation.as_ref()?;
    let clear = scores
        .interval
        .as_ref()
        .is_none_or(|i| i.low > scores.chance.balanced_accuracy);
    Some(test.p < ALPHA && clear)
}

/// The mean over folds, or the value of all epochs together where no fold has two classes.
pub(super) fn headline(scores: &Scores) -> String {
    match &scores.over_folds.balanced_accuracy {
        Some(m) => match m.std {
            Some(std) => format!("{} ± {}", score(m.mean), score(std)),
            None => score(m.mean),
        },
        None => score(scores.balanced_accuracy),
    }
}

pub(super) fn headline_value(scores: &Scores) -> f64 {
    scores
        .over_folds
        .balanced_accuracy
        .as_ref()
        .map_or(scores.balanced_accuracy, |m| m.mean)
}

/// A short verdict on a run.
pub(super) fn badge(run: &RunSummary) -> (Tone, &'static str) {
    let above = above_chance(&run.scores);
    let control = run.controls.iter().any(|c| above_chance(c) == Some(true));
    match (above, control) {
        (None, _) => (Tone::Flat, "not tested"),
        (Some(true), true) => (Tone::Warn, "above chance, and so is a control"),
        (Some(false), true) => (Tone::Warn, "a control is above chance"),
        (Some(true), false) if run.leaky() => (Tone::Warn, "above chance on a leaky split"),
        (Some(true), false) if run.controls.is_empty() => (Tone::Flat, "above chance, no control"),
        (Some(true), false) => (Tone::Good, "above chance"),
        (Some(false), false) => (Tone::Flat, "not above chance"),
    }
}

/// One paragraph on a run.
pub(super) fn sentence(run: &RunSummary) -> String {
    let s = &run.scores;
    let chance = score(s.chance.balanced_accuracy);
    let mut text = format!(
        "{} reaches a balanced accuracy of {} (mean and standard deviation over {} folds); chance is {chance}.",
        run.meta.model,
        headline(s),
        s.folds.len()
    );
    if let Some(i) = &s.interval {
        text.push_str(&format!(
            " All test epochs together give {} with a {:.0} % interval of {} to {} over {} {}s.",
            score(s.balanced_accuracy),
            100.0 * i.level,
            score(i.low),
            score(i.high),
            i.units,
            i.unit
        ));
    }
    if !run.controls.is_empty() {
        let list: Vec<String> = run
            .controls
            .iter()
            .map(|c| format!("{} {}", c.name, headline(c)))
            .collect();
        text.push_str(&format!(" Its controls: {}.", list.join(", ")));
    }
    if !run.baselines.is_empty() {
        let list: Vec<String> = run
            .baselines
            .iter()
            .map(|c| format!("{} {}", c.name, headline(c)))
            .collect();
        text.push_str(&format!(" Beside it: {}.", list.join(", ")));
    }
    text.push_str(match badge(run).0 {
        Tone::Warn if run.leaky() => {
            " The split is leaky, so this number says how well the model recognises what both sides share, and is not evidence for the question asked."
        }
        Tone::Warn => " A control is above chance, so something other than the question asked tells the labels.",
        Tone::Good => " The score stands above chance and its controls do not.",
        Tone::Flat if above_chance(s) == Some(false) => " This is not distinguishable from guessing.",
        Tone::Flat => "",
    });
    text
}

/// Sentences that compare runs of one model on one data set under a leaky and an honest split.
pub(super) fn comparisons(runs: &[RunSummary]) -> Vec<String> {
    let mut out = Vec::new();
    for leaky in runs.iter().filter(|r| r.leaky()) {
        for honest in runs.iter().filter(|r| !r.leaky()) {
            let same = leaky.meta.model == honest.meta.model
                && leaky.meta.dataset == honest.meta.dataset
                && leaky.meta.scoring == honest.meta.scoring;
            if !same {
                continue;
            }
            let (a, b) = (
                headline_value(&leaky.scores),
                headline_value(&honest.scores),
            );
            let mut text = format!(
                "{} scores {} under {} (leaky) and {} under {}.",
                leaky.meta.model,
                score(a),
                leaky.meta.protocol,
                score(b),
                honest.meta.protocol
            );
            let chance = honest.scores.chance.balanced_accuracy;
            text.push_str(&match above_chance(&honest.scores) {
                Some(false) if a - b > 0.05 => format!(
                    " Once {} nothing above chance ({}) remains: it had recognised what the two sides of the leaky split share.",
                    apart(&honest.meta.protocol),
                    score(chance)
                ),
                Some(true) if a - b > 0.05 => format!(
                    " The difference of {} is what the leak was worth; the rest holds.",
                    score(a - b)
                ),
                Some(true) => " The effect does not rest on the leak.".to_owned(),
                _ => String::new(),
            });
            out.push(text);
        }
    }
    out
}

fn apart(protocol: &str) -> &'static str {
    match protocol {
        "between-trial" => "trials are kept apart",
        "content-disjoint" => "stories and sounds are kept apart",
        "cross-subject" => "subjects are kept apart",
        _ => "the sides are kept apart",
    }
}

/// What a control or baseline of a known name does.
pub(super) fn explain(name: &str) -> &'static str {
    match name {
        "noise-eeg" => {
            "the trained model, tested with each EEG epoch replaced by noise of the same spectrum and random phases"
        }
        "label-permuted" => {
            "the model trained again on labels exchanged between trials; above chance means a leak or a fault"
        }
        "audio-only" => {
            "the model trained again with zeros in the place of the EEG: what the sound alone tells"
        }
        "eeg-only" => "the EEG without the sound",
        "bandpower-lr" => "logistic regression on the logarithm of band powers",
        "ridge" => {
            "the envelope of the attended sound reconstructed from the EEG by ridge regression, lags 0 to 400 ms"
        }
        "majority" => "always the most frequent training label",
        _ => "",
    }
}
