//! Hearing with wav2vec 2.0: where its weights come from, what learns, and vectors that are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use mmpipe_models::Params;
use mmpipe_models::audio::{Wav2Vec2, Wav2Vec2Config};
use mmpipe_train::{
    AlignConfig, Audio, AudioTrain, Control, Fold, MemorySource, ModelKind, Silent, SoundEncoder,
    TrainConfig, align, align_encoder, fit, frozen_encoders, predict, run,
};

use crate::align::with_steps;
use crate::hearing::listener;
use crate::toys::{StopAfter, by_trial, talkers, two_montages, weights};

/// A tiny encoder's random weights as Hugging Face writes them, with its configuration beside.
fn published(dir: &Path, seed: u64) -> PathBuf {
    let config = Wav2Vec2Config::tiny();
    let mut params = Params::new(seed, &Device::Cpu);
    Wav2Vec2::new(&config, &mut params, "wav2vec2.").unwrap();
    let file = dir.join("model.safetensors");
    std::fs::write(&file, params.to_safetensors_for_torch().unwrap()).unwrap();
    let mut described = serde_json::to_value(config).unwrap();
    described["model_type"] = "wav2vec2".into();
    std::fs::write(dir.join("config.json"), described.to_string()).unwrap();
    file
}

fn hearing(train: AudioTrain, weights: &Path) -> TrainConfig {
    TrainConfig {
        audio: Audio::Wav2vec2,
        audio_train: train,
        audio_init: Some(weights.display().to_string()),
        epochs: 2,
        batch: 8,
        ..listener()
    }
}

fn aligning(train: AudioTrain, weights: &Path) -> AlignConfig {
    AlignConfig {
        audio: Audio::Wav2vec2,
        audio_train: train,
        audio_init: Some(weights.display().to_string()),
        ..with_steps(|s| {
            s.epochs = 2;
            s.batch = 8;
        })
    }
}

fn tensors(file: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn newest(dir: &Path) -> HashMap<String, Tensor> {
    let mut steps: Vec<_> = std::fs::read_dir(dir.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    steps.sort();
    tensors(&steps.last().unwrap().join("model.safetensors"))
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn toy() -> (MemorySource, Fold) {
    let source = talkers(6, 4, 21, 200);
    let fold = by_trial(&source, 4, 1);
    (source, fold)
}

/// The vectors of all sounds of `source`, as a lake would keep them.
fn kept(source: &MemorySource, encoder: &SoundEncoder) -> MemorySource {
    let mut out = source.clone();
    for (sounds, keys) in source.candidates.iter().zip(&source.keys) {
        for (sound, key) in sounds.iter().zip(keys) {
            let name = (encoder.about().hash.clone(), *key);
            let vector = || encoder.embed(sound).unwrap();
            out.embeddings.entry(name).or_insert_with(vector);
        }
    }
    out
}

#[test]
fn a_frozen_encoder_is_outside_what_learns_and_its_vectors_may_be_kept() {
    let (source, fold) = toy();
    let file = tempfile::tempdir().unwrap();
    let cfg = hearing(AudioTrain::Frozen, &published(file.path(), 3));
    let cfg = TrainConfig {
        dropout: None,
        ..cfg
    };
    let now = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, now.path(), &Silent).unwrap();
    let sound = report.sound.as_ref().unwrap();
    assert_eq!(sound.train, AudioTrain::Frozen);
    assert!(
        report.notes.iter().any(|n| n.contains("is frozen")),
        "{report:?}"
    );
    let stored = newest(now.path());
    assert!(stored.keys().all(|n| !n.starts_with("audio_model.")));
    let count: usize = stored.values().map(Tensor::elem_count).sum();
    assert_eq!(report.parameters, count as u64);
    assert_eq!(stored["audio_proj.0.weight"].dims()[1], 32);

    // Made before: the same bytes, and no sound is read. Neither threads nor the cache matter.
    let encoder = SoundEncoder::open(Audio::Wav2vec2, file.path()).unwrap();
    assert_eq!(&encoder.about().hash, &sound.hash);
    let of_cfg = frozen_encoders(&cfg, &[0], &[], now.path()).unwrap();
    assert_eq!(of_cfg.len(), 1);
    assert_eq!(of_cfg[0].about().hash, sound.hash);
    let mut before = kept(&source, &encoder);
    assert!(before.embeddings.len() <= 12);
    before.candidates.iter_mut().for_each(Vec::clear);
    for (prefetch, cache_mib) in [(0, 0), (3, 64)] {
        let cfg = TrainConfig {
            prefetch,
            cache_mib,
            ..cfg.clone()
        };
        let dir = tempfile::tempdir().unwrap();
        let again = fit(&before, &fold, &cfg, dir.path(), &Silent).unwrap();
        assert_eq!(again.history, report.history);
        assert_eq!(weights(dir.path()), weights(now.path()));
        let ask = |s: &MemorySource, dir: &Path| predict(s, &fold.test, &cfg, dir, None).unwrap();
        assert_eq!(ask(&before, dir.path()), ask(&source, now.path()));
    }
    // Vectors of another encoder are none.
    let dir = tempfile::tempdir().unwrap();
    let other = TrainConfig {
        audio_init: Some(published(dir.path(), 4).display().to_string()),
        ..cfg.clone()
    };
    let dir = tempfile::tempdir().unwrap();
    let e = fit(&before, &fold, &other, dir.path(), &Silent).unwrap_err();
    assert!(e.to_string().contains("candidate"), "{e}");
    let e = predict(&source, &fold.test, &cfg, now.path(), None);
    assert!(e.is_ok());
    // Who goes on with a changed file is stopped where it would be heard.
    published(file.path(), 5);
    let e = predict(&source, &fold.test, &cfg, now.path(), None).unwrap_err();
    assert!(e.to_string().contains("other weights"), "{e}");
}

#[test]
fn a_vector_depends_on_sound_and_encoder_alone() {
    let (source, _) = toy();
    let file = tempfile::tempdir().unwrap();
    published(file.path(), 3);
    let in_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.unwrap().install(|| {
            let encoder = SoundEncoder::open(Audio::Wav2vec2, file.path()).unwrap();
            let sounds = source.candidates.iter().flatten().take(6);
            let vectors: Vec<_> = sounds.map(|s| encoder.embed(s).unwrap()).collect();
            (encoder.about().clone(), vectors)
        })
    };
    let (about, vectors) = in_threads(1);
    assert_eq!(in_threads(3), (about.clone(), vectors.clone()));
    assert!(vectors.iter().all(|v| v.len() == 32));
    // How loud it is stored does not matter.
    let encoder = SoundEncoder::open(Audio::Wav2vec2, file.path()).unwrap();
    let louder: Vec<f32> = source.candidates[0][0].iter().map(|x| x * 4.0).collect();
    assert_eq!(encoder.embed(&louder).unwrap(), vectors[0]);
    assert!(
        encoder
            .embed(&[0.0; 9])
            .unwrap_err()
            .to_string()
            .contains("too short")
    );
    // Other rates of dropout are the same frozen encoder; other weights are not.
    let config = std::fs::read_to_string(file.path().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["hidden_dropout"] = 0.3.into();
    config["layerdrop"] = 0.2.into();
    std::fs::write(file.path().join("config.json"), config.to_string()).unwrap();
    let same = SoundEncoder::open(Audio::Wav2vec2, file.path()).unwrap();
    assert_eq!(same.about().hash, about.hash);
    published(file.path(), 4);
    let other = SoundEncoder::open(Audio::Wav2vec2, file.path()).unwrap();
    assert_ne!(other.about().hash, about.hash);
}

#[test]
fn an_encoder_that_learns_starts_at_its_weights_and_leaves_them() {
    let (source, fold) = toy();
    let file = tempfile::tempdir().unwrap();
    let path = published(file.path(), 3);
    let cfg = TrainConfig {
        epochs: 8,
        ..hearing(AudioTrain::Trainable, &path)
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    let (first, last) = (&report.history[0], report.history.last().unwrap());
    assert!(last.train_loss < first.train_loss, "{:?}", report.history);
    assert_eq!(report.sound.as_ref().unwrap().train, AudioTrain::Trainable);
    let (before, after) = (tensors(&path), newest(dir.path()));
    for (name, old) in &before {
        let own = name.strip_prefix("wav2vec2.").unwrap();
        let new = &after[&format!("audio_model.{own}")];
        let moved = flat(old) != flat(new);
        // A bias that is the same for all keys changes no softmax; rounding may move it.
        if !own.ends_with("k_proj.bias") {
            assert!(moved, "{own}");
        }
    }
    // A step that moves nothing leaves what was read.
    let still = TrainConfig {
        epochs: 1,
        lr: 1e-12,
        ..cfg
    };
    let dir = tempfile::tempdir().unwrap();
    fit(&source, &fold, &still, dir.path(), &Silent).unwrap();
    let after = newest(dir.path());
    for (name, old) in &before {
        let own = name.strip_prefix("wav2vec2.").unwrap();
        let new = flat(&after[&format!("audio_model.{own}")]);
        let far = flat(old).iter().zip(new).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!far, "{own}");
    }
}

#[test]
fn an_encoder_that_learns_continues_to_the_bit() {
    let (source, fold) = toy();
    let file = tempfile::tempdir().unwrap();
    let path = published(file.path(), 3);
    let cfg = TrainConfig {
        epochs: 3,
        micro_batch: 3,
        dropout: None,
        ..hearing(AudioTrain::Trainable, &path)
    };
    crate::resume::check(&source, &fold, &cfg, 2);

    let cfg = AlignConfig {
        dropout: None,
        ..aligning(AudioTrain::Trainable, &path)
    };
    let whole = tempfile::tempdir().unwrap();
    align(&source, &fold, &cfg, whole.path(), &Silent).unwrap();
    let parts = tempfile::tempdir().unwrap();
    align(&source, &fold, &cfg, parts.path(), &StopAfter::new(1)).unwrap_err();
    // What it started from is no longer needed.
    std::fs::remove_file(&path).unwrap();
    align(&source, &fold, &cfg, parts.path(), &Silent).unwrap();
    let of = |dir: &Path| weights(&dir.join("align"));
    assert_eq!(of(whole.path()), of(parts.path()));
    let model = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
    assert_eq!(model(whole.path()), model(parts.path()));
}

#[test]
fn stage_2_hands_its_encoder_to_stage_3() {
    let (source, fold) = toy();
    let file = tempfile::tempdir().unwrap();
    let path = published(file.path(), 3);
    for train in [AudioTrain::Trainable, AudioTrain::Frozen] {
        let two = tempfile::tempdir().unwrap();
        let cfg = aligning(train, &path);
        let encoder = align_encoder(&cfg, 0, two.path()).unwrap();
        assert_eq!(encoder.is_some(), train == AudioTrain::Frozen);
        let report = align(&source, &fold, &cfg, two.path(), &Silent).unwrap();
        let stage_2 = report.sound.unwrap();
        assert_eq!(stage_2.train, train);
        assert!(report.phase.history[1].train_loss.is_finite());
        // The weights are whole, and say whether the encoder was left alone.
        let config = std::fs::read(two.path().join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["audio"]["kind"], "wav2vec2");
        assert_eq!(config["frozen_audio"], train == AudioTrain::Frozen);
        let all = tensors(&two.path().join("model.safetensors"));
        let name = "encoder.layers.0.layer_norm.bias";
        let published = &tensors(&path)[&format!("wav2vec2.{name}")];
        let own = &all[&format!("audio_model.{name}")];
        assert_eq!(flat(own) == flat(published), train == AudioTrain::Frozen);

        // Nothing but `init` is needed; what else is named is not read, and the report says so.
        for audio_init in [None, Some(path.display().to_string())] {
            let cfg = TrainConfig {
                init: Some(two.path().display().to_string()),
                audio_init: audio_init.clone(),
                epochs: 1,
                lr: 1e-12,
                ..hearing(train, &path)
            };
            let three = tempfile::tempdir().unwrap();
            let report = fit(&source, &fold, &cfg, three.path(), &Silent).unwrap();
            let notes = report.notes.join("; ");
            assert!(!notes.contains("anew"), "{notes}");
            assert_eq!(
                notes.contains("was not read"),
                audio_init.is_some(),
                "{notes}"
            );
            let sound = report.sound.unwrap();
            assert!(
                sound.from.contains(two.path().to_str().unwrap()),
                "{sound:?}"
            );
            assert_eq!(sound.hash == stage_2.hash, train == AudioTrain::Frozen);
            if train == AudioTrain::Trainable {
                let new = &newest(three.path())[&format!("audio_model.{name}")];
                let far = flat(own)
                    .iter()
                    .zip(flat(new))
                    .any(|(a, b)| (a - b).abs() > 1e-6);
                assert!(!far);
            }
        }
        // The log-mel encoder, prototypes and a plain classifier start there too.
        let classes = two_montages(6, 4, 1);
        let of_classes = by_trial(&classes, 4, 1);
        for (model, audio) in [
            (ModelKind::MindmixPrototype, Audio::Wav2vec2),
            (ModelKind::Mindmix, Audio::Mel),
        ] {
            let cfg = TrainConfig {
                model,
                audio,
                audio_init: None,
                audio_train: AudioTrain::Trainable,
                init: Some(two.path().display().to_string()),
                epochs: 1,
                ..hearing(train, &path)
            };
            let dir = tempfile::tempdir().unwrap();
            let report = fit(&classes, &of_classes, &cfg, dir.path(), &Silent).unwrap();
            assert_eq!(report.sound, None);
        }

        // A control on permuted answers takes an encoder that stage 2 left alone, or a published one;
        // one that learnt is not for it.
        let cfg = TrainConfig {
            init: Some(two.path().display().to_string()),
            audio_init: None,
            epochs: 1,
            ..hearing(AudioTrain::Frozen, &path)
        };
        let controls = [Control::LabelPermuted];
        let dir = tempfile::tempdir().unwrap();
        let found = frozen_encoders(&cfg, &[0], &controls, dir.path());
        match train {
            AudioTrain::Frozen => {
                assert_eq!(found.unwrap().len(), 1);
                let folds = std::slice::from_ref(&fold);
                let all = run(&source, folds, &cfg, dir.path(), &controls, &Silent).unwrap();
                let hashes = all.fits.iter().map(|f| &f.sound.as_ref().unwrap().hash);
                assert_eq!(hashes.filter(|h| **h == stage_2.hash).count(), 3);
            }
            AudioTrain::Trainable => {
                let e = found.unwrap_err().to_string();
                assert!(e.contains("audio_init") && e.contains("control"), "{e}");
                let with = TrainConfig {
                    audio_init: Some(path.display().to_string()),
                    ..cfg
                };
                let found = frozen_encoders(&with, &[0], &controls, dir.path()).unwrap();
                assert_eq!(found.len(), 2);
            }
        }
    }
}

#[test]
fn weights_are_asked_for_and_must_be_whole() {
    let (source, fold) = toy();
    let file = tempfile::tempdir().unwrap();
    let path = published(file.path(), 3);
    let good = hearing(AudioTrain::Frozen, &path);
    let said = |cfg: &TrainConfig| {
        let dir = tempfile::tempdir().unwrap();
        fit(&source, &fold, cfg, dir.path(), &Silent)
            .unwrap_err()
            .to_string()
    };
    let with = |change: &dyn Fn(&mut TrainConfig)| {
        let mut cfg = good.clone();
        change(&mut cfg);
        cfg
    };
    for (cfg, says) in [
        (
            with(&|c| c.audio_init = None),
            "`audio_init`: expected weights",
        ),
        (
            with(&|c| c.audio = Audio::Mel),
            "`audio_init`: expected nothing",
        ),
        (
            with(&|c| (c.audio, c.audio_init) = (Audio::Mel, None)),
            "`audio_train`: expected `trainable`",
        ),
        (with(&|c| c.model = ModelKind::Mindmix), "which hear"),
        (
            with(&|c| c.audio_init = Some("absent.bin".into())),
            "absent.bin",
        ),
        (
            with(&|c| c.audio = Audio::Hubert),
            "holds wav2vec2, expected hubert",
        ),
    ] {
        let e = said(&cfg);
        assert!(e.contains(says), "{says}: {e}");
    }
    let whole = tensors(&path);
    let broken = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let dir = tempfile::tempdir().unwrap();
        let mut some = whole.clone();
        change(&mut some);
        std::fs::copy(
            file.path().join("config.json"),
            dir.path().join("config.json"),
        )
        .unwrap();
        candle_core::safetensors::save(&some, dir.path().join("model.safetensors")).unwrap();
        said(&hearing(AudioTrain::Frozen, dir.path()))
    };
    let gone = "wav2vec2.encoder.layers.1.attention.k_proj.weight";
    let e = broken(&|t| drop(t.remove(gone)));
    assert!(e.contains("layers.1.attention.k_proj.weight"), "{e}");
    let e = broken(&|t| t.retain(|n, _| !n.contains("encoder.layers.1.")));
    assert!(
        e.contains("1 transformer layers") && e.contains("expected 2"),
        "{e}"
    );
    let e = broken(&|t| t.retain(|n, _| !n.contains("conv_layers")));
    assert!(
        e.contains("expected a wav2vec 2.0 or HuBERT encoder"),
        "{e}"
    );
    // Only the vector that hides spans in training may be absent.
    let dir = tempfile::tempdir().unwrap();
    let mut some = whole.clone();
    some.remove("wav2vec2.masked_spec_embed").unwrap();
    std::fs::copy(
        file.path().join("config.json"),
        dir.path().join("config.json"),
    )
    .unwrap();
    candle_core::safetensors::save(&some, dir.path().join("model.safetensors")).unwrap();
    let hash = |path: &Path| {
        SoundEncoder::open(Audio::Wav2vec2, path)
            .unwrap()
            .about()
            .hash
            .clone()
    };
    assert_eq!(hash(dir.path()), hash(file.path()));

    // Random weights are taken where that is said, and the report says it.
    let random = with(&|c| (c.audio_init, c.epochs) = (Some("random".into()), 1));
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &random, dir.path(), &Silent).unwrap();
    let notes = report.notes.join("; ");
    assert!(notes.contains("never trained"), "{notes}");
    assert_eq!(report.sound.unwrap().from, "random");
}
