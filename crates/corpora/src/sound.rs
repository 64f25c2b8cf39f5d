//! Sounds inside files of named arrays: opened and read as mono by blocks.
//!
//! Sound files (WAV, FLAC, ...) are read by `mmpipe_formats::audio`; which rows of `files` are
//! arrays instead, [`Scan::sounds`](crate::Scan) says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmpipe_formats::Recording;
use mmpipe_formats::tree::{Orientation, TreeSpec, open_in, share};
use mmpipe_trees::Tree;

use crate::manifest::{SoundOrientation, SoundTree};
use crate::scan::without_path;
use crate::{Error, Result};

/// Frames of one block: half a MiB a channel in f64.
const BLOCK: usize = 1 << 16;

/// Most channels of a sound; more are a turned array.
const MOST_CHANNELS: usize = 64;

/// Most frames of a sound: a day at 48 kHz. An array of HDF5 may claim more than its file holds.
const MOST_FRAMES: u64 = 1 << 32;

/// An array that is open as a sound.
pub struct Sound {
    path: PathBuf,
    audio: String,
    recording: Box<dyn Recording>,
    /// The channels that are heard, from 0.
    heard: Vec<usize>,
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sound")
            .field("path", &self.path)
            .field("audio", &self.audio)
            .field("sfreq", &self.sfreq())
            .field("channels", &self.channels())
            .field("frames", &self.frames())
            .finish()
    }
}

/// Opens a sound inside a file; `tree` is [`SoundPart::tree`](crate::SoundPart).
///
/// # Errors
/// [`Error::Sound`] when the file, the array or its rate cannot be read, or the row is not there.
pub fn open_sound(path: &Path, tree: &str) -> Result<Sound> {
    let spec: SoundTree = serde_json::from_str(tree).map_err(|e| Error::Sound {
        path: path.to_owned(),
        place: tree.to_owned(),
        detail: e.to_string(),
    })?;
    let arrays = share(path).map_err(|e| Error::Sound {
        path: path.to_owned(),
        place: spec.audio.clone(),
        detail: without_path(path, &e),
    })?;
    Sound::new(arrays, &spec)
}

impl Sound {
    /// Opens a sound of a file that is open already.
    pub(crate) fn new(tree: Arc<dyn Tree>, spec: &SoundTree) -> Result<Sound> {
        let path = tree.path().to_owned();
        let fail = |detail: String| Error::Sound {
            path: path.clone(),
            place: spec.audio.clone(),
            detail,
        };
        let recording = TreeSpec {
            eeg: vec![spec.audio.clone()],
            orientation: match spec.orientation {
                SoundOrientation::TimeChannel => Orientation::TimeChannel,
                SoundOrientation::ChannelTime => Orientation::ChannelTime,
            },
            unit: String::new(),
            scale: spec.scale,
            sfreq: spec.sfreq.clone(),
            ch_names: None,
            times: None,
            start: None,
        };
        let recording = open_in(tree, &recording).map_err(|e| fail(without_path(&path, &e)))?;
        let channels = recording.header().channels.len();
        if channels > MOST_CHANNELS {
            return Err(fail(format!(
                "expected a sound of at most {MOST_CHANNELS} channels, found {channels}: is the \
                 orientation turned?"
            )));
        }
        let heard = match spec.row {
            None => (0..channels).collect(),
            Some(row) => match (row as usize).checked_sub(1).filter(|r| *r < channels) {
                Some(row) => vec![row],
                None => {
                    return Err(Error::SoundRow {
                        path,
                        place: spec.audio.clone(),
                        row,
                        rows: channels,
                    });
                }
            },
        };
        let sound = Sound {
            audio: spec.audio.clone(),
            recording,
            heard,
            path: path.clone(),
        };
        match sound.frames() {
            0 => Err(fail("the sound has no samples".into())),
            n if n > MOST_FRAMES => Err(fail(format!(
                "expected at most {MOST_FRAMES} samples a channel, found {n}"
            ))),
            _ => Ok(sound),
        }
    }

    /// Sampling frequency, Hz.
    pub fn sfreq(&self) -> f64 {
        let first = self.recording.header().channels.first();
        first.map_or(0.0, |c| c.sfreq)
    }

    /// Channels: those of the array, or one where the manifest names its row.
    pub fn channels(&self) -> usize {
        self.heard.len()
    }

    /// Samples a channel.
    pub fn frames(&self) -> u64 {
        let first = self.recording.header().channels.first();
        first.map_or(0, |c| c.n_samples)
    }

    /// Length, s.
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / self.sfreq()
    }

    /// What kind of file it lies in.
    pub(crate) fn container(&self) -> String {
        self.recording.header().container.to_string()
    }

    /// Reads the sound from its start: `sink` gets one block of mono samples after the other, at
    /// most 65,536 each. `channel` counts from 1; without it the mean of all channels is given.
    ///
    /// # Errors
    /// [`Error::Sound`] when there is no such channel or the array is damaged.
    pub fn decode(&self, channel: Option<u32>, mut sink: impl FnMut(&[f32])) -> Result<()> {
        let fail = |detail: String| Error::Sound {
            path: self.path.clone(),
            place: self.audio.clone(),
            detail,
        };
        let one;
        let heard = match channel {
            None => self.heard.as_slice(),
            Some(n) => {
                let at = (n as usize).checked_sub(1);
                one = at.and_then(|at| self.heard.get(at)).copied();
                one.as_slice()
            }
        };
        if heard.is_empty() {
            return Err(fail(format!(
                "expected a channel from 1 to {}, found {}",
                self.channels(),
                channel.unwrap_or(0)
            )));
        }
        let mut planes = vec![vec![0.0_f64; BLOCK]; heard.len()];
        let mut mono = Vec::with_capacity(BLOCK);
        let mut at = 0;
        while at < self.frames() {
            let n = (self.frames() - at).min(BLOCK as u64) as usize;
            let mut lanes: Vec<&mut [f64]> =
                planes.iter_mut().filter_map(|p| p.get_mut(..n)).collect();
            self.recording
                .read_f64(heard, at, &mut lanes)
                .map_err(|e| fail(without_path(&self.path, &e)))?;
            mono.clear();
            mono.extend((0..n).map(|i| {
                let sum: f64 = planes.iter().filter_map(|p| p.get(i)).sum();
                (sum / planes.len() as f64) as f32
            }));
            sink(&mono);
            at += n as u64;
        }
        Ok(())
    }
}
