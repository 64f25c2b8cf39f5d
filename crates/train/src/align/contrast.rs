//! The contrast of EEG with the sounds of a batch as an objective of the loop.

use candle_core::Tensor;
use mmpipe_models::align::{Aligner, Sounds, info_nce};
use mmpipe_models::{Batch, Mode, Params};
use xxhash_rust::xxh3::xxh3_64;

use super::config::AlignConfig;
use super::honest;
use crate::Result;
use crate::data::{ChannelPlan, Features};
use crate::init::load_encoder;
use crate::loss::argmax;
use crate::sound::Sound;
use crate::stage::{Draws, Loss, Named, Objective, Validation};

/// Examples with the sound that was attended.
pub(super) struct Pairs {
    /// EEG, one group a montage; rows follow each other across groups.
    pub(super) groups: Vec<Batch>,
    /// Per row: the example.
    pub(super) examples: Vec<usize>,
    /// Of each row what the sound encoder reads, then of each rival [rows + rivals, ...].
    pub(super) sounds: Tensor,
    /// Of each row what makes two sounds the same: their content.
    pub(super) ids: Vec<u64>,
    /// Of each row the kind of its sounds.
    pub(super) types: Vec<u32>,
    /// Sounds that played beside the attended one: the row that heard it, and its content.
    rivals: Vec<(usize, u64)>,
}

impl Pairs {
    /// Embedded sounds of the rows, and beside them their rivals as [`Sounds::others`] has them: as many
    /// columns as any row has rivals. A row with fewer is given its own sound again, which counts as
    /// none.
    fn sounds(&self, all: &Tensor) -> Result<Sounds> {
        let n = self.ids.len();
        let mut of_row: Vec<Vec<usize>> = vec![Vec::new(); n];
        for (rival, (row, _)) in self.rivals.iter().enumerate() {
            of_row[*row].push(rival);
        }
        let k = of_row.iter().map(Vec::len).max().unwrap_or(0);
        let mut sounds = Sounds {
            audio: all.clone(),
            types: self.types.clone(),
            ids: self.ids.clone(),
            others: None,
        };
        if k == 0 {
            return Ok(sounds);
        }
        let (mut at, mut types, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (row, rivals) in of_row.iter().enumerate() {
            for place in 0..k {
                let (from, id) = match rivals.get(place) {
                    Some(rival) => (n + rival, self.rivals[*rival].1),
                    None => (row, self.ids[row]),
                };
                at.push(from as u32);
                types.push(self.types[row]);
                ids.push(id);
            }
        }
        let width = all.dim(1)?;
        let at = Tensor::from_vec(at, n * k, all.device())?;
        let others = all.index_select(&at, 0)?.reshape((n, k, width))?;
        sounds.audio = all.narrow(0, 0, n)?.contiguous()?;
        sounds.others = Some((others, types, ids));
        Ok(sounds)
    }
}

/// The objective.
pub(super) struct Contrast<'a> {
    pub(super) net: Aligner,
    pub(super) features: &'a Features<'a>,
    pub(super) channels: &'a ChannelPlan,
    pub(super) cfg: &'a AlignConfig,
    /// Which weights of `init` a fold starts from.
    pub(super) fold: i32,
    /// What it hears with, where weights are asked for.
    pub(super) sound: Option<&'a Sound>,
}

impl Contrast<'_> {
    /// EEG and attended sounds of `examples`, montage by montage, and where it is asked for the sounds
    /// that played beside them.
    pub(super) fn pairs(&self, examples: &[usize], with_rivals: bool) -> Result<Pairs> {
        let source = self.features.source;
        let n_times = self.features.n_times()?;
        let mut montages: Vec<usize> = Vec::new();
        for i in examples {
            let m = source.meta(*i).montage;
            if !montages.contains(&m) {
                montages.push(m);
            }
        }
        let mut out = Vec::with_capacity(examples.len());
        let mut groups = Vec::with_capacity(montages.len());
        let (mut sounds, mut ids) = (Vec::new(), Vec::with_capacity(examples.len()));
        let (mut types, mut rivals, mut beside) = (Vec::new(), Vec::new(), Vec::new());
        for m in montages {
            let members: Vec<usize> = examples
                .iter()
                .copied()
                .filter(|i| source.meta(*i).montage == m)
                .collect();
            let names = self.channels.names(m);
            let mut eeg = Vec::with_capacity(members.len() * names.len() * n_times);
            for &i in &members {
                let all = self.features.eeg(i)?;
                self.channels.append(m, &all, n_times, &mut eeg);
                let sound = self.features.sound(i, 0)?;
                let own = content(&sound);
                sounds.extend_from_slice(&sound);
                let meta = source.meta(i);
                let others = if with_rivals { meta.candidates } else { 1 };
                for k in 1..others {
                    let rival = self.features.sound(i, k)?;
                    let id = content(&rival);
                    // The same sound in both ears is no rival.
                    if id != own {
                        rivals.push((ids.len(), id));
                        beside.extend_from_slice(&rival);
                    }
                }
                ids.push(own);
                types.push(meta.sound_type());
            }
            let shape = (members.len(), names.len(), n_times);
            let eeg = Tensor::from_vec(eeg, shape, &candle_core::Device::Cpu)?;
            groups.push(Batch::eeg(eeg, names));
            out.extend(members);
        }
        sounds.extend(beside);
        Ok(Pairs {
            groups,
            sounds: self.features.sounds(sounds, &[out.len() + rivals.len()])?,
            examples: out,
            ids,
            types,
            rivals,
        })
    }

    /// Projected sounds.
    pub(super) fn embed(&self, sounds: &Tensor, mode: Mode) -> Result<Tensor> {
        let sounds = sounds.to_device(self.params().device())?;
        Ok(self.net.embed_audio(&sounds, mode)?)
    }

    /// The same, of sounds that are known by `ids`: each different one is heard once.
    pub(super) fn embed_once(&self, sounds: &Tensor, ids: &[u64], mode: Mode) -> Result<Tensor> {
        let sounds = sounds.to_device(self.params().device())?;
        Ok(self.net.embed_audio_once(&sounds, ids, mode)?)
    }

    /// Projected EEG of the rows, each group with a mode of its own.
    pub(super) fn eeg(&self, pairs: &Pairs, mut mode: impl FnMut() -> Mode) -> Result<Tensor> {
        let mut parts = Vec::with_capacity(pairs.groups.len());
        for group in &pairs.groups {
            let group = group.to_device(self.params().device())?;
            let of = (&group.eeg, &group.ch_names[..]);
            parts.push(self.net.embed_eeg(&[of], mode())?);
        }
        Ok(match parts.as_slice() {
            [one] => one.clone(),
            many => Tensor::cat(many, 0)?,
        })
    }
}

/// What a sound is known by: equal content is the same sound, whoever named it.
pub(super) fn content(sound: &[f32]) -> u64 {
    let bytes: Vec<u8> = sound.iter().flat_map(|x| x.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

impl Objective for Contrast<'_> {
    type Batch = Pairs;
    type Part = ();

    fn params(&self) -> &Params {
        self.net.params()
    }

    fn load(&self, examples: &[usize], _: u64) -> Result<Pairs> {
        self.pairs(examples, self.cfg.hard_negatives)
    }

    /// Always whole: every sound of the batch is told from every other.
    fn cut(&self, _: &Pairs, _: usize) -> Result<Vec<()>> {
        Ok(vec![()])
    }

    fn loss(&self, batch: &Pairs, _: &(), draws: &mut Draws) -> Result<Loss> {
        let eeg = self.eeg(batch, || draws.mode().0)?;
        let mode = draws.mode().0;
        let every: Vec<u64> = (batch.ids.iter().copied())
            .chain(batch.rivals.iter().map(|(_, id)| *id))
            .collect();
        let sounds = batch.sounds(&self.embed_once(&batch.sounds, &every, mode)?)?;
        let logits = self.net.logits(&eeg, &sounds, draws.mode().0)?;
        let value = info_nce(&logits, self.cfg.symmetric)?;
        let rows = logits.logits.detach().to_vec2::<f32>()?;
        let n = rows.len();
        let right = rows
            .iter()
            .enumerate()
            .filter(|(i, row)| {
                let same = |j: usize| logits.same.get(i * row.len() + j) == Some(&true);
                let told: Vec<f32> = row
                    .iter()
                    .enumerate()
                    .map(|(j, s)| if same(j) { f32::NEG_INFINITY } else { *s })
                    .collect();
                argmax(&told) == *i
            })
            .count();
        Ok(Loss {
            value,
            named: vec![
                Named {
                    name: "accuracy",
                    sum: right as f64,
                    weight: n as f64,
                },
                Named::mean("logit_factor", self.net.scale()?, n as f64),
                Named::mean(
                    "hard_negatives",
                    batch.rivals.len() as f64 / n as f64,
                    n as f64,
                ),
            ],
        })
    }

    fn ignorance(&self) -> f64 {
        (self.cfg.steps.batch as f64).ln()
    }

    fn validate(&self, examples: &[usize]) -> Result<Option<Validation>> {
        honest::validate(self, examples)
    }

    fn begin(&self, _: &[usize]) -> Result<Vec<String>> {
        let (sound, params) = (self.sound, self.params());
        let fusion = &self.net.config().fusion;
        let mut notes = match &self.cfg.init {
            Some(init) => load_encoder(init, self.fold, params, fusion, sound.is_some())?,
            None => Vec::new(),
        };
        if let Some(sound) = sound {
            notes.extend(sound.start(params)?);
        }
        Ok(notes)
    }

    fn constrain(&self) -> Result<()> {
        Ok(self.net.constrain()?)
    }
}
