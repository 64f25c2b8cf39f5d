//! Any rate and number of channels to 16 kHz mono, block by block.
//!
//! rubato's `Fft` resampler (overlap-add of one symmetric windowed sinc) does the work, in f32, as
//! the result is: its rounding lies below the steps of 16-bit sound, and f64 takes twice as long.
//! Its delay is half an input block, rounded down; with a block that holds an even multiple of the
//! smallest whole-number ratio that is a whole number of output samples, which are dropped here,
//! so the result is in time with the input. (With the odd block of rubato's own choice, 441 for
//! 44.1 kHz, 0.18 output samples would remain.) Transforms may differ in their last bits between
//! CPUs.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler, WindowFunction};

use super::SFREQ;
use crate::{Error, Result};

/// Frames in a block, at least; longer blocks cut off closer to the Nyquist frequency.
const BLOCK: usize = 1024;

/// Highest rate accepted, in Hz.
const MAX_SFREQ: u32 = 768_000;

/// Samples that `frames` frames at `sfreq` Hz become: `frames * 16000 / sfreq`, rounded to the
/// nearest (halves up).
pub fn output_len(frames: u64, sfreq: u32) -> u64 {
    let (num, den) = (
        u128::from(frames) * u128::from(SFREQ),
        u128::from(sfreq.max(1)),
    );
    ((2 * num + den) / (2 * den)) as u64
}

/// Streaming conversion to 16 kHz mono. Feed interleaved frames as a decoder gives them; besides
/// the result it holds a few blocks.
pub struct ToMono16k {
    sfreq: u32,
    channels: usize,
    /// None when the input is at 16 kHz already.
    resampler: Option<Fft<f32>>,
    /// Mono frames that wait for a full block.
    pending: Vec<f32>,
    /// Output frames still to drop for the delay.
    skip: usize,
    frames: u64,
    scratch: Vec<f32>,
    out: Vec<f32>,
}

impl std::fmt::Debug for ToMono16k {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToMono16k")
            .field("sfreq", &self.sfreq)
            .field("channels", &self.channels)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl ToMono16k {
    /// A converter for sound of `channels` interleaved channels at `sfreq` Hz.
    ///
    /// # Errors
    /// [`Error::Parameter`] for no channels or a rate outside 1..=768000 Hz, or whose block would
    /// be unreasonably long.
    pub fn new(sfreq: u32, channels: usize) -> Result<Self> {
        if channels == 0 || !(1..=MAX_SFREQ).contains(&sfreq) {
            return Err(Error::Parameter {
                what: "sound",
                expected: "one or more channels at 1 to 768000 Hz",
                found: format!("{channels} channels at {sfreq} Hz"),
            });
        }
        let resampler = (sfreq != SFREQ).then(|| resampler(sfreq)).transpose()?;
        let skip = resampler.as_ref().map_or(0, Resampler::output_delay);
        let room = resampler.as_ref().map_or(0, Resampler::output_frames_max);
        Ok(Self {
            sfreq,
            channels,
            resampler,
            pending: Vec::new(),
            skip,
            frames: 0,
            scratch: vec![0.0; room],
            out: Vec::new(),
        })
    }

    /// Feeds whole interleaved frames. Channels are averaged.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a broken frame, [`Error::Resampler`].
    pub fn push(&mut self, interleaved: &[f32]) -> Result<()> {
        if !interleaved.len().is_multiple_of(self.channels) {
            return Err(Error::Parameter {
                what: "interleaved samples",
                expected: "a whole number of frames",
                found: format!(
                    "{} samples of {} channels",
                    interleaved.len(),
                    self.channels
                ),
            });
        }
        let scale = 1.0 / self.channels as f32;
        let frames = interleaved.chunks_exact(self.channels);
        self.frames += frames.len() as u64;
        let mono = frames.map(|f| {
            if f.len() == 1 {
                f[0]
            } else {
                f.iter().sum::<f32>() * scale
            }
        });
        if self.resampler.is_none() {
            self.out.extend(mono);
            return Ok(());
        }
        self.pending.extend(mono);
        self.drain()
    }

    /// The result: [`output_len`] samples.
    ///
    /// # Errors
    /// [`Error::Resampler`].
    pub fn finish(mut self) -> Result<Vec<f32>> {
        let wanted = output_len(self.frames, self.sfreq) as usize;
        if let Some(need) = self.resampler.as_ref().map(Resampler::input_frames_next) {
            // Zeros push the last samples through the delay.
            while self.out.len() < wanted {
                let padded = self.pending.len().max(1).next_multiple_of(need);
                self.pending.resize(padded, 0.0);
                self.drain()?;
            }
        }
        self.out.truncate(wanted);
        Ok(self.out)
    }

    /// Runs every full block that is pending.
    fn drain(&mut self) -> Result<()> {
        let Some(resampler) = &mut self.resampler else {
            return Ok(());
        };
        let need = resampler.input_frames_next();
        let mut used = 0;
        while self.pending.len() - used >= need {
            let block = &self.pending[used..used + need];
            let input = InterleavedSlice::new(block, 1, need).map_err(failed)?;
            let room = self.scratch.len();
            let mut output =
                InterleavedSlice::new_mut(&mut self.scratch, 1, room).map_err(failed)?;
            let (_, made) = resampler
                .process_into_buffer(&input, &mut output, None::<&Indexing>)
                .map_err(failed)?;
            let drop = self.skip.min(made);
            self.skip -= drop;
            let made = &self.scratch[drop..made];
            self.out.extend_from_slice(made);
            used += need;
        }
        self.pending.drain(..used);
        Ok(())
    }
}

/// Converts planar channels at `sfreq` Hz to 16 kHz mono (mean over channels) in one call.
///
/// # Errors
/// As [`ToMono16k::new`]; [`Error::Length`] when channels differ in length.
pub fn to_16k_mono(planar: &[Vec<f32>], sfreq: u32) -> Result<Vec<f32>> {
    let mut converter = ToMono16k::new(sfreq, planar.len())?;
    let n = planar.first().map_or(0, Vec::len);
    for (channel, samples) in planar.iter().enumerate() {
        if samples.len() != n {
            return Err(Error::Length {
                channel,
                expected: n,
                found: samples.len(),
            });
        }
    }
    let mut block = Vec::with_capacity(BLOCK * planar.len());
    for start in (0..n).step_by(BLOCK) {
        block.clear();
        for t in start..n.min(start + BLOCK) {
            block.extend(planar.iter().map(|c| c[t]));
        }
        converter.push(&block)?;
    }
    converter.finish()
}

fn resampler(sfreq: u32) -> Result<Fft<f32>> {
    let (from, to) = (sfreq as usize, SFREQ as usize);
    let smallest = from / gcd(from, to);
    // An even multiple makes half a block a whole number of samples on both sides.
    let block = smallest * BLOCK.div_ceil(smallest).next_multiple_of(2);
    Fft::new_custom(
        from,
        to,
        block,
        1,
        1,
        WindowFunction::BlackmanHarris2,
        FixedSync::Input,
    )
    .map_err(failed)
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Resampler(e.to_string())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
