//! Writes a BIDS folder of large EDF files: `bench_bids OUT [FILES [CHANNELS [SFREQ [SECONDS]]]]`,
//! by default 2 files of 64 channels at 512 Hz, 600 s. Used by `tests/peers/ingest_mne.py`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let out = args.first().ok_or("expected a folder to write to")?;
    let number = |k: usize, default: usize| -> Result<usize, std::num::ParseIntError> {
        args.get(k).map_or(Ok(default), |v| v.parse())
    };
    let (files, channels) = (number(1, 2)?, number(2, 64)?);
    let (sfreq, seconds) = (number(3, 512)? as f64, number(4, 600)?);
    mmpipe_simulate::bench_bids(std::path::Path::new(out), files, channels, sfreq, seconds)?;
    Ok(())
}
