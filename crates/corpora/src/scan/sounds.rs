//! Sounds inside files of named arrays: which there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mmpipe_formats::tree::share;
use mmpipe_trees::Tree;
use rayon::prelude::*;

use super::classify::{File, FoundSound, Status};
use super::note::{Note, without_path};
use super::parts::{Element, elements, number_at, set};
use super::{Filter, SoundPart};
use crate::manifest::{FileKind, Manifest, SoundKind, SoundRule, SoundTree};
use crate::sound::Sound;
use crate::{Error, stimulus};

/// Puts behind every file the sounds that lie in it.
pub(super) fn split(
    files: Vec<File>,
    manifest: &Manifest,
    filter: &Filter,
    notes: &mut Vec<Note>,
) -> Vec<File> {
    if manifest.sounds.is_empty() {
        return files;
    }
    let found: Vec<(Vec<File>, Vec<Note>)> = files
        .par_iter()
        .map(|file| {
            let (mut sounds, mut notes) = in_file(file, manifest);
            let mut seen = BTreeSet::new();
            for sound in &mut sounds {
                sound.keep_if_wanted(filter);
                if !seen.insert(sound.path.clone()) {
                    let why = "two rules of the manifest give this sound".to_owned();
                    notes.push(Note::warning(&sound.path, "sound-unreadable", why.clone()));
                    leave_out(sound, why);
                }
            }
            (sounds, notes)
        })
        .collect();
    let mut out = Vec::with_capacity(files.len());
    for (mut file, (sounds, more)) in files.into_iter().zip(found) {
        notes.extend(more);
        // A file of arrays is no sound file, whatever its rule says.
        if !sounds.is_empty() && file.status == Status::Stimulus {
            file.kind = Some(FileKind::SideCar);
            file.status = Status::SideCar;
            file.reason = Some(format!("holds {} sounds", sounds.len()));
        }
        out.push(file);
        out.extend(sounds);
    }
    out
}

/// The sounds among `files`, by path.
pub(super) fn list(files: &[File]) -> BTreeMap<String, SoundPart> {
    files
        .iter()
        .filter(|f| f.status == Status::Stimulus)
        .filter_map(|f| Some((f.path.clone(), f.sound.as_ref()?.part.clone())))
        .collect()
}

/// The sounds that all rules find in a file.
fn in_file(file: &File, manifest: &Manifest) -> (Vec<File>, Vec<Note>) {
    let (mut sounds, mut notes) = (Vec::new(), Vec::new());
    let used = matches!(file.status, Status::Ok | Status::SideCar | Status::Stimulus);
    if !(used && file.is_whole()) {
        return (sounds, notes);
    }
    let all = manifest.sounds.iter();
    let mut rules = all.filter(|r| r.pattern.is_match(&file.path));
    let Some(first) = rules.next() else {
        return (sounds, notes);
    };
    let tree = match share(&file.full) {
        Ok(tree) => tree,
        Err(e) => {
            let why = format!(
                "its sounds cannot be read: {}",
                without_path(&file.full, &e)
            );
            notes.push(Note::warning(&file.path, "sound-unreadable", why));
            return (sounds, notes);
        }
    };
    for rule in std::iter::once(first).chain(rules) {
        match &rule.each {
            None => sounds.push(sound(file, rule, None, &tree, &mut notes)),
            Some(each) => match elements(tree.as_ref(), each) {
                Ok(found) => sounds.extend(
                    found
                        .iter()
                        .map(|element| sound(file, rule, Some(element), &tree, &mut notes)),
                ),
                Err(why) => {
                    let why = format!("sounds {}: {why}", rule.part);
                    notes.push(Note::warning(&file.path, "sound-unreadable", why));
                }
            },
        }
    }
    (sounds, notes)
}

/// One sound as a row of `files`.
fn sound(
    file: &File,
    rule: &SoundRule,
    element: Option<&Element>,
    tree: &Arc<dyn Tree>,
    notes: &mut Vec<Note>,
) -> File {
    let (part, spec) = match element {
        None => (rule.part.clone(), rule.tree.clone()),
        Some(element) => (
            element.text(&rule.part),
            SoundTree {
                audio: element.expression(&rule.tree.audio),
                sfreq: number_at(&rule.tree.sfreq, element),
                ..rule.tree.clone()
            },
        ),
    };
    let mut found = file.clone();
    found.path = format!("{}#{part}", file.path);
    found.groups.extend(set(&rule.set, element));
    found.kind = Some(FileKind::Stimulus);
    found.status = Status::Stimulus;
    found.reason = None;
    found.part = None;
    if part.contains('#') || stimulus::channel_number(&part).is_some() {
        let why = format!("`{part}` cannot name a sound: expected no # and not ch and a number");
        notes.push(Note::warning(&found.path, "sound-unreadable", why.clone()));
        leave_out(&mut found, why);
        return found;
    }
    match describe(file, rule, &spec, tree) {
        Ok(sound) => found.sound = Some(sound),
        // A duo has two tracks where a trio has three: no fault.
        Err(Error::SoundRow { row, rows, .. }) => leave_out(
            &mut found,
            format!("channel {row} of an array of {rows}: there is no such sound"),
        ),
        Err(e) => {
            let why = without_path(&file.full, &e);
            notes.push(Note::warning(&found.path, "sound-unreadable", why.clone()));
            leave_out(&mut found, why);
        }
    }
    found
}

fn describe(
    file: &File,
    rule: &SoundRule,
    spec: &SoundTree,
    tree: &Arc<dyn Tree>,
) -> Result<FoundSound, Error> {
    let sound = Sound::new(tree.clone(), spec)?;
    let json = serde_json::to_string(spec).map_err(|e| Error::Sound {
        path: file.full.clone(),
        place: spec.audio.clone(),
        detail: e.to_string(),
    })?;
    Ok(FoundSound {
        part: SoundPart {
            file: file.path.clone(),
            tree: json,
            envelope: rule.kind == SoundKind::Envelope,
        },
        container: sound.container(),
        sfreq: sound.sfreq(),
        seconds: sound.seconds(),
        channels: sound.channels(),
    })
}

/// Not `rejected`, which is said of recordings; a stream that names it finds no sound.
fn leave_out(sound: &mut File, why: String) {
    sound.status = Status::Ignored;
    sound.reason = Some(why);
    sound.sound = None;
}
