//! Decodes a sound and brings it to 16 kHz mono as an ingest does, on one thread; prints the best
//! seconds of decoding alone and of both as JSON, and writes the result as f32 where asked. Seconds
//! are those of the processor where the system tells them (Linux), else of the clock.
//!
//!     cargo run --release -p mmpipe-signal --example sound -- FILE [REPEATS [OUT.f32]]
//!
//! `tests/peers/audio_resample.py` runs it beside soundfile and soxr.

use std::path::Path;
use std::time::Instant;

use mmpipe_formats::audio;
use mmpipe_signal::audio::ToMono16k;

/// Seconds that this thread has run, or of a clock.
fn seconds(start: &Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |n| n as f64 * 1e-9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: sound FILE [REPEATS [OUT.f32]]";
    let path = Path::new(arguments.first().ok_or(usage)?);
    let repeats: usize = arguments.get(1).map_or(Ok(5), |n| n.parse())?;
    let (mut decode, mut both) = (f64::INFINITY, f64::INFINITY);
    let (mut info, mut result) = (audio::probe(path)?, Vec::new());
    let clock = Instant::now();
    for _ in 0..repeats.max(1) {
        let start = seconds(&clock);
        let mut sum = 0.0f32;
        info = audio::decode(path, |block| sum += block.iter().sum::<f32>())?.info;
        std::hint::black_box(sum);
        decode = decode.min(seconds(&clock) - start);

        let start = seconds(&clock);
        let mut converter = ToMono16k::new(info.sfreq, info.channels)?;
        let mut failed = None;
        audio::decode(path, |block| {
            failed = converter.push(block).err().or(failed.take())
        })?;
        if let Some(e) = failed {
            return Err(e.into());
        }
        result = converter.finish();
        both = both.min(seconds(&clock) - start);
    }
    if let Some(out) = arguments.get(2) {
        let bytes: Vec<u8> = result.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(out, bytes)?;
    }
    println!(
        "{{\"container\":\"{}\",\"sfreq\":{},\"channels\":{},\"samples\":{},\"decode\":{decode:.6},\"decode_and_resample\":{both:.6}}}",
        info.container,
        info.sfreq,
        info.channels,
        result.len()
    );
    Ok(())
}
