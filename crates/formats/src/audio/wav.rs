//! The short way for whole, plain WAV files: PCM and float samples straight from the mapped bytes.
//!
//! symphonia takes several times as long for the same samples. Whatever is not plain (compressed,
//! cut short, of unknown length, odd in any field) is left to it, with its diagnostics; the
//! samples are the same either way.

use std::ops::Range;

use super::{AudioInfo, Decoded, Sink};
use crate::error::Result;

/// How samples are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

impl Format {
    fn of(tag: u16, bits: u16) -> Option<Format> {
        match (tag, bits) {
            (1, 8) => Some(Format::U8),
            (1, 16) => Some(Format::I16),
            (1, 24) => Some(Format::I24),
            (1, 32) => Some(Format::I32),
            (3, 32) => Some(Format::F32),
            (3, 64) => Some(Format::F64),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Format::U8 => 1,
            Format::I16 => 2,
            Format::I24 => 3,
            Format::I32 | Format::F32 => 4,
            Format::F64 => 8,
        }
    }

    /// Whole samples to full scale ±1, as symphonia scales them.
    fn convert(self, bytes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        match self {
            Format::U8 => out.extend(bytes.iter().map(|b| f32::from(*b) / 128.0 - 1.0)),
            Format::I16 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0),
            ),
            Format::I24 => {
                out.extend(
                    bytes.as_chunks().0.iter().map(|&[a, b, c]| {
                        (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0
                    }),
                )
            }
            Format::I32 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| (f64::from(i32::from_le_bytes(*b)) / 2_147_483_648.0) as f32),
            ),
            Format::F32 => {
                out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            }
            Format::F64 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b) as f32),
            ),
        }
    }
}

/// A plain WAV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    format: Format,
    sfreq: u32,
    channels: usize,
    frames: u64,
    data: Range<usize>,
}

/// Chunks that are looked through for the samples.
const MOST_CHUNKS: usize = 1000;

/// Samples converted at a time.
const BLOCK: usize = 1 << 14;

/// GUID of an extensible format, after the two bytes of its tag.
const GUID: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

impl Plain {
    /// The plain WAV file in `file`; `None` for anything else.
    pub(super) fn of(file: &[u8]) -> Option<Plain> {
        if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
            return None;
        }
        let length = usize::try_from(u32_at(file, 4)?).ok()?;
        let riff = file.get(..length.checked_add(8)?)?;
        let mut at = 12usize;
        let (mut format, mut promised) = (None, None);
        for _ in 0..MOST_CHUNKS {
            let id = riff.get(at..at.checked_add(4)?)?;
            let length = usize::try_from(u32_at(riff, at + 4)?).ok()?;
            let start = at + 8;
            let stop = start.checked_add(length)?;
            let body = riff.get(start..stop)?;
            match id {
                b"fmt " if format.is_none() => format = Some(parse_format(body)?),
                b"fact" => promised = Some(u64::from(u32_at(body, 0)?)),
                b"data" => {
                    let (format, sfreq, channels) = format?;
                    let frame = format.bytes().checked_mul(channels)?;
                    if length == 0 || length % frame != 0 {
                        return None;
                    }
                    let frames = (length / frame) as u64;
                    return promised.is_none_or(|n| n == frames).then_some(Plain {
                        format,
                        sfreq,
                        channels,
                        frames,
                        data: start..stop,
                    });
                }
                b"fmt " => return None,
                _ => {}
            }
            at = stop.checked_add(length % 2)?;
        }
        None
    }

    /// Whether symphonia reads the header the same way.
    pub(super) fn is(&self, info: &AudioInfo) -> bool {
        info.sfreq == self.sfreq
            && info.channels == self.channels
            && info.frames == Some(self.frames)
            && info.container == "wav"
    }

    /// Gives all samples of the file `file` to `sink`, block by block.
    pub(super) fn decode(
        &self,
        file: &[u8],
        info: AudioInfo,
        sink: &mut Sink<'_>,
    ) -> Result<Decoded> {
        let frame = self.format.bytes() * self.channels;
        let step = (BLOCK / self.channels).max(1) * frame;
        let mut block = Vec::with_capacity(step / self.format.bytes());
        for bytes in file.get(self.data.clone()).unwrap_or_default().chunks(step) {
            self.format.convert(bytes, &mut block);
            sink(&block)?;
        }
        Ok(Decoded {
            info,
            frames: self.frames,
            diagnostics: Vec::new(),
        })
    }
}

/// Format, rate and channels of a `fmt ` chunk.
fn parse_format(body: &[u8]) -> Option<(Format, u32, usize)> {
    let channels = usize::from(u16_at(body, 2)?);
    let sfreq = u32_at(body, 4)?;
    let align = usize::from(u16_at(body, 12)?);
    let bits = u16_at(body, 14)?;
    let tag = match (u16_at(body, 0)?, body.len()) {
        (tag @ (1 | 3), 16 | 18) => tag,
        // All of the stored bits must be valid.
        (0xfffe, 40) if u16_at(body, 18)? == bits && body.get(26..40)? == GUID => u16_at(body, 24)?,
        _ => return None,
    };
    let format = Format::of(tag, bits)?;
    let fits = channels > 0 && sfreq > 0 && align == channels * format.bytes();
    fits.then_some((format, sfreq, channels))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::read;

    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.extend((body.len() as u32).to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn fmt(tag: u16, channels: u16, bits: u16, extensible: bool) -> Vec<u8> {
        let align = channels * bits / 8;
        let mut out = Vec::new();
        out.extend((if extensible { 0xfffe } else { tag }).to_le_bytes());
        out.extend(channels.to_le_bytes());
        out.extend(44_100u32.to_le_bytes());
        out.extend((44_100 * u32::from(align)).to_le_bytes());
        out.extend(align.to_le_bytes());
        out.extend(bits.to_le_bytes());
        if extensible {
            out.extend(22u16.to_le_bytes());
            out.extend(bits.to_le_bytes());
            out.extend(3u32.to_le_bytes());
            out.extend(tag.to_le_bytes());
            out.extend(GUID);
        }
        chunk(b"fmt ", &out)
    }

    fn wav(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body: Vec<u8> = [b"WAVE".to_vec(), chunks.concat()].concat();
        chunk(b"RIFF", &body)
    }

    /// Bytes of every kind; as floats they are kept small and finite.
    fn samples(tag: u16, bits: u16, n: usize) -> Vec<u8> {
        let mut state = 9u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let mut out = Vec::new();
        for _ in 0..n {
            let bytes = draw().to_le_bytes();
            let value = f64::from(draw() as i32) / 3e9;
            match (tag, bits) {
                (3, 32) => out.extend((value as f32).to_le_bytes()),
                (3, _) => out.extend(value.to_le_bytes()),
                _ => out.extend(&bytes[..usize::from(bits / 8)]),
            }
        }
        out
    }

    const KINDS: [(u16, u16); 6] = [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)];

    /// A RIFF of unknown length goes through symphonia; the samples are the same to the bit.
    #[test]
    fn samples_are_those_of_symphonia() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (tag, bits) in KINDS {
            for (channels, extensible) in [(1, false), (2, false), (2, true), (3, false)] {
                let data = chunk(b"data", &samples(tag, bits, 3 * 10_000));
                let list = chunk(b"LIST", b"INFOISFT\x03\0\0\0abc\0");
                let mut file = wav(&[fmt(tag, channels, bits, extensible), list, data]);
                let plain = Plain::of(&file).expect("plain");
                assert_eq!(plain.frames, 3 * 10_000 / u64::from(channels));
                std::fs::write(&path, &file).unwrap();
                let short = read(&path).unwrap();
                file[4..8].fill(0xff);
                assert_eq!(Plain::of(&file), None);
                std::fs::write(&path, &file).unwrap();
                let long = read(&path).unwrap();
                assert_eq!(short, long, "{tag} {bits} {channels}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_and_whole_is_left_alone() {
        let data = chunk(b"data", &samples(1, 16, 40));
        let good = [fmt(1, 2, 16, false), data.clone()];
        let file = wav(&good);
        assert!(Plain::of(&file).is_some());
        for n in 0..file.len() {
            assert_eq!(Plain::of(&file[..n]), None, "{n} bytes");
        }
        let fact = |n: u32| chunk(b"fact", &n.to_le_bytes());
        let with = |chunks: &[Vec<u8>]| Plain::of(&wav(chunks)).is_some();
        assert!(with(&[good[0].clone(), fact(20), data.clone()]));
        assert!(!with(&[good[0].clone(), fact(21), data.clone()]));
        assert!(!with(&[data.clone(), good[0].clone()]));
        assert!(!with(&[good[0].clone(), good[0].clone(), data.clone()]));
        assert!(!with(&[good[0].clone(), chunk(b"data", &[0; 6])]));
        assert!(!with(&[good[0].clone(), chunk(b"data", &[])]));
        assert!(!with(&[good[0].clone()]));
        assert!(!with(&[fmt(1, 0, 16, false), data.clone()]));
        assert!(!with(&[fmt(6, 2, 8, false), data.clone()]));
        assert!(!with(&[fmt(1, 2, 12, false), data.clone()]));
        // 24 of 32 bits valid.
        let mut odd = fmt(1, 2, 32, true);
        odd[8 + 18] = 24;
        assert!(!with(&[odd, data.clone()]));
        // Every byte of the header may be anything.
        for at in 0..60.min(file.len()) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = file.clone();
                broken[at] = value;
                if let Some(plain) = Plain::of(&broken) {
                    assert!(plain.data.end <= broken.len());
                }
            }
        }
    }
}
