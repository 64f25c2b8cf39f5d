//! Any text as a Curry 8 parameter file and events (split at the first NUL), over 4 kB of data.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let mut parts = data.splitn(2, |&b| b == 0);
    let parameters = parts.next().unwrap_or_default();
    let events = parts.next().unwrap_or_default();
    let path = folder.path().join("x.cdt");
    let written = std::fs::write(&path, [0x5a; 4096])
        .and_then(|()| std::fs::write(folder.path().join("x.cdt.dpa"), parameters))
        .and_then(|()| std::fs::write(folder.path().join("x.cdt.ceo"), events));
    if written.is_err() {
        return;
    }
    let Ok(recording) = mmpipe_formats::open(&path) else {
        return;
    };
    for (c, channel) in recording.header().channels.iter().enumerate() {
        let mut out = vec![0f64; channel.n_samples.min(64) as usize];
        recording
            .read_f64(&[c], 0, &mut [&mut out])
            .expect("the first samples");
        assert!(
            recording
                .runs(c)
                .iter()
                .all(|run| run.samples.end <= channel.n_samples)
        );
    }
});
