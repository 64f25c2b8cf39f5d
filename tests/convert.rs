//! `mmpipe convert`: published weights in, `model.safetensors` and `config.json` out.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Scratch;

/// What `transformers` and `torch.save` wrote of tiny networks.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/models/tests/fixtures")
        .join(name)
}

/// The tiny wav2vec 2.0 with its configuration beside it, in a folder of the scratch.
fn weights(scratch: &Scratch, name: &str) -> PathBuf {
    let folder = scratch.path("published");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = std::fs::read_to_string(fixture("hf_wav2vec2.json")).expect("the fixture");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    std::fs::write(folder.join("config.json"), answer["config"].to_string()).expect("written");
    let to = folder.join(name);
    std::fs::copy(fixture(name), &to).expect("copied");
    to
}

#[test]
fn a_published_file_becomes_weights_and_a_configuration() {
    let scratch = Scratch::new();
    weights(&scratch, "hf_wav2vec2.bin");
    let args = ["convert", "published/hf_wav2vec2.bin", "--out", "ours"];
    let done = scratch.json(&args);
    assert_eq!(done["kind"], "wav2vec2");
    let count = |what: &str| done[what].as_array().map_or(0, Vec::len);
    let taken = done["taken"].as_u64().expect("a number") as usize;
    assert!(taken > 20, "{done}");
    // A pre-training checkpoint: everything behind `wav2vec2.`, and the quantiser's parts.
    assert_eq!(count("renamed"), taken, "{done}");
    assert_eq!(count("dropped"), 2, "{done}");
    assert!(
        done["dropped"][0]["reason"]
            .as_str()
            .is_some_and(|r| r.contains("quantiser"))
    );
    let model = scratch.path("ours/model.safetensors");
    let bytes = std::fs::read(&model).expect("the weights");
    let config = std::fs::read_to_string(scratch.path("ours/config.json")).expect("written");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["model_type"], "wav2vec2");
    assert_eq!(config["architectures"][0], "Wav2Vec2Model");

    // What is there is kept unless it is said otherwise; the same input gives the same bytes.
    let again = scratch.run(&args);
    assert_eq!(again.code, 1, "{again}");
    assert!(again.stderr.contains("--overwrite"), "{again}");
    let text = scratch.ok(&[&args[..], &["--overwrite", "--as", "wav2vec2"]].concat());
    assert_eq!(bytes, std::fs::read(&model).expect("the weights"));
    assert!(text.contains("taken under another name"), "{text}");
    assert!(
        text.contains("left out: a head, or the quantiser of pre-training"),
        "{text}"
    );

    // Our own file is one that can be read: every name is ours already.
    let back = scratch.json(&["convert", "ours/model.safetensors", "--out", "back"]);
    assert_eq!(back["taken"], done["taken"]);
    assert_eq!(back["renamed"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        bytes,
        std::fs::read(scratch.path("back/model.safetensors")).expect("the weights")
    );
}

#[test]
fn what_is_no_model_is_refused_and_nothing_is_written() {
    let scratch = Scratch::new();
    std::fs::copy(fixture("checkpoint.pth"), scratch.path("some.pth")).expect("copied");
    std::fs::write(scratch.path("text.pth"), "not a checkpoint").expect("written");
    weights(&scratch, "hf_wav2vec2.safetensors");
    for (args, says) in [
        (vec!["some.pth"], "labram-encoder"),
        (
            vec!["some.pth", "--as", "mindmix"],
            "tensor eeg_proj.0.weight: not there",
        ),
        (vec!["text.pth"], "text.pth"),
        (vec!["absent.pth"], "absent.pth"),
        (
            vec!["published/hf_wav2vec2.safetensors", "--as", "labram"],
            "tensor patch_embed.conv1.weight: not there",
        ),
    ] {
        let ran = scratch.run(&[&["convert", "--out", "out"], &args[..]].concat());
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.stderr.contains(says), "{says}: {ran}");
        assert_eq!(ran.stdout, "", "{ran}");
        assert!(!scratch.path("out").exists(), "{ran}");
    }
    let wrong = scratch.run(&["convert", "some.pth", "--out", "out", "--as", "bert"]);
    assert_eq!(wrong.code, 2, "{wrong}");

    // The file itself is never the target.
    let own = scratch.path("published/model.safetensors");
    std::fs::copy(fixture("hf_wav2vec2.safetensors"), &own).expect("copied");
    let ran = scratch.run(&[
        "convert",
        "published/model.safetensors",
        "--out",
        "published",
        "--overwrite",
    ]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains("file to be read"), "{ran}");
    assert_eq!(
        std::fs::read(&own).expect("kept"),
        std::fs::read(fixture("hf_wav2vec2.safetensors")).expect("the fixture")
    );
}
