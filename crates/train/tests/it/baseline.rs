//! The classical baseline through the public door.

use mmpipe_train::{
    Control, Ended, ModelKind, Silent, Standardise, TrainConfig, fit, predict, run,
};

use crate::toys::{accuracy, by_trial, rhythms};

fn config() -> TrainConfig {
    TrainConfig {
        bands: vec![(1.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, 30.0)],
        ..TrainConfig::for_model(ModelKind::BandpowerLr)
    }
}

#[test]
fn band_powers_tell_rhythms_apart_and_controls_do_not() {
    let source = rhythms(3, 12, 5, 20);
    let fold = by_trial(&source, 6, 2);
    let dir = tempfile::tempdir().unwrap();
    let controls = [Control::NoiseEeg, Control::LabelPermuted];
    let report = run(&source, &[fold], &config(), dir.path(), &controls, &Silent).unwrap();
    assert_eq!(report.fits[0].ended, Ended::Converged);
    assert_eq!(report.fits[0].parameters, 4 * 4 + 1);
    let score: Vec<f64> = report
        .predictions
        .iter()
        .map(|(_, p)| accuracy(p))
        .collect();
    assert!(score[0] > 0.95, "{score:?}");
    assert!((0.3..0.7).contains(&score[1]), "{score:?}");
    assert!((0.2..0.8).contains(&score[2]), "{score:?}");
}

/// The scale that undoes the z-score is used: subjects differ in gain, classes in power alone.
#[test]
fn absolute_power_is_read_through_the_scale_and_subjects_are_standardised_on_request() {
    let mut source = rhythms(4, 8, 6, 21);
    let mut noise = crate::toys::Noise::new(3);
    for i in 0..source.metas.len() {
        let gain = 1.0 + 9.0 * (i / 48) as f32;
        let loud = if source.metas[i].label == 1 { 1.5 } else { 1.0 };
        source.eeg[i]
            .iter_mut()
            .for_each(|x| *x = noise.next() * 1.7);
        source.scale[i] = vec![(0.0, gain * loud); 4];
    }
    // Subjects kept apart: the last is tested.
    let of = |s: &[usize]| {
        (0..192)
            .filter(|i| s.contains(&(i / 48)))
            .collect::<Vec<_>>()
    };
    let fold = mmpipe_train::Fold {
        fold: 2,
        train: of(&[0, 1]),
        val: of(&[2]),
        test: of(&[3]),
    };
    let score = |standardise| {
        let cfg = TrainConfig {
            standardise,
            ..config()
        };
        let dir = tempfile::tempdir().unwrap();
        let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
        let predictions = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
        assert!(predictions.iter().all(|p| p.fold == 2));
        let said = report
            .notes
            .iter()
            .any(|n| n.contains("unlabelled data of the test subjects"));
        (accuracy(&predictions), said)
    };
    let (train, said) = score(Standardise::Train);
    assert!(train < 0.7 && !said, "{train}");
    let (within, said) = score(Standardise::WithinSubject);
    assert!(within > 0.9 && said, "{within}");
}
