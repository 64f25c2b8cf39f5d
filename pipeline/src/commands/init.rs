//! `--init`: which weights a fine-tuning run starts from, and whose EEG they have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use mmpipe_lake::Lake;
use mmpipe_models::weights;
use mmpipe_splits::Split;
use mmpipe_train::Source as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::runs::{ALIGN, InitRecord, PRETRAIN, PretrainRecord, RunFolder};
use crate::source::LakeSource;

/// Subjects that a note names at most.
const NAMED: usize = 5;

/// A path, or the folder of a run of stage 1 or 2 of this lake; with it what the record of the new run
/// must say. `folds` are those that will be trained.
///
/// # Errors
/// Nothing of that name; a run that learnt from the labels of the same data set, or aligned the test
/// subjects' EEG with what they attended to outside this split.
pub(super) fn resolve(
    lake: &Lake,
    from: &str,
    split: &Split,
    source: &LakeSource,
    folds: &[i32],
) -> Result<(String, InitRecord)> {
    let path = Path::new(from);
    if path.exists() {
        // A later `--resume` may come from another folder.
        let path = std::path::absolute(path).with_context(|| format!("the path {from}"))?;
        let notes = vec![format!(
            "started from {from}: whose EEG these weights were trained on is not known here"
        )];
        let files = digests(&path, folds)?;
        let record = InitRecord {
            run: None,
            files,
            notes,
        };
        return Ok((path.display().to_string(), record));
    }
    let Ok(folder) = RunFolder::of(lake, from) else {
        bail!("--init: there is no file or folder {from}");
    };
    let root = std::path::absolute(folder.path()).context("the path of the lake")?;
    let notes = match folder.stage()?.as_deref() {
        None => bail!(
            "--init: there is no file or folder {from}, and no run of this name in the lake {}",
            lake.root().display()
        ),
        Some(stage @ (PRETRAIN | ALIGN)) => {
            let Some(record) = folder.pretrain_record()? else {
                bail!("--init: run `{from}` went away");
            };
            if record.recipe != split.recipe {
                bail!(
                    "--init: run `{from}` was trained on epochs of the recipe {}, the split `{}` has {}",
                    record.recipe,
                    split.name,
                    split.recipe
                );
            }
            let (met, mut notes) = seen(&record, split, source, folds);
            // What stage 2 itself started from was seen too.
            if let Some(before) = record.init.as_ref().and_then(|i| i.run.as_ref())
                && let Some(before) = RunFolder::of(lake, before)?.pretrain_record()?
            {
                notes.extend(seen(&before, split, source, folds).1);
            }
            if stage == ALIGN && met && record.split.as_deref() != Some(split.name.as_str()) {
                bail!(
                    "--init: run `{from}` learnt what test subjects of the split `{}` attended to; align with --split {} first",
                    split.name,
                    split.name
                );
            }
            notes
        }
        Some(_) => {
            let record = folder.record()?;
            let Some(record) = record.filter(|r| r.dataset != split.dataset) else {
                bail!(
                    "--init: run `{from}` learnt from labels of {}, on which it would now be tested; start from a run of --stage pretrain",
                    split.dataset
                );
            };
            vec![format!(
                "started from the run {from}, fine-tuned on labels of {}",
                record.dataset
            )]
        }
    };
    Ok((
        root.display().to_string(),
        InitRecord {
            run: Some(from.to_owned()),
            files: digests(&root, folds)?,
            notes,
        },
    ))
}

/// The weights that a sound encoder starts from: where they lie, whatever the working folder, and what
/// the record of the run must say of them. Nothing for `random`, which is no file.
///
/// # Errors
/// Nothing at that path, or nothing that can be read.
pub(super) fn sound(from: &str) -> Result<(String, Option<InitRecord>)> {
    if from == "random" {
        return Ok((from.to_owned(), None));
    }
    let path = std::path::absolute(from).with_context(|| format!("the path {from}"))?;
    let file = weights::sound_file(&path);
    let bytes = std::fs::read(&file)
        .with_context(|| format!("audio_init: {} cannot be read", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let record = InitRecord {
        run: None,
        files: BTreeMap::from([(name.into_owned(), format!("{:032x}", xxh3_128(&bytes)))]),
        notes: Vec::new(),
    };
    Ok((path.display().to_string(), Some(record)))
}

/// As [`resolve`], for stage 2: what it starts from is tested nowhere, so nothing is refused that an
/// earlier stage saw; who fine-tunes from it is told.
pub(super) fn earlier(
    lake: &Lake,
    from: &str,
    recipe: &str,
    folds: &[i32],
) -> Result<(String, InitRecord)> {
    let path = Path::new(from);
    let (path, run, notes) = if path.exists() {
        let path = std::path::absolute(path).with_context(|| format!("the path {from}"))?;
        let note = format!(
            "started from {from}: whose EEG these weights were trained on is not known here"
        );
        (path, None, vec![note])
    } else {
        let record = match RunFolder::of(lake, from) {
            Ok(folder) => folder.pretrain_record()?.map(|record| (folder, record)),
            Err(_) => None,
        };
        let Some((folder, record)) = record else {
            bail!(
                "--init: there is no file or folder {from}, and no run of this name in the lake {}",
                lake.root().display()
            );
        };
        if record.stage != PRETRAIN || record.recipe != recipe {
            bail!(
                "--init: run `{from}` is of the stage {} on the recipe {}; expected {PRETRAIN} on {recipe}",
                record.stage,
                record.recipe
            );
        }
        let root = std::path::absolute(folder.path()).context("the path of the lake")?;
        let note = format!("started from the run {from}");
        (root, Some(from.to_owned()), vec![note])
    };
    let files = digests(&path, folds)?;
    let record = InitRecord { run, files, notes };
    Ok((path.display().to_string(), record))
}

/// Whether an earlier stage saw EEG of test subjects, and what must be said of it.
fn seen(
    record: &PretrainRecord,
    split: &Split,
    source: &LakeSource,
    folds: &[i32],
) -> (bool, Vec<String>) {
    let (how, on_them) = match record.stage.as_str() {
        ALIGN => (
            "aligned with sounds",
            "aligned with sounds on EEG of the test subjects",
        ),
        _ => (
            "pre-trained without labels",
            "pre-trained on EEG of the test subjects, without labels",
        ),
    };
    let mut tested: BTreeSet<(String, String)> = BTreeSet::new();
    let mut met: BTreeSet<(String, String)> = BTreeSet::new();
    for fold in source.folds().iter().filter(|f| folds.contains(&f.fold)) {
        // Without a split of its own there is one set of weights for all folds.
        let at = record.split.as_ref().map_or(0, |_| fold.fold);
        let known = record.seen.get(&at);
        let known: BTreeSet<&(String, String)> = known.into_iter().flatten().collect();
        for &i in &fold.test {
            let meta = source.meta(i);
            let subject = (meta.dataset.clone(), meta.subject.clone());
            if known.contains(&subject) {
                met.insert(subject.clone());
            }
            tested.insert(subject);
        }
    }
    if met.is_empty() {
        let note = format!(
            "{how} by the run {}, which saw no EEG of the test subjects",
            record.run
        );
        return (false, vec![note]);
    }
    let mut names: Vec<String> = met.iter().take(NAMED).map(|(_, s)| s.clone()).collect();
    if met.len() > NAMED {
        names.push("…".into());
    }
    let mut note = format!(
        "{on_them} (run {}): {} of {} test subjects ({})",
        record.run,
        met.len(),
        tested.len(),
        names.join(", ")
    );
    if record.split.as_deref() == Some(split.name.as_str()) {
        note.push_str("; not on the test epochs themselves, which the same split keeps out");
    }
    (true, vec![note])
}

/// The files of weights behind `path`, which is one, or a folder with one, or with one a fold.
fn digests(path: &Path, folds: &[i32]) -> Result<BTreeMap<String, String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        for fold in folds {
            let file = mmpipe_train::init_file(path, *fold);
            if !files.contains(&file) {
                files.push(file);
            }
        }
    } else {
        files.push(path.to_owned());
    }
    let mut out = BTreeMap::new();
    for file in files {
        let bytes = std::fs::read(&file).with_context(|| {
            format!(
                "--init: {} cannot be read; is the run trained to its end?",
                file.display()
            )
        })?;
        let name = file.strip_prefix(path).unwrap_or(&file);
        out.insert(
            name.display().to_string(),
            format!("{:032x}", xxh3_128(&bytes)),
        );
    }
    Ok(out)
}
