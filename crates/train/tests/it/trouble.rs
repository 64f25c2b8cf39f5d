//! Bad data and bad settings give errors that say where.

use mmpipe_train::{
    AlignConfig, Error, Fold, FusionKind, MemorySource, ModelKind, PretrainConfig,
    PretrainObjective, Silent, Size, StepConfig, TrainConfig, align, fit, predict, pretrain,
};

use crate::toys::{by_trial, rhythms, small, talkers};

#[test]
fn an_exploding_loss_stops_and_names_the_epochs() {
    let source = rhythms(1, 8, 4, 30);
    let fold = by_trial(&source, 6, 1);
    let cfg = TrainConfig {
        lr: 900.0,
        clip: 0.0,
        warmup: 0.0,
        explode: 5.0,
        epochs: 50,
        ..small()
    };
    let dir = tempfile::tempdir().unwrap();
    match fit(&source, &fold, &cfg, dir.path(), &Silent) {
        Err(Error::Diverged {
            epoch_ids, step, ..
        }) => {
            assert!(step > 0);
            assert!(!epoch_ids.is_empty());
            let known: Vec<u64> = fold
                .train
                .iter()
                .map(|i| source.metas[*i].epoch_id)
                .collect();
            assert!(epoch_ids.iter().all(|id| known.contains(id)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sample_that_is_not_a_number_is_named() {
    let mut source = rhythms(1, 8, 4, 31);
    source.eeg[3][130] = f32::NAN;
    let fold = by_trial(&source, 6, 1);
    let dir = tempfile::tempdir().unwrap();
    let err = fit(&source, &fold, &small(), dir.path(), &Silent).unwrap_err();
    let text = err.to_string();
    assert!(
        text.contains("00000000000003eb") && text.contains("sample 2 of channel 1"),
        "{text}"
    );
}

#[test]
fn folds_and_labels_that_cannot_work_are_refused() {
    let mut source = rhythms(1, 8, 4, 32);
    let dir = tempfile::tempdir().unwrap();
    let said = |source: &_, fold: &Fold, cfg: &TrainConfig| {
        fit(source, fold, cfg, dir.path(), &Silent)
            .unwrap_err()
            .to_string()
    };
    let fold = by_trial(&source, 6, 1);
    let twice = Fold {
        val: fold.train[..1].to_vec(),
        ..fold.clone()
    };
    assert!(said(&source, &twice, &small()).contains("two places"));
    let beyond = Fold {
        test: vec![999],
        ..fold.clone()
    };
    assert!(said(&source, &beyond, &small()).contains("999"));
    let one_class = Fold {
        train: (0..4).collect(),
        ..Fold::default()
    };
    assert!(said(&source, &one_class, &small()).contains("one class (slow)"));
    let matching = TrainConfig::for_model(ModelKind::Aadnet);
    assert!(said(&source, &fold, &matching).contains("candidate sounds"));
    source.metas[2].label = 7;
    assert!(said(&source, &fold, &small()).contains("label 7"));
    let err = predict(&source, &[0], &small(), dir.path(), None)
        .unwrap_err()
        .to_string();
    assert!(err.contains("no checkpoint"), "{err}");
}

#[test]
fn settings_are_checked_and_unknown_ones_refused() {
    for (cfg, field) in [
        (
            TrainConfig {
                batch: 0,
                ..small()
            },
            "batch",
        ),
        (
            TrainConfig {
                lr: f64::NAN,
                ..small()
            },
            "lr",
        ),
        (
            TrainConfig {
                dropout: Some(1.0),
                ..small()
            },
            "dropout",
        ),
        (
            TrainConfig {
                bands: vec![(8.0, 4.0)],
                ..small()
            },
            "bands",
        ),
    ] {
        assert!(matches!(cfg.check(), Err(Error::Config { field: f, .. }) if f == field));
    }
    let text = serde_json::to_string(&small()).unwrap();
    assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), small());
    let err = serde_json::from_str::<TrainConfig>("{\"learning_rate\":1}").unwrap_err();
    assert!(err.to_string().contains("learning_rate"), "{err}");
    let some: TrainConfig = serde_json::from_str("{\"model\":\"bandpower-lr\"}").unwrap();
    assert_eq!(some.model, ModelKind::BandpowerLr);
}

/// What stops a run that meets numbers beyond f32: the epochs of the batch, the bad one among them.
fn stopped(what: &str, result: Result<(), Error>, bad: u64, batch: usize, known: &[u64]) {
    match result {
        Err(Error::Diverged {
            epoch_ids, reason, ..
        }) => {
            assert!(
                reason.contains("NaN") || reason.contains("inf"),
                "{what}: {reason}"
            );
            assert!(epoch_ids.contains(&bad), "{what}: {epoch_ids:?}");
            assert!(epoch_ids.len() <= batch, "{what}: {epoch_ids:?}");
            assert!(epoch_ids.iter().all(|id| known.contains(id)), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn numbers_beyond_f32_stop_every_stage_and_are_named() {
    // Finite, so the reader lets it pass; its squares are not.
    let beyond = |source: &mut MemorySource, i: usize| {
        source.eeg[i].iter_mut().for_each(|x| *x = 3e38);
        source.metas[i].epoch_id
    };
    let mut heard = talkers(6, 4, 33, 200);
    let fold = by_trial(&heard, 4, 1);
    let bad = beyond(&mut heard, fold.train[5]);
    let known: Vec<u64> = fold
        .train
        .iter()
        .map(|i| heard.metas[*i].epoch_id)
        .collect();
    let steps = StepConfig {
        epochs: 1,
        batch: 4,
        ..StepConfig::self_supervised()
    };
    for objective in [PretrainObjective::Joint, PretrainObjective::Labram] {
        let cfg = PretrainConfig {
            objective,
            size: Size::Tiny,
            codes: 8,
            code_dim: 8,
            decoder_depth: 1,
            kmeans_vectors: 8,
            steps: steps.clone(),
            ..PretrainConfig::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let ran = pretrain(&heard, &fold, &cfg, dir.path(), &Silent).map(drop);
        stopped(&format!("{objective:?}"), ran, bad, 4, &known);
    }
    for fusion in [FusionKind::CalraPaper, FusionKind::Clip] {
        let cfg = AlignConfig {
            size: Size::Tiny,
            fusion,
            steps: steps.clone(),
            ..AlignConfig::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let ran = align(&heard, &fold, &cfg, dir.path(), &Silent).map(drop);
        stopped("align", ran, bad, 4, &known);
    }
    let mut classes = heard.clone();
    classes.classes = vec!["a".into(), "b".into()];
    for m in &mut classes.metas {
        m.label = m.trial % 2;
    }
    for model in [
        ModelKind::Mindmix,
        ModelKind::MindmixAv,
        ModelKind::MindmixReal,
        ModelKind::MindmixPrototype,
        ModelKind::Eegnet,
    ] {
        let cfg = TrainConfig {
            size: Size::Tiny,
            epochs: 1,
            batch: 4,
            ..TrainConfig::for_model(model)
        };
        let dir = tempfile::tempdir().unwrap();
        let ran = fit(&classes, &fold, &cfg, dir.path(), &Silent).map(drop);
        stopped(&format!("{model:?}"), ran, bad, 4, &known);
    }
}
