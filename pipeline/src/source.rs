//! The lake's epochs as the trainer's examples: the one place where the two meet.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use arrow::array::AsArray;
use mmpipe_eval::result::Prediction as Scored;
use mmpipe_lake::{AudioStore, EmbeddingStore, EpochStore, Lake, Segment};
use mmpipe_splits::{Role, Split};
use mmpipe_train::{
    AuditoryType, Error as TrainError, Fold, Meta, ModelKind, Prediction, Result as TrainResult,
    Source, Task,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Roles whose sounds are candidates, the attended one first.
const CANDIDATES: [&[&str]; 2] = [&["attended", "target"], &["unattended", "candidate"]];

/// Which sounds an example has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sounds {
    /// None
    Unheard,
    /// The attended one and its rivals; none where a trial lacks either
    Rivals,
    /// What was heard, and its rivals where it had some
    Heard,
}

impl From<ModelKind> for Sounds {
    fn from(model: ModelKind) -> Self {
        match model.task() {
            Task::Matching => Sounds::Rivals,
            Task::Classification if model.needs_heard() => Sounds::Heard,
            Task::Classification => Sounds::Unheard,
        }
    }
}

/// Rate of the lake's sounds, Hz.
const AUDIO_SFREQ: usize = 16_000;

/// Examples of one split, read from the lake on demand.
#[derive(Debug)]
pub(crate) struct LakeSource {
    epochs: EpochStore,
    audio: AudioStore,
    metas: Vec<Meta>,
    montages: Vec<Vec<String>>,
    classes: Vec<String>,
    folds: Vec<Fold>,
    by_id: HashMap<u64, usize>,
    /// Candidate sounds of each example: (stimulus, segment), the attended one first.
    candidates: Vec<Vec<(String, i32)>>,
    sfreq: f64,
    digest: String,
    /// Vectors of frozen sound encoders by the encoder's identity, opened when they are asked for.
    vectors: Mutex<HashMap<String, Arc<EmbeddingStore>>>,
}

impl LakeSource {
    /// Opens the epochs that a split assigns, with the sounds that the model needs.
    pub(crate) async fn open(lake: &Lake, split: &Split, model: ModelKind) -> Result<Self> {
        let ids = split.epoch_ids();
        let datasets = [split.dataset.clone()];
        let mut source = Self::of(lake, &split.recipe, &ids, &datasets, model.into()).await?;
        source.folds = folds(split, &source.by_id)?;
        Ok(source)
    }

    /// Opens the epochs `ids` of `datasets`, in no fold.
    pub(crate) async fn of(
        lake: &Lake,
        recipe: &str,
        ids: &[u64],
        datasets: &[String],
        sounds: Sounds,
    ) -> Result<Self> {
        let epochs = EpochStore::open_ids(lake, recipe, ids).await?;
        let audio = AudioStore::open(lake, recipe).await?;
        let sfreq = if epochs.is_empty() {
            0.0
        } else {
            epochs.meta(0).sfreq
        };
        let digest = digest(lake, datasets, recipe).await?;
        let mut names: HashMap<i32, String> = HashMap::new();
        let mut montages: Vec<Vec<String>> = Vec::new();
        let (mut metas, mut candidates, mut by_id) = (Vec::new(), Vec::new(), HashMap::new());
        for i in 0..epochs.len() {
            let m = epochs.meta(i);
            let montage = match montages
                .iter()
                .position(|known| known[..] == m.ch_names[..])
            {
                Some(at) => at,
                None => {
                    montages.push(m.ch_names.to_vec());
                    montages.len() - 1
                }
            };
            if let (Some(label), Some(name)) = (m.label, &m.label_name) {
                names.entry(label).or_insert_with(|| name.clone());
            }
            let sounds = match sounds {
                Sounds::Unheard => Vec::new(),
                Sounds::Rivals => candidates_of(&m.streams),
                Sounds::Heard => heard_of(&m.streams),
            };
            by_id.insert(m.epoch_id, i);
            metas.push(Meta {
                epoch_id: m.epoch_id,
                dataset: m.dataset.clone(),
                subject: m.subject.clone(),
                session: m.session.clone().unwrap_or_default(),
                run: m.run.clone().unwrap_or_default(),
                trial: m.trial,
                onset: m.onset,
                label: m.label.unwrap_or(-1),
                montage,
                candidates: sounds.len(),
                auditory_type: m.auditory_type.as_deref().map(AuditoryType::named),
            });
            candidates.push(sounds);
        }
        let classes = (0..names.keys().max().map_or(0, |m| m + 1))
            .map(|c| {
                names
                    .get(&c)
                    .cloned()
                    .unwrap_or_else(|| format!("class {c}"))
            })
            .collect();
        Ok(LakeSource {
            epochs,
            audio,
            metas,
            montages,
            classes,
            folds: Vec::new(),
            by_id,
            candidates,
            sfreq,
            digest,
            vectors: Mutex::default(),
        })
    }

    /// The sounds.
    pub(crate) fn audio(&self) -> &AudioStore {
        &self.audio
    }

    /// Every segment of sound that belongs to an example.
    pub(crate) fn segments(&self) -> HashSet<Segment> {
        self.candidates.iter().flatten().cloned().collect()
    }

    /// Data sets of the examples.
    pub(crate) fn datasets(&self) -> Vec<String> {
        let names: HashSet<&String> = self.metas.iter().map(|m| &m.dataset).collect();
        let mut names: Vec<String> = names.into_iter().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Samples of a sound as long as an epoch.
    pub(crate) fn samples(&self) -> usize {
        AUDIO_SFREQ * self.epochs.n_times() / (self.sfreq.max(1.0) as usize)
    }

    fn vectors(&self, encoder: &str) -> mmpipe_lake::Result<Arc<EmbeddingStore>> {
        let mut all = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = all.get(encoder) {
            return Ok(store.clone());
        }
        let store = Arc::new(EmbeddingStore::open(&self.audio, encoder)?);
        all.insert(encoder.to_owned(), store.clone());
        Ok(store)
    }

    /// A split's folds as indices into these epochs.
    pub(crate) fn folds_of(&self, split: &Split) -> Result<Vec<Fold>> {
        folds(split, &self.by_id)
    }

    /// The split's folds as indices.
    pub(crate) fn folds(&self) -> &[Fold] {
        &self.folds
    }

    /// Names of the answers: the classes, or the places in which candidates are shown.
    pub(crate) fn class_names(&self, task: Task) -> Vec<String> {
        match task {
            Task::Classification => self.classes.clone(),
            Task::Matching => {
                let most = self.metas.iter().map(|m| m.candidates).max().unwrap_or(0);
                (1..=most).map(|n| format!("candidate {n}")).collect()
            }
        }
    }

    /// Identity of the data: which epochs there are, by which recipe and of which raw bytes.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// A prediction with what the lake knows of its epoch.
    pub(crate) fn result(&self, p: &Prediction) -> Scored {
        let meta = self.by_id.get(&p.epoch_id).and_then(|&i| self.metas.get(i));
        let text = |f: fn(&Meta) -> &String| meta.map(f).filter(|t| !t.is_empty()).cloned();
        Scored {
            fold: p.fold,
            epoch_id: p.epoch_id,
            dataset: p.dataset.clone(),
            subject: p.subject.clone(),
            session: text(|m| &m.session),
            run: text(|m| &m.run),
            trial: p.trial,
            label: p.label,
            predicted: p.predicted,
            scores: p.scores.clone(),
        }
    }
}

/// Identity of the shards of data sets: raw bytes, recipe, code and plan of every recording.
async fn digest(lake: &Lake, datasets: &[String], recipe: &str) -> Result<String> {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let datasets: Vec<String> = datasets.iter().map(|d| quote(d)).collect();
    let batches = lake
        .query(&format!(
            "SELECT recording_id || '/' || coalesce(sha256, '') || '/' || recipe_hash || '/' || version || '/' || plan_hash AS id \
             FROM recordings WHERE status = 'ok' AND dataset IN ({}) AND recipe = {} ORDER BY 1",
            datasets.join(", "),
            quote(recipe)
        ))
        .await?;
    let mut hash = Xxh3::new();
    for batch in &batches {
        for id in batch.column(0).as_string::<i32>().iter().flatten() {
            hash.update(id.as_bytes());
            hash.update(b"\n");
        }
    }
    Ok(format!("{:032x}", hash.digest128()))
}

/// Sounds in the order of [`CANDIDATES`]; none where a trial lacks the attended sound or a rival.
fn candidates_of(streams: &[mmpipe_lake::StreamRef]) -> Vec<(String, i32)> {
    let mut sounds = Vec::new();
    for roles in CANDIDATES {
        let found = streams.iter().filter(|s| roles.contains(&s.role.as_str()));
        let before = sounds.len();
        sounds.extend(found.map(|s| (s.stimulus_id.clone(), s.segment)));
        if sounds.len() == before {
            return Vec::new();
        }
    }
    sounds
}

/// The sound that was attended, or the one that was heard, and its rivals; none where there is none.
fn heard_of(streams: &[mmpipe_lake::StreamRef]) -> Vec<(String, i32)> {
    let [attended, rivals] = CANDIDATES;
    let role = |s: &mmpipe_lake::StreamRef, roles: &[&str]| roles.contains(&s.role.as_str());
    let first = streams.iter().find(|s| role(s, attended));
    let Some(first) = first.or_else(|| streams.iter().find(|s| s.role == "heard")) else {
        return Vec::new();
    };
    let others = streams.iter().filter(|s| role(s, rivals));
    std::iter::once(first)
        .chain(others)
        .map(|s| (s.stimulus_id.clone(), s.segment))
        .collect()
}

fn folds(split: &Split, by_id: &HashMap<u64, usize>) -> Result<Vec<Fold>> {
    let mut folds: Vec<Fold> = Vec::new();
    for a in &split.assignments {
        let Some(&index) = by_id.get(&a.epoch_id) else {
            bail!(
                "split `{}` names epoch {} which is not in the lake; the data changed, so make the split again",
                split.name,
                a.epoch_id
            );
        };
        let at = match folds.iter().position(|f| f.fold == a.fold) {
            Some(at) => at,
            None => {
                folds.push(Fold {
                    fold: a.fold,
                    ..Default::default()
                });
                folds.len() - 1
            }
        };
        match a.role {
            Role::Train => folds[at].train.push(index),
            Role::Val => folds[at].val.push(index),
            Role::Test => folds[at].test.push(index),
        }
    }
    folds.sort_by_key(|f| f.fold);
    for fold in &mut folds {
        fold.train.sort_unstable();
        fold.val.sort_unstable();
        fold.test.sort_unstable();
    }
    Ok(folds)
}

impl Source for LakeSource {
    fn len(&self) -> usize {
        self.metas.len()
    }

    fn meta(&self, i: usize) -> &Meta {
        &self.metas[i]
    }

    fn montage(&self, m: usize) -> &[String] {
        &self.montages[m]
    }

    fn n_times(&self) -> usize {
        self.epochs.n_times()
    }

    fn sfreq(&self) -> f64 {
        self.sfreq
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn read_eeg(&self, i: usize, out: &mut [f32]) -> TrainResult<()> {
        self.epochs
            .read(i, out)
            .map_err(|e| TrainError::source(self.metas[i].epoch_id, "eeg", e.to_string()))
    }

    fn read_scale(&self, i: usize, out_mean: &mut [f32], out_std: &mut [f32]) -> TrainResult<()> {
        let m = self.epochs.meta(i);
        if m.ch_mean.len() != out_mean.len() || m.ch_std.len() != out_std.len() {
            let found = format!(
                "{} means and {} deviations for {} channels",
                m.ch_mean.len(),
                m.ch_std.len(),
                out_mean.len()
            );
            return Err(TrainError::source(m.epoch_id, "scale", found));
        }
        out_mean.copy_from_slice(&m.ch_mean);
        out_std.copy_from_slice(&m.ch_std);
        Ok(())
    }

    fn read_candidate(&self, i: usize, k: usize, out: &mut Vec<f32>) -> TrainResult<()> {
        let id = self.metas[i].epoch_id;
        let Some((stimulus, segment)) = self.candidates[i].get(k) else {
            return Err(TrainError::source(
                id,
                "candidate",
                format!("there is no candidate {k}"),
            ));
        };
        out.resize(self.samples(), 0.0);
        hear(&self.audio, stimulus, *segment, out)
            .map_err(|e| TrainError::source(id, "candidate", e.to_string()))
    }

    fn candidate_key(&self, i: usize, k: usize) -> Option<u64> {
        let (stimulus, segment) = self.candidates[i].get(k)?;
        let mut key = stimulus.clone().into_bytes();
        key.extend_from_slice(&segment.to_le_bytes());
        Some(xxh3_64(&key))
    }

    fn embedding(&self, encoder: &str, i: usize, k: usize) -> TrainResult<Option<Vec<f32>>> {
        let Some((stimulus, segment)) = self.candidates[i].get(k) else {
            return Ok(None);
        };
        let found = self
            .vectors(encoder)
            .and_then(|v| v.read(stimulus, *segment));
        let id = self.metas[i].epoch_id;
        found.map_err(|e| TrainError::source(id, format!("vector of candidate {k}"), e.to_string()))
    }

    fn stimulus_key(&self, i: usize, k: usize) -> Option<u64> {
        let (stimulus, _) = self.candidates[i].get(k)?;
        Some(xxh3_64(stimulus.as_bytes()))
    }
}

/// Samples of a segment as they are heard: not divided by its peak. `out` has their number.
pub(crate) fn hear(
    audio: &AudioStore,
    stimulus: &str,
    segment: i32,
    out: &mut [f32],
) -> mmpipe_lake::Result<()> {
    let peak = audio.read(stimulus, segment, out)?;
    out.iter_mut().for_each(|x| *x *= peak);
    Ok(())
}
