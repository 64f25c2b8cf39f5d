//! Any bytes as a GDF file: open, look for gaps, then read the ends of every channel.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::with_suffix(".gdf") else {
        return;
    };
    if std::fs::write(file.path(), data).is_err() {
        return;
    }
    let Ok(recording) = mmpipe_formats::open(file.path()) else {
        return;
    };
    for (c, channel) in recording.header().channels.iter().enumerate() {
        let mut out = [0f32; 16];
        let k = channel.n_samples.min(16) as usize;
        recording
            .read_f32(&[c], 0, &mut [&mut out[..k]])
            .expect("the first samples");
        let last = channel.n_samples - k as u64;
        recording
            .read_f32(&[c], last, &mut [&mut out[..k]])
            .expect("the last samples");
        if c < 8 {
            let runs = recording.runs(c);
            assert!(
                runs.iter().all(|run| run.samples.start <= run.samples.end
                    && run.samples.end <= channel.n_samples)
            );
            assert!(
                runs.windows(2)
                    .all(|w| w[0].samples.end <= w[1].samples.start)
            );
        }
    }
});
