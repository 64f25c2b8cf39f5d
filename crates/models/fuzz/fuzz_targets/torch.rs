//! Any bytes as a PyTorch checkpoint: an error or tensors, never a panic, never more memory than
//! twice the file. Seed with tests/fixtures/checkpoint.pth and hf_wav2vec2.bin.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("model.pth");
    if std::fs::write(&path, data).is_ok() {
        let _ = mmpipe_models::weights::read_torch(&path);
    }
});
