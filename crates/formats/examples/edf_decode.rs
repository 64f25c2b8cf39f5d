//! Times the decoding of one EDF file to calibrated f32 by this crate and by edf-rs, for
//! `tests/peers/edf_decode.py`. Usage: `edf_decode FILE REPEATS`; prints one JSON line.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use edf_rs::file::EDFFile;
use edf_rs::record::Samples;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: edf_decode FILE REPEATS")?;
    let repeats: usize = args
        .next()
        .ok_or("usage: edf_decode FILE REPEATS")?
        .parse()?;
    let path = Path::new(&path);
    let recording = mmpipe_formats::open(path)?;
    let channels: Vec<usize> = (0..recording.header().channels.len()).collect();
    // One buffer for all channels, as NumPy has it.
    let lengths = recording
        .header()
        .channels
        .iter()
        .map(|c| c.n_samples as usize);
    let n = lengths.min().ok_or("no channel")?;
    let mut planes = vec![0f32; n * channels.len()];
    let mut open_s = f64::INFINITY;
    let mut warm_s = f64::INFINITY;
    let mut opened_s = f64::INFINITY;
    let mut fresh_s = f64::INFINITY;
    let mut edf_rs_s = f64::INFINITY;
    for _ in 0..repeats {
        let t = Instant::now();
        let recording = mmpipe_formats::open(path)?;
        open_s = open_s.min(t.elapsed().as_secs_f64());
        let mut out: Vec<&mut [f32]> = planes.chunks_exact_mut(n).collect();
        recording.read_f32(&channels, 0, &mut out)?;
        let t = Instant::now();
        recording.read_f32(&channels, 0, &mut out)?;
        warm_s = warm_s.min(t.elapsed().as_secs_f64());
        black_box(&out);
        let t = Instant::now();
        let reopened = mmpipe_formats::open(path)?;
        reopened.read_f32(&channels, 0, &mut out)?;
        opened_s = opened_s.min(t.elapsed().as_secs_f64());
        // As a first reader meets it: mapping and output pages not touched before.
        let t = Instant::now();
        let recording = mmpipe_formats::open(path)?;
        let mut fresh = vec![0f32; n * channels.len()];
        let mut out: Vec<&mut [f32]> = fresh.chunks_exact_mut(n).collect();
        recording.read_f32(&channels, 0, &mut out)?;
        fresh_s = fresh_s.min(t.elapsed().as_secs_f64());
        black_box(&fresh);
    }
    for _ in 0..repeats.div_ceil(10) {
        let t = Instant::now();
        black_box(edf_rs(path)?);
        edf_rs_s = edf_rs_s.min(t.elapsed().as_secs_f64());
    }
    let sum: f64 = planes.iter().map(|x| f64::from(*x)).sum();
    println!(
        "{{\"open_s\": {open_s}, \"warm_s\": {warm_s}, \"opened_s\": {opened_s}, \"fresh_s\": {fresh_s}, \"edf_rs_s\": {edf_rs_s}, \"sum\": {sum}}}"
    );
    Ok(())
}

/// All samples through edf-rs, calibrated the same way.
fn edf_rs(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    let mut file = EDFFile::open(path)?;
    let signals: Vec<_> = file
        .header
        .get_signals()
        .iter()
        .filter(|s| !s.is_annotation())
        .cloned()
        .collect();
    let records = file.header.get_record_count().ok_or("no record count")?;
    let mut out: Vec<Vec<f32>> = signals
        .iter()
        .map(|s| Vec::with_capacity(s.samples_count * records))
        .collect();
    for _ in 0..records {
        let record = file.read_record()?.ok_or("no record")?;
        for ((plane, part), s) in out.iter_mut().zip(&record.raw_signal_samples).zip(&signals) {
            let digital = f64::from(s.digital_maximum - s.digital_minimum);
            let gain = (s.physical_maximum - s.physical_minimum) / digital;
            let offset = s.physical_minimum - f64::from(s.digital_minimum) * gain;
            if let Samples::Values16Bit(values) = part {
                plane.extend(
                    values
                        .iter()
                        .map(|x| (f64::from(*x) * gain + offset) as f32),
                );
            }
        }
    }
    Ok(out)
}
