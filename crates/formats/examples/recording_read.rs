//! Opens any recording and reads all its channels as f32 by blocks, for the comparisons in
//! `tests/peers`. Usage: `recording_read FILE [PASSES]`; prints one JSON line: seconds of every
//! pass (open, runs, all samples), the samples and channels read, and a sum that says that both
//! sides of a comparison read the same (missing samples left out).

use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Samples a channel that are read at once.
const BLOCK: u64 = 1 << 16;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: recording_read FILE [PASSES]")?;
    let passes: usize = args.next().map_or(Ok(5), |n| n.parse())?;
    let mut buffers: Vec<Vec<f32>> = Vec::new();
    let mut seconds = Vec::new();
    let mut last = (0u64, 0usize, 0usize, 0f64);
    for _ in 0..passes.max(1) {
        let t = Instant::now();
        let recording = mmpipe_formats::open(Path::new(&path))?;
        let channels = &recording.header().channels;
        let runs = if channels.is_empty() {
            0
        } else {
            recording.runs(0).len()
        };
        buffers.resize_with(channels.len(), || vec![0f32; BLOCK as usize]);
        // Channels of one length are read together, as the containers store them.
        let mut lengths: Vec<u64> = channels.iter().map(|c| c.n_samples).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let (mut samples, mut sum) = (0u64, 0f64);
        let mut spent = t.elapsed();
        for length in lengths {
            let group: Vec<usize> = (0..channels.len())
                .filter(|&c| channels[c].n_samples == length)
                .collect();
            for start in (0..length).step_by(BLOCK as usize) {
                let n = BLOCK.min(length - start) as usize;
                let t = Instant::now();
                let mut out: Vec<&mut [f32]> = buffers
                    .iter_mut()
                    .take(group.len())
                    .map(|b| &mut b[..n])
                    .collect();
                recording.read_f32(&group, start, &mut out)?;
                spent += t.elapsed();
                samples += (n * group.len()) as u64;
                for block in &out {
                    let present = block.iter().filter(|x| x.is_finite());
                    sum += present.map(|x| f64::from(*x)).sum::<f64>();
                }
            }
        }
        seconds.push(spent.as_secs_f64());
        last = (samples, channels.len(), runs, sum);
    }
    let (samples, channels, runs, sum) = last;
    println!(
        "{{\"seconds\": {seconds:?}, \"samples\": {samples}, \"channels\": {channels}, \"runs\": {runs}, \"sum\": {sum}}}"
    );
    Ok(())
}
