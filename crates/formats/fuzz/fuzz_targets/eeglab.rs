//! Any bytes as an EEGLAB .set beside 4 kB of data: open, then read the ends of every channel.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bounded.rs"]
mod bounded;

/// Beyond 16 times the file: what deflate can give (1,032 times) is the container's to ask for, and
/// the files here are a few kilobytes.
const FREE: usize = 32 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("x.set");
    let written = std::fs::write(&path, data)
        .and_then(|()| std::fs::write(path.with_extension("fdt"), [0x5a; 4096]));
    if written.is_err() {
        return;
    }
    bounded::within(data.len() + 4096, 16, FREE, || read(&path));
});

fn read(path: &std::path::Path) {
    let Ok(recording) = mmpipe_formats::open(path) else {
        return;
    };
    for (c, channel) in recording.header().channels.iter().enumerate() {
        let k = channel.n_samples.min(64);
        let mut out = vec![0f64; k as usize];
        // Compressed samples may turn out to be damaged only here: errors are allowed.
        let _ = recording.read_f64(&[c], 0, &mut [&mut out]);
        let _ = recording.read_f64(&[c], channel.n_samples - k, &mut [&mut out]);
        assert!(
            recording
                .runs(c)
                .iter()
                .all(|run| run.samples.end <= channel.n_samples)
        );
    }
}
