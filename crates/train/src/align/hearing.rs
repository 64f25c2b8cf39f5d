//! What stage 2 hears with: the choice of a fold, memory, and the weights that come out.

use std::path::Path;

use candle_core::Device;
use mmpipe_models::Params;
use mmpipe_models::align::Aligner;
use mmpipe_models::audio::AudioConfig;
use mmpipe_models::encoder::PATCH;

use super::config::AlignConfig;
use super::contrast::Contrast;
use super::{AlignAbout, PHASE};
use crate::Result;
use crate::config::Audio;
use crate::sound::{Sound, SoundEncoder, resolve};
use crate::source::Fold;
use crate::stage::{MemoryEstimate, memory};
use crate::store::Checkpoints;

/// What a run in `dir` hears with: as its checkpoint says where there is one that was asked the same,
/// else as the settings decide now.
pub(super) fn sound_of(cfg: &AlignConfig, fold: i32, dir: &Path) -> Result<Option<Sound>> {
    if cfg.audio == Audio::Mel {
        return Ok(None);
    }
    let asked = cfg.asked(fold);
    let stored = Checkpoints::of(&dir.join(PHASE)).latest::<AlignAbout>()?;
    if let Some(state) = stored
        && state.about.config.asked(fold) == asked
        && let Some(hears) = state.about.hears
    {
        return Ok(Some(Sound::kept(hears, asked)));
    }
    resolve(&asked)
}

/// The frozen sound encoder that fold `fold` in `dir` hears with; `None` where the settings freeze none.
/// Who keeps its vectors (see [`crate::Source::embedding`]) can make them before [`super::align`] does.
///
/// # Errors
/// See [`crate::Error`]: settings or files that give no encoder.
pub fn align_encoder(cfg: &AlignConfig, fold: i32, dir: &Path) -> Result<Option<SoundEncoder>> {
    let sound = sound_of(cfg, fold, dir)?.filter(|s| s.hears.frozen());
    Ok(sound.map(|s| s.encoder()))
}

/// Memory that the encoders and what is read will take; the log-mel encoder takes a little more.
pub(super) fn demand(of: &Contrast<'_>, fold: &Fold) -> MemoryEstimate {
    let (cfg, source) = (of.cfg, of.features.source);
    let all = || fold.train.iter().chain(&fold.val);
    let most = all().map(|i| of.channels.names(source.meta(*i).montage).len());
    let most = most.max().unwrap_or(0);
    let patches = most * (source.n_times() / PATCH);
    let steps = &cfg.steps;
    let rows = |tokens: usize| steps.batch as u64 * tokens as u64;
    let encoder = cfg.shape().encoder();
    let heard = of.sound.map_or_else(Default::default, |sound| {
        memory::hearing(&sound.hears, rows(1), of.features.samples())
    });
    MemoryEstimate {
        weights: memory::weights(of.net.params().count(), steps.ema) + heard.weights,
        activations: heard.activations
            + memory::convolutions(rows(patches))
            + memory::blocks(&encoder, encoder.depth, rows(patches + 1)),
        rows: steps.batch,
        examples: memory::examples(
            all().count(),
            most * source.n_times() + of.features.numbers(),
            steps.cache_mib,
            steps.batch,
            steps.prefetch * steps.queue,
        ),
    }
}

/// The network that is written: the one that was trained, and with it the frozen encoder that it heard
/// with, so that the weights are whole.
pub(super) fn whole(net: &Aligner, sound: Option<&Sound>) -> Result<Aligner> {
    let Some(sound) = sound.filter(|s| s.hears.frozen()) else {
        return Ok(net.clone());
    };
    let config = mmpipe_models::align::AlignConfig {
        audio: AudioConfig::Wav2Vec2(sound.hears.config.clone()),
        frozen_audio: true,
        ..net.config().clone()
    };
    let all = Aligner::new(&config, Params::unset(&Device::Cpu))?;
    all.params().load_known(&net.params().tensors()?)?;
    sound.encoder().fill(all.params())?;
    Ok(all)
}
