//! What is done of an ingest while its folder is still scanned.
//!
//! A compressed file of named arrays is inflated for its scan by one thread, which can take as long
//! as all that follows. Meanwhile another hashes the file and decodes the sounds that will be asked
//! for; the sounds are hashed beside it. Owns that thread and what it has ready. Nothing depends on how far it came: what is not
//! ready, or was made of a file that has changed since, is made where it is asked for, by the same
//! functions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmpipe_corpora::Coming;
use mmpipe_formats::{Stamp, audio};
use mmpipe_signal::audio::output_len;
use mmpipe_signal::recipe::Recipe;

use super::hashes::Hashes;
use super::sounds::{self, Place, Samples};
use crate::Result;

/// Bytes of decoded sound that wait at most, about 70 minutes.
const MOST: u64 = 256 << 20;

/// One sound: locked while it is decoded, empty where that failed.
type Slot = Arc<Mutex<Option<Samples>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole between two statements, also after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Ready {
    hashes: Hashes,
    sounds: Mutex<HashMap<Stamp, Slot>>,
    stopped: AtomicBool,
}

/// Hashes and sounds that may be ready before an ingest asks for them. The default has nothing, and
/// begins nothing.
#[derive(Default)]
pub struct Ahead(Arc<Ready>);

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the samples: there may be millions.
        f.debug_struct("Ahead").finish_non_exhaustive()
    }
}

impl Ahead {
    /// Begins, in a thread of its own, with what a scan says is coming: nothing where that is no file
    /// of arrays, whose headers are read at once. Sounds of which the lake holds segments by this
    /// recipe are hashed only, as most of these are not stored again.
    pub fn begin(&self, coming: Coming, lake: &Path, recipe: &Recipe, dataset: &str) {
        if coming.arrays.is_empty() {
            return;
        }
        let is_stored = |path: &str| {
            let stored = sounds::audio_path(lake, &recipe.name, dataset, path);
            stored.is_file()
        };
        let of_sounds = coming.sounds.into_iter();
        let sounds: Vec<(bool, PathBuf)> = of_sounds
            .map(|(path, file)| (!is_stored(&path), file))
            .collect();
        let ready = self.0.clone();
        // Without a thread nothing is ready, and all is made later.
        let _ = std::thread::Builder::new()
            .name("ingest-ahead".into())
            .spawn(move || ready.make(&coming.arrays, &sounds, MOST));
    }

    /// No more is begun: whoever needs something makes it now.
    pub(super) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// The SHA-256 of a file, computed once.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub(super) fn hash(&self, file: &Path) -> Result<String> {
        self.0.hashes.of(file)
    }

    /// A sound's samples; what is ready is given once.
    ///
    /// # Errors
    /// As [`sounds::samples`].
    pub(super) fn samples(&self, place: &Place) -> Result<Samples> {
        if let Place::File(file, None) = place {
            let stamp = Stamp::of(file).ok();
            let slot = stamp.and_then(|stamp| lock(&self.0.sounds).remove(&stamp));
            if let Some(ready) = slot.and_then(|slot| lock(&slot).take()) {
                return Ok(ready);
            }
        }
        sounds::samples(place)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ready {
    fn make(&self, arrays: &[PathBuf], sounds: &[(bool, PathBuf)], most: u64) {
        let go_on = || !self.stopped.load(Ordering::Relaxed);
        // Every trial of a file waits for its hash; a sound can be decoded beside another.
        for file in arrays.iter().take_while(|_| go_on()) {
            let sounds = sounds.iter().map(|(_, sound)| sound.as_path());
            self.hashes.prepare(file, sounds.take_while(|_| go_on()));
        }
        let mut bytes = 0_u64;
        for (wanted, file) in sounds.iter().take_while(|_| go_on()) {
            // What cannot be read now says so when it is asked for.
            let hashed = self.hashes.of(file).is_ok();
            if !(hashed && *wanted && go_on()) {
                continue;
            }
            // One that is too long, or does not say how long it is, may be followed by others.
            if let Some(more) = size(file).filter(|more| more.saturating_add(bytes) <= most) {
                self.decode(file);
                bytes += more;
            }
        }
    }

    /// Makes one sound ready.
    fn decode(&self, file: &Path) {
        let Ok(stamp) = Stamp::of(file) else {
            return;
        };
        let slot = Slot::default();
        let mut samples = lock(&slot);
        lock(&self.sounds).insert(stamp, slot.clone());
        *samples = sounds::samples(&Place::File(file.to_path_buf(), None)).ok();
    }
}

/// Bytes of a sound once it is decoded, as its header says.
fn size(file: &Path) -> Option<u64> {
    let info = audio::probe(file).ok()?;
    output_len(info.frames?, info.sfreq).checked_mul(size_of::<f32>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmpipe_formats::write::wav;

    /// A second of sound, at a rate that is resampled.
    fn sound(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let x: Vec<f32> = (0..44_100).map(|i| (i as f32 / 9.0).sin()).collect();
        wav::write(&path, 44_100, &[&x], wav::Sample::Float32).unwrap();
        path
    }

    #[test]
    fn what_is_ready_is_what_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, stored] = ["a.wav", "b.wav", "c.wav"].map(|name| sound(folder.path(), name));
        let bad = folder.path().join("bad.wav");
        std::fs::write(&bad, "no sound").unwrap();
        let gone = folder.path().join("gone.wav");
        let ahead = Ahead::default();
        let wanted = [&a, &bad, &gone].map(|p| (true, p.clone()));
        let sounds = [&wanted[..], &[(false, stored.clone())]].concat();
        ahead.0.make(std::slice::from_ref(&bad), &sounds, MOST);
        assert_eq!(lock(&ahead.0.sounds).len(), 1);
        assert_eq!(size(&a), Some(64_000), "16,000 samples of four bytes");

        // Another spelling of the same file.
        let spelt = folder.path().join(".").join("a.wav");
        let whole = |file: &Path| Place::File(file.to_path_buf(), None);
        let ready = ahead.samples(&whole(&spelt)).unwrap();
        assert!(lock(&ahead.0.sounds).is_empty());
        let made = sounds::samples(&whole(&a)).unwrap();
        assert_eq!(ready.mono, made.mono);
        // What was given is made anew, and so is what was never ready, and one channel of it.
        for place in [
            whole(&a),
            whole(&b),
            whole(&stored),
            Place::File(a, Some(1)),
        ] {
            assert_eq!(ahead.samples(&place).unwrap().mono, made.mono);
        }
        // What was made of a file that is another now counts for nothing.
        let hash = ahead.hash(&b).unwrap();
        ahead.0.make(&[], &[(true, b.clone())], MOST);
        std::fs::copy(&bad, &b).unwrap();
        assert!(ahead.samples(&whole(&b)).is_err());
        assert_ne!(ahead.hash(&b).unwrap(), hash);
        // What could not be read says why, as without a head start.
        for file in [&bad, &gone] {
            let now = ahead.samples(&whole(file)).unwrap_err().to_string();
            assert_eq!(now, sounds::samples(&whole(file)).unwrap_err().to_string());
        }
        // SHA-256 of the text, by `printf 'no sound' | sha256sum`.
        assert_eq!(
            ahead.hash(&bad).unwrap(),
            "08e8d74a3e55c977202c5b03d62d40875e9269d3810116336252b90babe4caf9"
        );
        assert!(ahead.hash(&gone).is_err());
    }

    #[test]
    fn no_more_sound_waits_than_may() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long.wav");
        wav::write(&long, 16_000, &[&[0.5; 48_000]], wav::Sample::Pcm16).unwrap();
        let [a, b, c] = ["a.wav", "b.wav", "c.wav"].map(|name| sound(folder.path(), name));
        let ahead = Ahead::default();
        let sounds = [&long, &a, &b, &c].map(|p| (true, p.clone()));
        ahead.0.make(&[], &sounds, 130_000);
        let ready = |file: &Path| lock(&ahead.0.sounds).contains_key(&Stamp::of(file).unwrap());
        assert_eq!(
            [&long, &a, &b, &c].map(|p| ready(p)),
            [false, true, true, false]
        );
    }

    #[test]
    fn nothing_is_begun_that_is_not_worth_it_or_too_late() {
        let folder = tempfile::tempdir().unwrap();
        let a = sound(folder.path(), "a.wav");
        let ahead = Ahead::default();
        ahead.stop();
        ahead.0.make(&[], &[(true, a.clone())], MOST);
        assert!(lock(&ahead.0.sounds).is_empty());
        let ahead = Ahead::default();
        let recipe = Recipe::builtin("mindmix").unwrap();
        let coming = Coming {
            arrays: Vec::new(),
            sounds: vec![("a.wav".into(), a)],
        };
        ahead.begin(coming, folder.path(), &recipe, "Toy");
        // No thread holds what is ready.
        assert_eq!(Arc::strong_count(&ahead.0), 1);
    }
}
