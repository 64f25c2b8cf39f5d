//! Any bytes as a sound, block by block. The reader turns a panic of the decoders into an error, so
//! the hook that ends the process on any panic is taken out; one that nobody catches still ends it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let Ok(file) = tempfile::NamedTempFile::new() else {
        return;
    };
    if std::fs::write(file.path(), data).is_err() {
        return;
    }
    let mut samples = 0u64;
    let decoded = mmpipe_formats::audio::decode(file.path(), |block| samples += block.len() as u64);
    if let Ok(decoded) = decoded {
        assert_eq!(samples, decoded.frames * decoded.info.channels as u64);
    }
});
