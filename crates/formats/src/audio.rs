//! Sounds: WAV, FLAC, MP3 and Ogg Vorbis through symphonia, plain WAV past it (`wav`). Owns the checks that nothing is
//! lost without a word; knows nothing of resampling (see the `signal` crate).
//!
//! MP3 and Vorbis encoders add silence before and after the sound; it is removed where the file
//! says how much there is (LAME tag, granule positions). A packet that cannot be decoded is
//! replaced by silence of its length and reported as [`Severity::Damaged`], so that what
//! follows keeps its time. FLAC's own MD5 sum is checked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

mod wav;

use crate::error::{Error, Result};
use crate::recording::{Diagnostic, Severity};
use crate::source::Source;

/// Most samples that [`read`] keeps in memory: 4 GiB, 3 h of stereo at 48 kHz.
const MOST_SAMPLES: u64 = 1 << 30;

/// Most frames of one undecodable packet that are replaced by silence.
const MOST_SILENCE: u64 = 1 << 17;

/// What a sound file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioInfo {
    /// Sampling frequency, Hz.
    pub sfreq: u32,
    /// Number of channels.
    pub channels: usize,
    /// Frames (one sample of every channel) that the header promises, encoder delay and padding
    /// left out; `None` when it promises nothing.
    pub frames: Option<u64>,
    /// "wav", "flac", "mp3", "ogg" or what symphonia calls it.
    pub container: &'static str,
}

/// A sound that has gone through [`decode`].
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The header.
    pub info: AudioInfo,
    /// Frames decoded.
    pub frames: u64,
    /// Anything noteworthy, worst first, e.g. fewer frames than promised.
    pub diagnostics: Vec<Diagnostic>,
}

/// A decoded sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Sampling frequency, Hz.
    pub sfreq: u32,
    /// Number of channels.
    pub channels: usize,
    /// Frames decoded: the length of every vector in `samples`.
    pub frames: u64,
    /// One vector a channel; full scale is ±1 (lossy formats may exceed it).
    pub samples: Vec<Vec<f32>>,
    /// Anything noteworthy, worst first.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the header of a sound file.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`], [`Error::Empty`]; [`Error::Audio`] when no reader takes
/// it or it has no audio track with a known rate.
pub fn probe(path: &Path) -> Result<AudioInfo> {
    let source = Source::open(path)?;
    guarded(path, || Ok(Opened::new(path, source)?.info))
}

/// Decodes block by block: `sink` gets interleaved samples, whole frames at a time.
///
/// # Errors
/// As [`probe`], and [`Error::Audio`] when nothing can be decoded, the stream changes its rate
/// or channels, or the container is broken in the middle.
pub fn decode(path: &Path, mut sink: impl FnMut(&[f32])) -> Result<Decoded> {
    let source = Source::open(path)?;
    guarded(path, || {
        run(path, source, &mut |block| {
            sink(block);
            Ok(())
        })
    })
}

/// Decodes a whole sound into one vector a channel.
///
/// # Errors
/// As [`decode`], and [`Error::Audio`] when it would need more than 4 GiB; use [`decode`] then.
pub fn read(path: &Path) -> Result<Audio> {
    let source = Source::open(path)?;
    let mut samples: Vec<Vec<f32>> = Vec::new();
    let channels = guarded(path, || {
        Ok(Opened::new(path, Source::open(path)?)?.info.channels)
    })?;
    samples.resize_with(channels, Vec::new);
    let mut total = 0u64;
    let decoded = guarded(path, || {
        run(path, source, &mut |block| {
            total += block.len() as u64;
            if total > MOST_SAMPLES {
                return Err(audio(
                    path,
                    format!("longer than {MOST_SAMPLES} samples; decode it by blocks"),
                ));
            }
            for (k, plane) in samples.iter_mut().enumerate() {
                plane.extend(block.iter().skip(k).step_by(channels));
            }
            Ok(())
        })
    })?;
    Ok(Audio {
        sfreq: decoded.info.sfreq,
        channels,
        frames: decoded.frames,
        samples,
        diagnostics: decoded.diagnostics,
    })
}

impl MediaSource for crate::source::Reader {
    fn is_seekable(&self) -> bool {
        true
    }
    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}

fn audio(path: &Path, message: impl Into<String>) -> Error {
    Error::Audio {
        path: path.to_path_buf(),
        message: message.into(),
    }
}

/// Third-party decoders meet bytes of any kind here; a panic in one must not end an ingest.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(audio(path, "the decoder panicked on this file")))
}

struct Opened {
    format: Box<dyn FormatReader>,
    track: Track,
    info: AudioInfo,
}

impl Opened {
    fn new(path: &Path, source: Source) -> Result<Opened> {
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let found = crate::sniff::describe(source.bytes());
        let stream = MediaSourceStream::new(
            Box::new(crate::source::Reader::new(source)),
            Default::default(),
        );
        let format = symphonia::default::get_probe()
            .probe(
                &hint,
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(|e| {
                let message = if found.ends_with(" sound") {
                    format!("{found} whose header cannot be read: {e}")
                } else {
                    format!("expected WAV, FLAC, MP3 or Ogg Vorbis, found {found}")
                };
                audio(path, message)
            })?;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| audio(path, "no audio track"))?
            .clone();
        let params = track.codec_params.as_ref().and_then(|p| p.audio());
        let (sfreq, channels) = params
            .and_then(|p| Some((p.sample_rate?, p.channels.as_ref()?.count())))
            .filter(|(sfreq, channels)| *sfreq > 0 && *channels > 0)
            .ok_or_else(|| audio(path, "the header gives no rate or no channels"))?;
        let container = match format.format_info().short_name {
            "wave" => "wav",
            "mpa" | "mp1" | "mp2" | "mp3" => "mp3",
            other => other,
        };
        let info = AudioInfo {
            sfreq,
            channels,
            frames: track.num_frames,
            container,
        };
        Ok(Opened {
            format,
            track,
            info,
        })
    }
}

type Sink<'a> = dyn FnMut(&[f32]) -> Result<()> + 'a;

fn run(path: &Path, source: Source, sink: &mut Sink<'_>) -> Result<Decoded> {
    if let Some(plain) = wav::Plain::of(source.bytes()) {
        let info = Opened::new(path, Source::open(path)?)?.info;
        if plain.is(&info) {
            return plain.decode(source.bytes(), info, sink);
        }
    }
    let Opened {
        mut format,
        track,
        info,
    } = Opened::new(path, source)?;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|p| p.audio())
        .ok_or_else(|| audio(path, "no audio track"))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
        .map_err(|e| audio(path, e.to_string()))?;
    let mut tally = Tally {
        frames: 0,
        decoded: 0,
        lost: 0,
        first_loss: None,
        early_end: None,
    };
    let mut block: Vec<f32> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Symphonia::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                tally.early_end = Some(e.to_string());
                break;
            }
            Err(e) => return Err(audio(path, format!("after frame {}: {e}", tally.frames))),
        };
        if packet.track_id != track.id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                let spec = buffer.spec();
                if spec.rate() != info.sfreq || spec.channels().count() != info.channels {
                    return Err(audio(
                        path,
                        format!(
                            "after frame {}: {} Hz and {} channels promised, {} Hz and {} found",
                            tally.frames,
                            info.sfreq,
                            info.channels,
                            spec.rate(),
                            spec.channels().count()
                        ),
                    ));
                }
                block.resize(buffer.samples_interleaved(), 0.0);
                buffer.copy_to_slice_interleaved(&mut block);
                tally.decoded += buffer.frames() as u64;
                tally.frames += buffer.frames() as u64;
            }
            Err(Symphonia::DecodeError(e)) => {
                let frames = packet.dur.get().min(MOST_SILENCE);
                block.clear();
                block.resize(frames as usize * info.channels, 0.0);
                tally
                    .first_loss
                    .get_or_insert_with(|| format!("frame {}: {e}", tally.frames));
                tally.lost += frames;
                tally.frames += frames;
            }
            Err(e) => return Err(audio(path, format!("after frame {}: {e}", tally.frames))),
        }
        if !block.is_empty() {
            sink(&block)?;
        }
    }
    if tally.decoded == 0 && (tally.lost > 0 || info.frames.is_some_and(|n| n > 0)) {
        let reason = tally
            .first_loss
            .or(tally.early_end)
            .unwrap_or_else(|| "no packet".into());
        return Err(audio(path, format!("nothing decodable: {reason}")));
    }
    let verified = decoder.finalize().verify_ok;
    let diagnostics = tally.diagnostics(&info, verified);
    Ok(Decoded {
        frames: tally.frames,
        info,
        diagnostics,
    })
}

/// What happened on the way.
struct Tally {
    frames: u64,
    decoded: u64,
    lost: u64,
    first_loss: Option<String>,
    early_end: Option<String>,
}

impl Tally {
    fn diagnostics(&self, info: &AudioInfo, verified: Option<bool>) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if let Some(first) = &self.first_loss {
            out.push(Diagnostic::new(
                "undecodable-packet",
                Severity::Damaged,
                format!("{} frames replaced by silence, first at {first}", self.lost),
            ));
        }
        if verified == Some(false) {
            out.push(Diagnostic::new(
                "checksum",
                Severity::Damaged,
                "the decoded samples do not have the MD5 sum that the file promises",
            ));
        }
        match info.frames {
            Some(promised) if self.frames < promised => out.push(Diagnostic::new(
                "truncated",
                Severity::Warning,
                format!("{promised} frames promised, {} decoded", self.frames),
            )),
            Some(promised) if self.frames > promised => out.push(Diagnostic::new(
                "frame-count-disagrees",
                Severity::Warning,
                format!(
                    "{promised} frames promised, {} decoded; all are given",
                    self.frames
                ),
            )),
            Some(_) => {}
            None => out.push(Diagnostic::new(
                "frame-count-unknown",
                Severity::Note,
                format!(
                    "the header promises no length; {} frames decoded",
                    self.frames
                ),
            )),
        }
        if let Some(end) = &self.early_end {
            out.push(Diagnostic::new(
                "ends-early",
                Severity::Warning,
                format!("the stream ends within a packet ({end})"),
            ));
        }
        out
    }
}
