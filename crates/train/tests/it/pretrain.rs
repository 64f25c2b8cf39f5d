//! Stage 1 through its public door: what is learnt without labels, and what survives a stop.

use std::path::Path;

use mmpipe_train::{
    Error, Fold, MemorySource, ModelKind, PretrainConfig, PretrainObjective, PretrainReport,
    Silent, Size, StepConfig, TrainConfig, fit, pretrain, pretrain_memory,
};

use crate::toys::{Noise, StopAfter, by_trial, two_montages};

const BOTH: [PretrainObjective; 2] = [PretrainObjective::Joint, PretrainObjective::Labram];

/// Two montages, no labels.
fn unlabelled(trials: usize, seed: u64) -> MemorySource {
    let mut source = two_montages(trials, 6, seed);
    source.classes.clear();
    source.metas.iter_mut().for_each(|m| m.label = -1);
    source
}

fn small(objective: PretrainObjective) -> PretrainConfig {
    PretrainConfig {
        objective,
        size: Size::Tiny,
        codes: 16,
        code_dim: 8,
        decoder_depth: 1,
        kmeans_vectors: 64,
        revive_after: 4,
        steps: StepConfig {
            epochs: 2,
            batch: 8,
            lr: 1e-3,
            warmup: 0.5,
            ..StepConfig::self_supervised()
        },
        ..PretrainConfig::default()
    }
}

fn run(source: &MemorySource, fold: &Fold, cfg: &PretrainConfig, dir: &Path) -> PretrainReport {
    pretrain(source, fold, cfg, dir, &Silent).unwrap()
}

/// What later stages read, and the logs.
fn outputs(cfg: &PretrainConfig, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec!["model.safetensors".to_owned(), "config.json".to_owned()];
    let phases: &[&str] = match cfg.objective {
        PretrainObjective::Joint => &["joint"],
        PretrainObjective::Labram => &["tokeniser", "masked"],
    };
    names.extend(phases.iter().map(|p| format!("{p}/metrics.jsonl")));
    let read = |n: String| {
        let bytes = std::fs::read(dir.join(&n)).unwrap();
        (n, bytes)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn the_loss_falls_and_the_codes_are_used() {
    let source = unlabelled(6, 40);
    let fold = by_trial(&source, 4, 1);
    for objective in BOTH {
        let mut cfg = small(objective);
        cfg.steps.epochs = 8;
        let dir = tempfile::tempdir().unwrap();
        let report = run(&source, &fold, &cfg, dir.path());
        for phase in &report.phases {
            let (first, last) = (&phase.history[0], phase.history.last().unwrap());
            assert!(last.train_loss < 0.97 * first.train_loss, "{phase:#?}");
            assert!(last.val_loss < first.val_loss, "{phase:#?}");
            for record in &phase.history {
                assert!(record.named["perplexity"] > 1.5, "{record:?}");
                assert!(record.named["val_perplexity"] > 1.0, "{record:?}");
                let dead = record.named["dead_codes"];
                let used = record.named["codes_used"];
                assert!((16.0 * (1.0 - used) - dead).abs() < 1e-9, "{record:?}");
            }
        }
        let masked = report.phases.last().unwrap();
        // Some dozen tokens of validation say nothing of a share of right guesses; the loss does.
        let loss = |at: usize| masked.history[at].named["masked"];
        assert!(loss(7) < loss(0), "{masked:#?}");
        // The files: every variable of the encoder behind the prefix, and the prefix beside it.
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("config.json")).unwrap())
                .unwrap();
        assert_eq!(config["encoder_prefix"], report.encoder_prefix);
        assert_eq!(config["sfreq"], 200.0);
        let bytes = std::fs::read(dir.path().join("model.safetensors")).unwrap();
        let tensors =
            candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
        for name in ["cls_token", "pos_embed", "blocks.3.attn.qkv.weight"] {
            let name = format!("{}{name}", report.encoder_prefix);
            assert!(tensors.contains_key(&name), "{name}");
        }
        // A run that is done is not done again, and says the same.
        assert_eq!(run(&source, &fold, &cfg, dir.path()), report);
    }
}

#[test]
fn stopped_anywhere_it_ends_with_the_same_bytes() {
    let source = unlabelled(8, 41);
    let fold = by_trial(&source, 6, 1);
    for objective in BOTH {
        let mut cfg = small(objective);
        (cfg.steps.micro_batch, cfg.steps.ema) = (3, 0.9);
        let whole = tempfile::tempdir().unwrap();
        let report = run(&source, &fold, &cfg, whole.path());
        let parts = tempfile::tempdir().unwrap();
        let mut draw = Noise::new(7);
        let mut sittings = 1;
        loop {
            let steps = 1 + (f64::from(draw.next().abs()) * 4.0) as u64;
            // What does not change the result may change between sittings.
            cfg.steps.prefetch = sittings % 3;
            cfg.steps.cache_mib = sittings % 2;
            cfg.recompute = sittings % 2 == 0;
            match pretrain(&source, &fold, &cfg, parts.path(), &StopAfter::new(steps)) {
                Ok(continued) => {
                    for (a, b) in report.phases.iter().zip(&continued.phases) {
                        assert_eq!(a.history, b.history);
                        assert_eq!(a.best_step, b.best_step);
                    }
                    break;
                }
                Err(Error::Stopped { step, .. }) => assert!(step > 0),
                Err(e) => panic!("{e}"),
            }
            sittings += 1;
        }
        assert!(sittings > 2, "{sittings}");
        assert!(outputs(&cfg, whole.path()) == outputs(&cfg, parts.path()));
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let source = unlabelled(6, 42);
    let fold = by_trial(&source, 4, 1);
    for objective in BOTH {
        let mut cfg = small(objective);
        cfg.steps.epochs = 1;
        let with = |threads: usize| {
            let dir = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut cfg = cfg.clone();
            cfg.steps.prefetch = threads - 1;
            pool.install(|| run(&source, &fold, &cfg, dir.path()));
            outputs(&cfg, dir.path())
        };
        assert!(with(1) == with(3));
    }
}

#[test]
fn an_exploding_loss_stops_and_names_the_epochs() {
    let source = unlabelled(6, 43);
    let fold = by_trial(&source, 4, 1);
    let known: Vec<u64> = fold
        .train
        .iter()
        .map(|i| source.metas[*i].epoch_id)
        .collect();
    for objective in BOTH {
        let mut cfg = small(objective);
        cfg.steps = StepConfig {
            lr: 900.0,
            clip: 0.0,
            warmup: 0.0,
            explode: 2.0,
            epochs: 20,
            ..cfg.steps
        };
        let dir = tempfile::tempdir().unwrap();
        match pretrain(&source, &fold, &cfg, dir.path(), &Silent) {
            Err(Error::Diverged { epoch_ids, .. }) => {
                assert!(!epoch_ids.is_empty());
                assert!(epoch_ids.iter().all(|id| known.contains(id)));
            }
            other => panic!("{other:?}"),
        }
        assert!(!dir.path().join("model.safetensors").exists());
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let source = unlabelled(6, 44);
    let fold = by_trial(&source, 4, 1);
    let dir = tempfile::tempdir().unwrap();
    let said = |source: &MemorySource, fold: &Fold, cfg: &PretrainConfig| {
        pretrain(source, fold, cfg, dir.path(), &Silent)
            .unwrap_err()
            .to_string()
    };
    let cfg = small(PretrainObjective::Joint);
    let twice = Fold {
        val: fold.train[..1].to_vec(),
        ..fold.clone()
    };
    assert!(said(&source, &twice, &cfg).contains("two places"));
    let none = Fold {
        train: Vec::new(),
        ..fold.clone()
    };
    assert!(said(&source, &none, &cfg).contains("no training epoch"));
    let mut short = source.clone();
    short.n_times = 128;
    assert!(said(&short, &fold, &cfg).contains("patches of 200"));
    let mut layers = cfg.clone();
    layers.steps.layer_decay = 0.5;
    assert!(said(&source, &fold, &layers).contains("layer_decay"));
    let codes = PretrainConfig {
        codes: 0,
        ..cfg.clone()
    };
    assert!(said(&source, &fold, &codes).contains("`codes`"));
    // Another configuration does not go on where this one stands.
    run(&source, &fold, &cfg, dir.path());
    let other = PretrainConfig {
        mask_ratio: 0.4,
        ..cfg.clone()
    };
    assert!(said(&source, &fold, &other).contains("another configuration"));
    let fewer = by_trial(&source, 3, 1);
    assert!(said(&source, &fewer, &cfg).contains("other examples"));
}

#[test]
fn more_codes_than_patches_is_said() {
    let source = unlabelled(3, 45);
    let fold = by_trial(&source, 2, 1);
    let mut cfg = small(PretrainObjective::Joint);
    (cfg.codes, cfg.steps.epochs) = (4096, 1);
    let dir = tempfile::tempdir().unwrap();
    let report = run(&source, &fold, &cfg, dir.path());
    // Twelve epochs, of 4 channels or 2 that have a place, and two patches.
    let patches = 6 * (4 + 2) * 2;
    let note = format!("{patches} patches");
    assert!(
        report.notes.iter().any(|n| n.contains(&note)),
        "{:?}",
        report.notes
    );
}

/// The encoder's tensors of a checkpoint of a fit, by name.
fn encoder(dir: &Path, prefix: &str) -> Vec<(String, Vec<f32>)> {
    let read = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap()
    };
    let file = match dir.join("checkpoints").is_dir() {
        false => dir.join("model.safetensors"),
        true => {
            let first = std::fs::read_dir(dir.join("checkpoints")).unwrap().next();
            first.unwrap().unwrap().path().join("model.safetensors")
        }
    };
    let mut out: Vec<_> = read(&file)
        .into_iter()
        .filter_map(|(name, t)| {
            let values = t.flatten_all().unwrap().to_vec1().unwrap();
            Some((name.strip_prefix(prefix)?.to_owned(), values))
        })
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// Fine-tuning with a rate of nearly zero keeps the weights that it starts from.
#[test]
fn fine_tuning_starts_from_the_weights() {
    let unlabelled = unlabelled(6, 46);
    let fold = by_trial(&unlabelled, 4, 1);
    let labelled = two_montages(6, 6, 46);
    for objective in BOTH {
        let stage1 = tempfile::tempdir().unwrap();
        let mut cfg = small(objective);
        cfg.steps.epochs = 1;
        let report = run(&unlabelled, &fold, &cfg, stage1.path());
        let tune = TrainConfig {
            size: Size::Tiny,
            epochs: 1,
            batch: 8,
            lr: 1e-12,
            weight_decay: 0.0,
            init: Some(stage1.path().display().to_string()),
            ..TrainConfig::for_model(ModelKind::Mindmix)
        };
        let dir = tempfile::tempdir().unwrap();
        let fitted = fit(&labelled, &fold, &tune, dir.path(), &Silent).unwrap();
        let note = fitted.notes.iter().find(|n| n.contains("started from"));
        let note = note.unwrap_or_else(|| panic!("{:?}", fitted.notes));
        assert!(note.contains("tensors taken"), "{note}");
        let given = encoder(stage1.path(), &report.encoder_prefix);
        let found = encoder(dir.path(), "eeg_model.model.");
        let mut same = 0;
        for (name, values) in &found {
            let Some((_, start)) = given.iter().find(|(n, _)| n == name) else {
                // LaBraM's masked model has neither, and the note says that some start anew.
                assert!(
                    name.starts_with("fc_norm") || name.ends_with("_bias"),
                    "{name}"
                );
                assert!(note.contains("started anew"), "{note}");
                continue;
            };
            same += 1;
            for (a, b) in values.iter().zip(start) {
                assert!((a - b).abs() < 1e-6, "{name}: {a} {b}");
            }
        }
        assert!(same > 40, "{same}");
        // Without spatial table the rest is taken, and said.
        let blind = TrainConfig {
            spatial: false,
            ..tune.clone()
        };
        let other = tempfile::tempdir().unwrap();
        let fitted = fit(&labelled, &fold, &blind, other.path(), &Silent).unwrap();
        assert!(
            fitted.notes.iter().any(|n| n.contains("pos_embed")),
            "{:?}",
            fitted.notes
        );
        // What does not fit is refused before the first step.
        let refused = |cfg: &TrainConfig| {
            let dir = tempfile::tempdir().unwrap();
            fit(&labelled, &fold, cfg, dir.path(), &Silent)
                .unwrap_err()
                .to_string()
        };
        let base = TrainConfig {
            size: Size::Base,
            ..tune.clone()
        };
        assert!(refused(&base).contains("train.size"));
        let absent = TrainConfig {
            init: Some("absent.safetensors".into()),
            ..tune.clone()
        };
        assert!(refused(&absent).contains("absent.safetensors"));
        let eegnet = TrainConfig {
            model: ModelKind::Eegnet,
            ..tune.clone()
        };
        assert!(refused(&eegnet).contains("`init`"));
        if objective == PretrainObjective::Labram {
            let tokeniser = TrainConfig {
                init: Some(stage1.path().join("tokeniser").display().to_string()),
                ..tune.clone()
            };
            assert!(refused(&tokeniser).contains("tokeniser"));
        }
    }
}

#[test]
fn the_estimate_of_memory_follows_the_settings() {
    let source = unlabelled(6, 47);
    let fold = by_trial(&source, 4, 1);
    for objective in BOTH {
        let cfg = small(objective);
        let of = |change: &dyn Fn(&mut PretrainConfig)| {
            let mut cfg = cfg.clone();
            change(&mut cfg);
            pretrain_memory(&source, &fold, &cfg).unwrap()
        };
        let plain = of(&|_| {});
        assert!(plain.weights > 4 * 4 * 400_000, "{plain:?}");
        let half = of(&|c| c.steps.micro_batch = 4);
        assert_eq!(2 * half.activations, plain.activations);
        assert_eq!((half.rows, plain.rows), (4, 8));
        assert!(of(&|c| c.recompute = true).activations < plain.activations);
        assert!(of(&|c| c.codes = 4096).activations > plain.activations);
        assert!(of(&|c| c.steps.ema = 0.9).weights > plain.weights);
        assert!(of(&|c| c.steps.cache_mib = 0).examples < plain.examples);
        let advice = plain.advice(plain.total() - 1, "pretrain.steps").unwrap();
        assert!(advice.contains("pretrain.steps.micro_batch=7"), "{advice}");
    }
}
