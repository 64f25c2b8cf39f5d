//! Classes from EEG refined by the sound that was heard, and the control that tells whether the sound
//! alone was enough.

use mmpipe_train::{
    Control, Fold, MemorySource, ModelKind, Select, Silent, TrainConfig, fold_dir, run,
};

use crate::hearing::listener;
use crate::toys::{Noise, accuracy, by_trial, two_montages};

fn real() -> TrainConfig {
    TrainConfig {
        model: ModelKind::MindmixReal,
        epochs: 14,
        lr: 3e-3,
        select: Select::BalancedAccuracy,
        ..listener()
    }
}

/// Two classes by trial. Sounds of eight voices, low and high: by class where the sound tells it, else by
/// chance. The EEG is slow or fast by its class, or noise alone.
fn heard(eeg_tells: bool, sound_tells: bool) -> (MemorySource, Fold) {
    let mut source = two_montages(60, 4, 3);
    let mut noise = Noise::new(11);
    let wave = |t: usize, rate: f32, hz: f32| (t as f32 / rate * hz * std::f32::consts::TAU).sin();
    let sound = |kind: usize| -> Vec<f32> {
        // Low or high, with syllables of four rhythms.
        let tone = if kind.is_multiple_of(2) {
            250.0
        } else {
            2500.0
        };
        let loud = |t: usize| 0.55 + 0.45 * wave(t, 16_000.0, 2.0 + (kind / 2) as f32);
        let one = |t: usize| loud(t) * wave(t, 16_000.0, tone);
        (0..32_000).map(one).collect()
    };
    let sounds: Vec<Vec<f32>> = (0..8).map(sound).collect();
    for i in 0..source.metas.len() {
        let voice = ((0.5 + 0.5 * noise.next()) * 4.0) as usize % 4;
        let label = source.metas[i].label as usize;
        let class = match sound_tells {
            true => label,
            false => usize::from(noise.next() > 0.0),
        };
        let kind = 2 * voice + class;
        source.candidates.push(vec![sounds[kind].clone()]);
        source.keys.push(vec![kind as u64]);
        source.metas[i].candidates = 1;
        let hz = if label == 0 { 4.0 } else { 25.0 };
        for (t, x) in source.eeg[i].iter_mut().enumerate() {
            let rhythm = if eeg_tells {
                wave(t % 400, 200.0, hz)
            } else {
                0.0
            };
            *x = rhythm + 0.7 * noise.next();
        }
    }
    let fold = by_trial(&source, 44, 6);
    (source, fold)
}

/// Accuracy of the run, on noise in the place of EEG, and of the sound alone; and the notes of the run.
fn scores(source: &MemorySource, fold: &Fold) -> (f64, f64, f64, String) {
    let dir = tempfile::tempdir().unwrap();
    let controls = [Control::NoiseEeg, Control::AudioOnly];
    let folds = std::slice::from_ref(fold);
    let report = run(source, folds, &real(), dir.path(), &controls, &Silent).unwrap();
    let [own, sound] = report.fits.as_slice() else {
        panic!("the run and one control that trains");
    };
    assert_eq!(sound.control, Some(Control::AudioOnly));
    assert!(
        sound.notes.join("; ").contains("zeros"),
        "{:?}",
        sound.notes
    );
    assert!(
        fold_dir(dir.path(), Some(Control::AudioOnly), 0)
            .join("fit.json")
            .exists()
    );
    assert!(
        own.history[0].named.contains_key("contrast"),
        "{:?}",
        own.history
    );
    // Done is done, in the control as well.
    let again = run(source, folds, &real(), dir.path(), &controls, &Silent).unwrap();
    assert_eq!(report.fits, again.fits);
    assert_eq!(report.predictions, again.predictions);
    let of = |n: usize| accuracy(&report.predictions[n].1);
    (of(0), of(1), of(2), own.notes.join("; "))
}

#[test]
fn a_class_that_the_eeg_shows_is_learnt_and_the_sound_alone_has_none() {
    let (mut source, fold) = heard(true, false);
    // One example without a sound, one without a label.
    source.metas[0].candidates = 0;
    source.metas[1].label = -1;
    let (own, noise, sound, notes) = scores(&source, &fold);
    assert!(own > 0.8, "{own}");
    // 40 test epochs of 10 trials.
    assert!((0.25..0.75).contains(&noise), "{noise}");
    assert!((0.25..0.75).contains(&sound), "{sound}");
    assert!(
        notes.contains("2 of 176 training epochs were left out"),
        "{notes}"
    );
    assert!(!notes.contains("the sound alone"), "{notes}");
}

#[test]
fn a_class_that_the_sound_has_is_found_out() {
    let (source, fold) = heard(false, true);
    let (own, _, sound, notes) = scores(&source, &fold);
    // A score that looks like decoding, of EEG in which there is nothing.
    assert!(own > 0.8, "{own}");
    assert!(sound > 0.8, "{sound}");
    assert!(
        notes.contains("the sound alone can tell the class: 40 of 40 test epochs"),
        "{notes}"
    );
}

#[test]
fn the_sound_alone_is_asked_of_those_that_hear() {
    let (source, fold) = heard(true, false);
    let dir = tempfile::tempdir().unwrap();
    let folds = std::slice::from_ref(&fold);
    let cfg = TrainConfig {
        model: ModelKind::Mindmix,
        ..real()
    };
    let e = run(
        &source,
        folds,
        &cfg,
        dir.path(),
        &[Control::AudioOnly],
        &Silent,
    )
    .unwrap_err();
    assert!(e.to_string().contains("mindmix-real"), "{e}");
    let mut unheard = source;
    unheard.metas.iter_mut().for_each(|m| m.candidates = 0);
    let e = run(&unheard, folds, &real(), dir.path(), &[], &Silent).unwrap_err();
    assert!(e.to_string().contains("a sound that was heard"), "{e}");
}
