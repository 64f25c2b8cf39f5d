//! Sounds heard by a frozen wav2vec 2.0, kept in the lake, and trained from there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::Scratch;

/// Samples of convolutions and width of a frame.
const CONV: [(usize, usize, usize); 4] = [(1, 10, 5), (8, 8, 8), (8, 4, 4), (8, 4, 4)];

/// Writes a tiny wav2vec 2.0 with Hugging Face's names, random by `seed`, and its configuration.
fn published(folder: &Path, seed: u64, width: usize) {
    let mut tensors: Vec<(String, Vec<usize>)> = vec![("masked_spec_embed".into(), vec![width])];
    let mut add = |name: &str, shape: &[usize]| tensors.push((name.to_owned(), shape.to_vec()));
    for (i, (n_in, k, _)) in CONV.iter().enumerate() {
        let name = format!("feature_extractor.conv_layers.{i}.conv.weight");
        add(&name, &[8, *n_in, *k]);
    }
    let mut norm = |name: &str, n: usize| {
        add(&format!("{name}.weight"), &[n]);
        add(&format!("{name}.bias"), &[n]);
    };
    norm("feature_extractor.conv_layers.0.layer_norm", 8);
    norm("feature_projection.layer_norm", 8);
    norm("encoder.layer_norm", width);
    for part in ["layer_norm", "final_layer_norm"] {
        norm(&format!("encoder.layers.0.{part}"), width);
    }
    let mut map = |name: &str, n_out: usize, n_in: usize| {
        add(&format!("{name}.weight"), &[n_out, n_in]);
        add(&format!("{name}.bias"), &[n_out]);
    };
    map("feature_projection.projection", width, 8);
    for part in ["q", "k", "v", "out"] {
        let name = format!("encoder.layers.0.attention.{part}_proj");
        map(&name, width, width);
    }
    let feed = "encoder.layers.0.feed_forward";
    map(&format!("{feed}.intermediate_dense"), 24, width);
    map(&format!("{feed}.output_dense"), width, 24);
    let positions = "encoder.pos_conv_embed.conv";
    add(&format!("{positions}.bias"), &[width]);
    add(&format!("{positions}.weight_g"), &[1, 1, 4]);
    add(&format!("{positions}.weight_v"), &[width, width / 2, 4]);

    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for (name, shape) in tensors {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let noise = (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            let value = match name.contains("norm.weight") || name.ends_with("weight_g") {
                true => 1.0,
                false => 0.4 * noise,
            };
            data.extend_from_slice(&value.to_le_bytes());
        }
        let about = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(format!("wav2vec2.{name}"), about);
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&data);
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("model.safetensors"), bytes).expect("written");
    let config = json!({
        "model_type": "wav2vec2",
        "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": CONV.map(|_| 8), "conv_kernel": CONV.map(|c| c.1), "conv_stride": CONV.map(|c| c.2),
        "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
}

/// Every file of the table, with its bytes.
fn files(scratch: &Scratch) -> Vec<(PathBuf, Vec<u8>)> {
    let mut open = vec![scratch.lake().join("audio_embeddings")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|e| e.expect("an entry").path()));
        } else {
            found.push((path.clone(), std::fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}

fn two_talkers(scratch: &Scratch) -> String {
    let simulate = ["simulate", "--dataset", "TwoTalker", "--subjects", "2"];
    scratch.ok(&[&simulate[..], &["--out", "raw"]].concat());
    scratch.ok(&["ingest", "--dataset", "TwoTalker", "--raw", "raw"]);
    let split = ["split", "--protocol", "between-trial", "--folds", "2"];
    let split = scratch.json(&[&split[..], &["--dataset", "TwoTalker"]].concat());
    split["split"].as_str().expect("a name").to_owned()
}

fn align<'a>(split: &'a str, name: &'a str) -> Vec<&'a str> {
    vec![
        "train",
        "--stage",
        "align",
        "--split",
        split,
        "--folds",
        "0",
        "--name",
        name,
        "--epochs",
        "1",
        "--set",
        "align.size=tiny",
        "--set",
        "align.steps.batch=32",
        "--set",
        "align.audio=wav2vec2",
        "--set",
        "align.audio_init=published",
    ]
}

const FROZEN: [&str; 2] = ["--set", "align.audio_train=frozen"];

#[test]
fn sounds_are_heard_once_and_trained_from_the_lake() {
    let scratch = Scratch::new();
    let split = two_talkers(&scratch);
    published(&scratch.path("published"), 1, 12);
    let embed = ["embed", "--audio", "wav2vec2", "--weights", "published"];

    // Ahead of training: every segment once, whatever the number of threads.
    let made = scratch.json(&[&embed[..], &["--threads", "1"]].concat());
    let segments = made["datasets"][0]["segments"].as_u64().expect("a number");
    assert!(segments > 20, "{made}");
    assert_eq!(made["datasets"][0]["made"], segments);
    assert_eq!((&made["width"], &made["failed"]), (&json!(12), &json!([])));
    let hash = made["encoder_hash"].as_str().expect("a hash").to_owned();
    let first = files(&scratch);
    let again = scratch.json(&embed);
    assert_eq!(again["datasets"][0]["made"], 0);
    let table = scratch.lake().join("audio_embeddings");
    std::fs::remove_dir_all(&table).expect("removed");
    let text = scratch.ok(&[&embed[..], &["--threads", "2", "--dataset", "twotalker"]].concat());
    assert!(
        text.contains(&hash) && text.contains(&segments.to_string()),
        "{text}"
    );
    assert!(first == files(&scratch), "other bytes with other threads");

    // As a table, beside the segments; of another encoder of another width too.
    published(&scratch.path("wide"), 2, 20);
    let other = ["embed", "--audio", "wav2vec2", "--weights", "wide"];
    let other = scratch.json(&other);
    assert_ne!(other["encoder_hash"], made["encoder_hash"]);
    let rows = scratch.sql(
        "SELECT v.encoder, v.encoder_hash, count(*) AS n, min(cardinality(v.vector)) AS least, \
         max(cardinality(v.vector)) AS most, bool_and(v.onset = a.onset AND v.sfreq = 16000) AS fits \
         FROM audio_embeddings v JOIN audio a ON v.stimulus_id = a.stimulus_id AND v.segment = a.segment \
         AND v.recipe = a.recipe GROUP BY 1, 2 ORDER BY 4",
    );
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (row, width) in rows.iter().zip([12, 20]) {
        assert_eq!(row["encoder"], "wav2vec2");
        assert_eq!(
            (&row["least"], &row["most"]),
            (&json!(width), &json!(width))
        );
        assert_eq!((&row["n"], &row["fits"]), (&json!(segments), &json!(true)));
    }

    // Stage 2 reads them; without them it hears what it needs and gets the same weights.
    let ran = scratch.run(&[&align(&split, "kept")[..], &FROZEN].concat());
    assert_eq!(ran.code, 0, "{ran}");
    assert!(!ran.stderr.contains("hearing"), "{ran}");
    assert!(ran.stdout.contains("is frozen"), "{ran}");
    std::fs::remove_dir_all(&table).expect("removed");
    let ran = scratch.run(&[&align(&split, "heard")[..], &FROZEN].concat());
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stderr.contains("hearing"), "{ran}");
    let weights = |run: &str| {
        let fold = scratch.lake().join("runs").join(run).join("fold=0");
        std::fs::read(fold.join("model.safetensors")).expect("the weights")
    };
    assert!(weights("kept") == weights("heard"), "other weights");

    // Stage 3 takes encoder and vectors over, and is asked without the file.
    std::fs::rename(scratch.path("published"), scratch.path("moved")).expect("renamed");
    let tune = [
        "train",
        "--stage",
        "finetune",
        "--model",
        "mindmix-av",
        "--split",
        &split,
        "--folds",
        "0",
        "--epochs",
        "1",
        "--init",
        "kept",
        "--set",
        "train.size=tiny",
        "--set",
        "train.audio=wav2vec2",
        "--set",
        "train.audio_train=frozen",
    ];
    let three = scratch.json(&tune);
    let fits = three["fits"].as_array().expect("fits");
    assert_eq!(fits.len(), 3);
    for fit in fits {
        assert_eq!(fit["sound"]["train"], "frozen");
        assert_eq!(fit["sound"]["hash"], hash.as_str());
    }
    let run = three["run"].as_str().expect("a name");
    let scored = scratch.json(&["evaluate", "--run", run]);
    assert_eq!(scored["scoring"], "candidate");

    // A sound that changed is heard again, and no other.
    std::fs::rename(scratch.path("moved"), scratch.path("published")).expect("renamed");
    scratch.ok(&embed);
    let sounds = scratch.sql("SELECT path FROM stimuli ORDER BY 1");
    let path = scratch
        .path("raw")
        .join(sounds[0]["path"].as_str().expect("a path"));
    let mut bytes = std::fs::read(&path).expect("the sound");
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[7, 7]);
    std::fs::write(&path, bytes).expect("written");
    scratch.ok(&["ingest", "--dataset", "TwoTalker", "--raw", "raw"]);
    let made = scratch.json(&embed);
    let made = made["datasets"][0]["made"].as_u64().expect("a number");
    assert!(made > 0 && made < segments, "{made} of {segments}");
}

#[test]
fn an_encoder_that_learns_and_what_is_refused() {
    let scratch = Scratch::new();
    let split = two_talkers(&scratch);
    published(&scratch.path("published"), 1, 12);
    let learnt = scratch.json(&align(&split, "learnt"));
    let report = &learnt["reports"][0]["report"];
    assert_eq!(report["sound"]["train"], "trainable");
    let files = learnt["record"]["sound"]["files"].as_object();
    assert_eq!(files.map(serde_json::Map::len), Some(1));
    assert!(!scratch.lake().join("audio_embeddings").exists());
    // What stage 2 learnt of attended sounds is not for a control that must not know it.
    let tune = [
        "train",
        "--stage",
        "finetune",
        "--model",
        "mindmix-av",
        "--split",
        &split,
        "--folds",
        "0",
        "--epochs",
        "1",
        "--init",
        "learnt",
        "--set",
        "train.size=tiny",
        "--set",
        "train.audio=wav2vec2",
    ];
    let frozen = ["--set", "train.audio_train=frozen", "--name", "x"];
    let ran = scratch.run(&[&tune[..], &frozen].concat());
    assert!(ran.code == 1 && ran.stderr.contains("control"), "{ran}");
    let three = scratch.json(&[&tune[..], &["--no-controls"]].concat());
    assert_eq!(three["fits"][0]["sound"]["train"], "trainable");

    std::fs::create_dir(scratch.path("half")).expect("a folder");
    let config = scratch.path("published/config.json");
    std::fs::copy(config, scratch.path("half/config.json")).expect("copied");
    std::fs::write(scratch.path("half/model.safetensors"), [0u8; 20]).expect("written");
    for (args, code, says) in [
        (
            vec!["--audio", "wav2vec2", "--weights", "absent"],
            1,
            "absent",
        ),
        (vec!["--audio", "wav2vec2", "--weights", "half"], 1, "half"),
        (
            vec!["--audio", "hubert", "--weights", "published"],
            1,
            "holds wav2vec2",
        ),
        (
            vec![
                "--audio",
                "wav2vec2",
                "--weights",
                "published",
                "--dataset",
                "KUL",
            ],
            1,
            "KUL is not in the lake",
        ),
        (
            vec!["--audio", "mel", "--weights", "published"],
            2,
            "wav2vec2, hubert",
        ),
        (vec!["--audio", "wav2vec2"], 2, "--weights"),
    ] {
        let ran = scratch.run(&[&["embed"], &args[..]].concat());
        assert!(
            ran.code == code && ran.stderr.contains(says),
            "{says}: {ran}"
        );
    }
    let ran = scratch.run(&[
        "train",
        "--stage",
        "align",
        "--split",
        &split,
        "--name",
        "y",
        "--set",
        "align.audio=hubert",
    ]);
    assert!(ran.code == 1 && ran.stderr.contains("audio_init"), "{ran}");
}
