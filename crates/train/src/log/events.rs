//! TensorBoard event files: TFRecord frames of `tensorflow.Event` messages.
//!
//! Frame: length u64, masked CRC-32C of the length, message, masked CRC-32C of the message, all
//! little-endian. Of the protobuf only what a scalar needs is written: `Event {1: wall_time double,
//! 2: step int64, 3: file_version string, 5: Summary {1: Value {1: tag, 2: simple_value float}},
//! 7: SessionLog {1: status}}`. A continued run starts a new file whose START message makes
//! TensorBoard forget what an older file holds beyond that step.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

pub(crate) struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// A new file in `dir` for a run that has done `step` steps.
    pub(crate) fn create(dir: &Path, step: u64) -> Result<Self> {
        let now = wall_time();
        // TensorBoard reads files in the order of their names; the counter breaks ties.
        let mut n = 0;
        let (path, file) = loop {
            let path = dir.join(format!(
                "events.out.tfevents.{:010}.mmpipe.{n:04}",
                now as u64
            ));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < 9999 => n += 1,
                Err(e) => return Err(Error::io(&path)(e)),
            }
        };
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
        };
        let mut version = event(now, None);
        bytes_field(3, b"brain.Event:2", &mut version);
        writer.frame(&version)?;
        if step > 0 {
            let mut start = event(now, Some(step + 1));
            bytes_field(7, &[0x08, 1], &mut start);
            writer.frame(&start)?;
        }
        Ok(writer)
    }

    /// One message with all `values` at `step`.
    pub(crate) fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            bytes_field(1, tag.as_bytes(), &mut entry);
            entry.push(2 << 3 | 5);
            entry.extend((*value as f32).to_le_bytes());
            bytes_field(1, &entry, &mut summary);
        }
        let mut message = event(wall_time(), Some(step));
        bytes_field(5, &summary, &mut message);
        self.frame(&message)
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path))?;
        self.file
            .get_ref()
            .sync_data()
            .map_err(Error::io(&self.path))
    }

    fn frame(&mut self, message: &[u8]) -> Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(message.len() + 16);
        frame.extend(length);
        frame.extend(masked(&length).to_le_bytes());
        frame.extend(message);
        frame.extend(masked(message).to_le_bytes());
        self.file.write_all(&frame).map_err(Error::io(&self.path))
    }
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// TensorFlow stores checksums rotated and offset, so that a checksum of data that holds checksums
/// stays useful.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn event(wall_time: f64, step: Option<u64>) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(wall_time.to_le_bytes());
    if let Some(step) = step {
        out.push(2 << 3);
        varint(step, &mut out);
    }
    out
}

fn bytes_field(field: u8, data: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(data.len() as u64, out);
    out.extend(data);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader sees of one frame.
    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        step: u64,
        version: Option<String>,
        start: bool,
        scalars: Vec<(String, f32)>,
    }

    fn read_varint(at: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = at.split_first().unwrap();
            *at = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return value;
            }
        }
        value
    }

    /// (field, wire type, payload) of every field; varints as their eight bytes.
    fn fields(mut at: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        while !at.is_empty() {
            let key = read_varint(&mut at);
            let payload = match key & 7 {
                0 => read_varint(&mut at).to_le_bytes().to_vec(),
                wire => {
                    let n = match wire {
                        1 => 8,
                        5 => 4,
                        _ => read_varint(&mut at) as usize,
                    };
                    let (head, rest) = at.split_at(n);
                    at = rest;
                    head.to_vec()
                }
            };
            out.push((key >> 3, payload));
        }
        out
    }

    fn decode(mut at: &[u8]) -> Vec<Seen> {
        let mut out = Vec::new();
        while !at.is_empty() {
            let n = u64::from_le_bytes(at[..8].try_into().unwrap()) as usize;
            assert_eq!(
                u32::from_le_bytes(at[8..12].try_into().unwrap()),
                masked(&at[..8])
            );
            let message = &at[12..12 + n];
            assert_eq!(
                u32::from_le_bytes(at[12 + n..16 + n].try_into().unwrap()),
                masked(message)
            );
            at = &at[16 + n..];
            let mut seen = Seen::default();
            for (field, payload) in fields(message) {
                match field {
                    1 => assert!(f64::from_le_bytes(payload.try_into().unwrap()) > 1.6e9),
                    2 => seen.step = u64::from_le_bytes(payload.try_into().unwrap()),
                    3 => seen.version = Some(String::from_utf8(payload).unwrap()),
                    7 => seen.start = payload == [8, 1],
                    5 => {
                        for (_, value) in fields(&payload) {
                            let f = fields(&value);
                            let tag = String::from_utf8(f[0].1.clone()).unwrap();
                            seen.scalars.push((
                                tag,
                                f32::from_le_bytes(f[1].1.clone().try_into().unwrap()),
                            ));
                        }
                    }
                    _ => panic!("field {field}"),
                }
            }
            out.push(seen);
        }
        out
    }

    #[test]
    fn frames_decode_to_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        for step in [0, 300] {
            let mut writer = EventWriter::create(dir.path(), step).unwrap();
            writer
                .scalars(
                    step + 1,
                    &[("train/loss".into(), 0.5), ("train/lr".into(), 1e-3)],
                )
                .unwrap();
            writer.sync().unwrap();
            let seen = decode(&std::fs::read(&writer.path).unwrap());
            assert_eq!(seen[0].version.as_deref(), Some("brain.Event:2"));
            assert_eq!(seen.len(), if step == 0 { 2 } else { 3 });
            assert_eq!(seen.iter().any(|s| s.start && s.step == 301), step == 300);
            let last = seen.last().unwrap();
            assert_eq!(last.step, step + 1);
            assert_eq!(
                last.scalars,
                [("train/loss".into(), 0.5f32), ("train/lr".into(), 1e-3f32)]
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    /// RFC 3720 B.4: CRC-32C of 32 zero bytes is 8a9136aa; masked as TensorFlow does.
    #[test]
    fn checksum_is_the_masked_castagnoli() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // ((crc >> 15 | crc << 17) + 0xa282ead8) mod 2^32, worked out apart.
        assert_eq!(masked(&[0; 32]), 0x0fd7_fffa);
    }
}
