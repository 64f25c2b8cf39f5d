//! RIFF/WAVE: 16-bit PCM and 32-bit float.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// 16-bit PCM: `round(x · 32767)`, values beyond ±1 clipped.
    Pcm16,
    /// IEEE 754 single, unchanged.
    Float32,
}

/// Writes planar samples (one slice a channel, full scale ±1).
///
/// # Errors
/// [`Error::Write`] when there is no channel, lengths differ, or the file would pass the
/// 4 GiB that a RIFF length can hold; [`Error::Io`] when the system refuses.
pub fn write(path: &Path, sfreq: u32, channels: &[&[f32]], sample: Sample) -> Result<()> {
    let fail = |field: &str, message: String| Error::Write {
        path: path.to_path_buf(),
        field: field.into(),
        message,
    };
    let frames = channels.first().map_or(0, |c| c.len());
    if channels.is_empty() || channels.len() > usize::from(u16::MAX) {
        return Err(fail(
            "channels",
            format!("1 to 65535 expected, found {}", channels.len()),
        ));
    }
    if let Some(other) = channels.iter().find(|c| c.len() != frames) {
        return Err(fail(
            "samples",
            format!(
                "channels of one length expected, found {frames} and {}",
                other.len()
            ),
        ));
    }
    let (tag, width): (u16, usize) = match sample {
        Sample::Pcm16 => (1, 2),
        Sample::Float32 => (3, 4),
    };
    let n_channels = channels.len() as u16;
    let data = (frames as u64) * u64::from(n_channels) * width as u64;
    let total = 36 + data + data % 2;
    let (Ok(data_len), Ok(riff_len)) = (u32::try_from(data), u32::try_from(total)) else {
        return Err(fail(
            "samples",
            format!("{data} bytes do not fit a WAVE file (4 GiB)"),
        ));
    };
    let block = n_channels.checked_mul(width as u16).ok_or_else(|| {
        fail(
            "channels",
            format!("{n_channels} channels do not fit a WAVE frame"),
        )
    })?;
    let io = |e| Error::io(path, "write", e);
    let mut out = BufWriter::new(File::create(path).map_err(|e| Error::io(path, "create", e))?);
    let mut head = Vec::with_capacity(44);
    head.extend_from_slice(b"RIFF");
    head.extend_from_slice(&riff_len.to_le_bytes());
    head.extend_from_slice(b"WAVEfmt ");
    head.extend_from_slice(&16u32.to_le_bytes());
    head.extend_from_slice(&tag.to_le_bytes());
    head.extend_from_slice(&n_channels.to_le_bytes());
    head.extend_from_slice(&sfreq.to_le_bytes());
    head.extend_from_slice(&sfreq.saturating_mul(u32::from(block)).to_le_bytes());
    head.extend_from_slice(&block.to_le_bytes());
    head.extend_from_slice(&(width as u16 * 8).to_le_bytes());
    head.extend_from_slice(b"data");
    head.extend_from_slice(&data_len.to_le_bytes());
    out.write_all(&head).map_err(io)?;
    for frame in 0..frames {
        for channel in channels {
            let x = channel[frame];
            match sample {
                Sample::Pcm16 => {
                    let v = (x.clamp(-1.0, 1.0) * 32767.0).round() as i16;
                    out.write_all(&v.to_le_bytes()).map_err(io)?;
                }
                Sample::Float32 => out.write_all(&x.to_le_bytes()).map_err(io)?,
            }
        }
    }
    if data % 2 == 1 {
        out.write_all(&[0]).map_err(io)?;
    }
    out.flush().map_err(io)
}
