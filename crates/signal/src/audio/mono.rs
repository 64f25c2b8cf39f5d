//! Any rate and number of channels to 16 kHz mono, block by block.
//!
//! Resampling ([`Resampler`]) is in f32, as the result is: its rounding lies below the steps of
//! 16-bit sound, and f64 takes twice as long. Its delay is half a sinc; one as long as an even
//! multiple of the smallest whole-number ratio makes that a whole number of output samples, which
//! are dropped here, so the result is in time with the input. (With an odd one, 441 for 44.1 kHz,
//! 0.18 output samples would remain.) Transforms may differ in their last bits between CPUs.

use super::SFREQ;
use super::resample::Resampler;
use crate::{Error, Result};

/// Frames of the sinc, at least; longer ones cut off closer to the Nyquist frequency.
const SINC: usize = 1024;

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
    resampler: Option<Resampler>,
    /// Mono frames that wait for a full block.
    pending: Vec<f32>,
    /// Output frames still to drop for the delay.
    skip: usize,
    frames: u64,
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
    /// [`Error::Parameter`] for no channels or a rate outside 1..=768000 Hz.
    pub fn new(sfreq: u32, channels: usize) -> Result<Self> {
        if channels == 0 || !(1..=MAX_SFREQ).contains(&sfreq) {
            return Err(Error::Parameter {
                what: "sound",
                expected: "one or more channels at 1 to 768000 Hz",
                found: format!("{channels} channels at {sfreq} Hz"),
            });
        }
        let resampler = (sfreq != SFREQ).then(|| resampler(sfreq));
        let skip = resampler.as_ref().map_or(0, Resampler::delay);
        Ok(Self {
            sfreq,
            channels,
            resampler,
            pending: Vec::new(),
            skip,
            frames: 0,
            out: Vec::new(),
        })
    }

    /// Feeds whole interleaved frames. Channels are averaged.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a broken frame.
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
        self.drain();
        Ok(())
    }

    /// The result: [`output_len`] samples.
    pub fn finish(mut self) -> Vec<f32> {
        let wanted = output_len(self.frames, self.sfreq) as usize;
        if let Some(taken) = self.resampler.as_ref().map(Resampler::taken) {
            // Zeros push the last samples through the delay.
            while self.out.len() < wanted {
                let padded = self.pending.len().max(1).next_multiple_of(taken);
                self.pending.resize(padded, 0.0);
                self.drain();
            }
        }
        self.out.truncate(wanted);
        self.out
    }

    /// Runs all blocks that are pending and full.
    fn drain(&mut self) {
        let Some(resampler) = &mut self.resampler else {
            return;
        };
        let mut blocks = self.pending.chunks_exact(resampler.taken());
        for two in &mut blocks {
            resampler.run(two, &mut self.out);
            if self.skip > 0 {
                let drop = self.skip.min(self.out.len());
                self.out.drain(..drop);
                self.skip -= drop;
            }
        }
        let used = self.pending.len() - blocks.remainder().len();
        self.pending.drain(..used);
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
    let mut block = Vec::with_capacity(SINC * planar.len());
    for start in (0..n).step_by(SINC) {
        block.clear();
        for t in start..n.min(start + SINC) {
            block.extend(planar.iter().map(|c| c[t]));
        }
        converter.push(&block)?;
    }
    Ok(converter.finish())
}

fn resampler(sfreq: u32) -> Resampler {
    let (from, to) = (sfreq as usize, SFREQ as usize);
    let common = gcd(from, to);
    let smallest = from / common;
    // An even multiple makes half a sinc a whole number of samples on both sides.
    let times = SINC.div_ceil(smallest).next_multiple_of(2);
    Resampler::new(times * smallest, times * (to / common))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
