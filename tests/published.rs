//! Published checkpoints through `mmpipe convert` into `mmpipe train --init`: files as `torch.save` writes
//! them, of networks of our smallest size, with the names and shapes that LaBraM and MindMix have.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::Scratch;

type Shapes = Vec<(String, Vec<usize>)>;

/// Width of a token, hidden width, width of a head, blocks, channels of the patch encoder of `tiny`.
const TINY: (usize, usize, usize, usize, usize) = (100, 400, 20, 4, 4);

/// A pickle of protocol 2, as `torch.save` writes it.
struct Pickle(Vec<u8>);

impl Pickle {
    fn op(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        self.op(&(text.len() as u32).to_le_bytes());
        self.op(text.as_bytes());
    }

    fn number(&mut self, n: usize) {
        self.op(b"J");
        self.op(&(n as i32).to_le_bytes());
    }

    fn tuple(&mut self, numbers: &[usize]) {
        self.op(b"(");
        for n in numbers {
            self.number(*n);
        }
        self.op(b"t");
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    fn tensor(&mut self, key: usize, shape: &[usize]) {
        self.op(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.op(b"ctorch\nFloatStorage\n");
        self.text(&key.to_string());
        self.text("cpu");
        self.number(shape.iter().product());
        self.op(b"tQ");
        self.number(0);
        self.tuple(shape);
        let strides: Vec<usize> = (1..=shape.len())
            .map(|d| shape[d..].iter().product())
            .collect();
        self.tuple(&strides);
        self.op(b"\x89ccollections\nOrderedDict\n)RtR");
    }
}

/// Values of a tensor, the same everywhere: scales about one, the rest small.
fn values(at: usize, name: &str, n: usize) -> Vec<f32> {
    let one = name.ends_with("weight") && (name.contains("norm") || name.contains("proj.2"));
    (0..n)
        .map(|i| ((i * 7 + at * 13) as f32 * 0.61).sin() * 0.04 + f32::from(u8::from(one)))
        .collect()
}

/// Writes a checkpoint: the tensors under `under`, beside what a training script keeps.
fn save(path: &Path, under: &str, shapes: &Shapes) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).expect("a file"));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored)
            .expect("an entry");
        zip.write_all(bytes).expect("written");
    };
    let mut p = Pickle(Vec::new());
    p.op(b"\x80\x02}(");
    p.text("epoch");
    p.number(49);
    p.text(under);
    p.op(b"ccollections\nOrderedDict\n)R(");
    for (at, (name, shape)) in shapes.iter().enumerate() {
        p.text(name);
        p.tensor(at, shape);
    }
    p.op(b"u");
    p.text("args");
    p.op(b"cargparse\nNamespace\n)\x81}b");
    p.op(b"u.");
    entry("data.pkl", &p.0);
    entry("byteorder", b"little");
    for (at, (name, shape)) in shapes.iter().enumerate() {
        let values = values(at, name, shape.iter().product());
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        entry(&format!("data/{at}"), &bytes);
    }
    entry("version", b"3\n");
    zip.finish().expect("a file");
}

/// LaBraM's encoder behind `prefix`: MindMix has biases of queries and values and no table of electrodes,
/// LaBraM the other way round.
fn encoder(prefix: &str, mindmix: bool) -> Shapes {
    let (width, hidden, head, blocks, channels) = TINY;
    let mut all: Shapes = Vec::new();
    let mut add =
        |name: &str, shape: &[usize]| all.push((format!("{prefix}{name}"), shape.to_vec()));
    add("cls_token", &[1, 1, width]);
    if !mindmix {
        add("pos_embed", &[1, 129, width]);
    }
    add("time_embed", &[1, 16, width]);
    for (layer, n_in, kernel) in [(1, 1, 15), (2, channels, 3), (3, channels, 3)] {
        let conv = format!("patch_embed.conv{layer}");
        add(&format!("{conv}.weight"), &[channels, n_in, 1, kernel]);
        add(&format!("{conv}.bias"), &[channels]);
        for part in ["weight", "bias"] {
            add(&format!("patch_embed.norm{layer}.{part}"), &[channels]);
        }
    }
    for block in 0..blocks {
        let mut add = |name: &str, shape: &[usize]| add(&format!("blocks.{block}.{name}"), shape);
        add("gamma_1", &[width]);
        add("gamma_2", &[width]);
        if mindmix {
            add("attn.q_bias", &[width]);
            add("attn.v_bias", &[width]);
        }
        add("attn.qkv.weight", &[3 * width, width]);
        add("attn.proj.weight", &[width, width]);
        add("attn.proj.bias", &[width]);
        add("mlp.fc1.weight", &[hidden, width]);
        add("mlp.fc1.bias", &[hidden]);
        add("mlp.fc2.weight", &[width, hidden]);
        add("mlp.fc2.bias", &[width]);
        for part in ["weight", "bias"] {
            add(&format!("norm1.{part}"), &[width]);
            add(&format!("norm2.{part}"), &[width]);
            add(&format!("attn.q_norm.{part}"), &[head]);
            add(&format!("attn.k_norm.{part}"), &[head]);
        }
    }
    all
}

fn labram() -> Shapes {
    let width = TINY.0;
    let mut all = encoder("student.", false);
    for (name, shape) in [
        ("student.mask_token", vec![1, 1, width]),
        ("student.norm.weight", vec![width]),
        ("student.norm.bias", vec![width]),
        ("student.lm_head.weight", vec![32, width]),
        ("student.lm_head.bias", vec![32]),
        ("lm_head.weight", vec![32, width]),
        ("lm_head.bias", vec![32]),
        ("projection_head.0.weight", vec![width, width]),
        ("logit_scale", vec![]),
    ] {
        all.push((name.to_owned(), shape));
    }
    all
}

/// As released, with the fusion module of `tiny` and a small wav2vec 2.0 of one layer.
fn mindmix() -> Shapes {
    let (eeg, sound, width, hidden, rank) = (TINY.0, 16, 64, 128, 32);
    let mut all = encoder("eeg_model.model.", true);
    let mut add = |name: String, shape: &[usize]| all.push((name, shape.to_vec()));
    for part in ["weight", "bias"] {
        add(format!("eeg_model.model.fc_norm.{part}"), &[eeg]);
        add(format!("eeg_proj.2.{part}"), &[width]);
        add(format!("audio_proj.2.{part}"), &[width]);
    }
    let mut linear = |name: &str, n_in: usize, n_out: usize| {
        add(format!("{name}.weight"), &[n_out, n_in]);
        add(format!("{name}.bias"), &[n_out]);
    };
    linear("eeg_proj.0", eeg, width);
    linear("audio_proj.0", sound, width);
    for side in ["eeg", "audio"] {
        let at = |part: &str| format!("fusion_module.{side}_{part}");
        for part in [
            "self_query",
            "self_key",
            "self_value",
            "self_proj",
            "final_proj",
        ] {
            linear(&at(part), width, width);
        }
        linear(&at("ffn.0"), width, hidden);
        linear(&at("ffn.3"), hidden, width);
        linear(&format!("fusion_module.W_U_{side}"), width, rank);
        linear(&format!("fusion_module.W_D_{side}"), rank, width);
    }
    linear("fusion_module.shared_interaction.0", rank, rank);
    let a = "audio_model.";
    linear(&format!("{a}feature_projection.projection"), 4, sound);
    for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
        linear(
            &format!("{a}encoder.layers.0.attention.{part}"),
            sound,
            sound,
        );
    }
    let dense = format!("{a}encoder.layers.0.feed_forward");
    linear(&format!("{dense}.intermediate_dense"), sound, 8);
    linear(&format!("{dense}.output_dense"), 8, sound);
    for side in ["eeg", "audio"] {
        for norm in ["norm1", "norm2"] {
            for part in ["weight", "bias"] {
                add(format!("fusion_module.{side}_{norm}.{part}"), &[width]);
            }
        }
    }
    for (layer, kernel) in [10, 3, 3, 3, 3, 2, 2].into_iter().enumerate() {
        let n_in = if layer == 0 { 1 } else { 4 };
        let at = format!("{a}feature_extractor.conv_layers.{layer}");
        add(format!("{at}.conv.weight"), &[4, n_in, kernel]);
        if layer == 0 {
            add(format!("{at}.layer_norm.weight"), &[4]);
            add(format!("{at}.layer_norm.bias"), &[4]);
        }
    }
    for part in ["weight", "bias"] {
        add(format!("{a}feature_projection.layer_norm.{part}"), &[4]);
        add(format!("{a}encoder.layer_norm.{part}"), &[sound]);
        add(format!("{a}encoder.layers.0.layer_norm.{part}"), &[sound]);
        add(
            format!("{a}encoder.layers.0.final_layer_norm.{part}"),
            &[sound],
        );
    }
    let taps = format!("{a}encoder.pos_conv_embed.conv");
    add(format!("{taps}.bias"), &[sound]);
    add(
        format!("{taps}.parametrizations.weight.original0"),
        &[1, 1, 4],
    );
    add(
        format!("{taps}.parametrizations.weight.original1"),
        &[sound, 8, 4],
    );
    add(format!("{a}masked_spec_embed"), &[sound]);
    all
}

fn notes(value: &Value) -> String {
    let notes = value.as_array().into_iter().flatten();
    notes
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A run of one pass from `init`; what it says of its start, and its curve.
fn tuned(scratch: &Scratch, split: &str, init: &str, name: &str, more: &[&str]) -> (String, Value) {
    let args = [
        "train",
        "--stage",
        "finetune",
        "--split",
        split,
        "--init",
        init,
        "--name",
        name,
        "--set",
        "train.size=tiny",
        "--epochs",
        "1",
        "--folds",
        "0",
        "--no-controls",
    ];
    let done = scratch.json(&[&args[..], more].concat());
    let fit = &done["fits"][0];
    (notes(&fit["notes"]), fit["history"].clone())
}

#[test]
fn labrams_checkpoint_is_converted_and_fine_tuned() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "4",
    ]);
    scratch.ok(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    let split = ["split", "--protocol", "cross-subject", "--folds", "2"];
    let split = scratch.json(&[&split[..], &["--dataset", "EEGMat"]].concat());
    let split = split["split"].as_str().expect("a name");
    save(&scratch.path("labram-base.pth"), "model", &labram());

    let done = scratch.json(&["convert", "labram-base.pth", "--out", "labram"]);
    assert_eq!(done["kind"], "labram-encoder");
    let own = encoder("", false).len();
    assert_eq!(done["taken"], own);
    // Nine that serve pre-training alone; the norm behind the pool is fine-tuning's own.
    assert_eq!(done["dropped"].as_array().map(Vec::len), Some(9));
    assert_eq!(done["fresh"].as_array().map(Vec::len), Some(2));

    // Converted or as published, it is the same start: the same notes, the same curve to the bit.
    let (said, curve) = tuned(&scratch, split, "labram", "converted", &[]);
    assert!(
        said.contains(&format!("{} tensors taken", own + 2)),
        "{said}"
    );
    // LaBraM's encoder has no biases of queries and values, MindMix's has.
    assert!(
        said.contains("started anew") && said.contains("q_bias"),
        "{said}"
    );
    let (said, as_published) = tuned(&scratch, split, "labram-base.pth", "published", &[]);
    assert!(said.contains(&format!("{own} tensors taken")), "{said}");
    assert_eq!(curve, as_published);
    // And it is a start: from random weights the curve is another.
    let scratch_run = scratch.json(&[
        "train",
        "--stage",
        "finetune",
        "--split",
        split,
        "--model",
        "mindmix",
        "--set",
        "train.size=tiny",
        "--epochs",
        "1",
        "--folds",
        "0",
        "--no-controls",
        "--name",
        "anew",
    ]);
    assert_ne!(curve, scratch_run["fits"][0]["history"]);
    // Another size is refused with the setting that decides it.
    let ran = scratch.run(&[
        "train",
        "--stage",
        "finetune",
        "--split",
        split,
        "--init",
        "labram",
        "--name",
        "large",
        "--folds",
        "0",
        "--no-controls",
    ]);
    assert!(ran.code == 1 && ran.stderr.contains("train.size"), "{ran}");
}

#[test]
fn mindmixs_checkpoint_is_converted_and_fine_tuned() {
    let scratch = Scratch::new();
    let simulate = ["simulate", "--dataset", "TwoTalker", "--subjects", "2"];
    scratch.ok(&[&simulate[..], &["--out", "raw"]].concat());
    scratch.ok(&["ingest", "--dataset", "TwoTalker", "--raw", "raw"]);
    let split = ["split", "--protocol", "between-trial", "--folds", "2"];
    let split = scratch.json(&[&split[..], &["--dataset", "TwoTalker"]].concat());
    let split = split["split"].as_str().expect("a name");
    std::fs::create_dir(scratch.path("published")).expect("a folder");
    save(
        &scratch.path("published/best.pth"),
        "model_state_dict",
        &mindmix(),
    );
    // What shapes do not tell of the sound encoder.
    let sound = r#"{ "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8, "conv_dim": [4, 4, 4, 4, 4, 4, 4],
        "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2 }"#;
    std::fs::write(scratch.path("published/config.json"), sound).expect("written");
    let done = scratch.json(&["convert", "published/best.pth", "--out", "mindmix"]);
    assert_eq!(done["kind"], "mindmix");
    assert_eq!(done["taken"], mindmix().len());
    assert_eq!(done["fresh"], serde_json::json!(["logit_scale"]));

    let as_released = [
        "--model",
        "mindmix-av",
        "--set",
        "train.fusion=calra-released",
        "--set",
        "train.spatial=false",
    ];
    let (said, curve) = tuned(&scratch, split, "mindmix", "converted", &as_released);
    // Everything but the sound encoder, which is wav2vec 2.0 in the file and log-mel here, and its map.
    let whole = mindmix();
    let sounds = whole.iter().filter(|(n, _)| n.starts_with("audio_model."));
    let taken = whole.len() - sounds.count() - 1 + 1;
    assert!(said.contains(&format!("{taken} tensors taken")), "{said}");
    assert!(
        said.contains("of another shape and started anew: audio_proj.0.weight"),
        "{said}"
    );
    assert!(
        said.contains("in the file but not in this network: audio_model."),
        "{said}"
    );
    let (_, as_published) = tuned(
        &scratch,
        split,
        "published/best.pth",
        "published",
        &as_released,
    );
    assert_eq!(curve, as_published);
    // The module's parts are those of the file, or it is refused.
    let ran = scratch.run(
        &[
            &[
                "train", "--stage", "finetune", "--split", split, "--init", "mindmix",
            ][..],
            &["--name", "ablated", "--folds", "0", "--no-controls"],
            &[
                "--set",
                "train.size=tiny",
                "--set",
                "train.calra.low_rank=false",
            ],
            &as_released,
        ]
        .concat(),
    );
    assert!(
        ran.code == 1 && ran.stderr.contains("calra.low_rank"),
        "{ran}"
    );
}
