//! ds004356, from BrainVision at 10 kHz to epochs with the clips that were heard.

use mmpipe_simulate::{Ds004356, PlantedSessions, ds004356};
use serde_json::{Value, json};

use crate::heard::{heard, segments_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::Scratch;

fn ingested(cfg: &Ds004356) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = ds004356(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "ds004356", "--raw", "raw"]);
    (scratch, planted, report)
}

fn one() -> Ds004356 {
    Ds004356 {
        subjects: vec![2],
        ..Ds004356::default()
    }
}

#[test]
fn ds004356_in_miniature() {
    let (scratch, planted, report) = ingested(&Ds004356::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    // Of subject 03 the clicks are a run of their own, which leaves nothing to cut.
    let found = scratch.sql(
        "SELECT subject, coalesce(run, '-') AS run, container, sfreq, n_channels, epochs FROM recordings ORDER BY 1, 2",
    );
    let row = |subject: &str, run: &str, epochs: usize| {
        json!({ "subject": subject, "run": run, "container": "BrainVision", "sfreq": 10_000.0,
                "n_channels": 34, "epochs": epochs })
    };
    assert_eq!(found.len(), 3);
    for (row, want) in found
        .iter()
        .zip([row("01", "-", 4), row("03", "01", 0), row("03", "02", 4)])
    {
        for key in ["subject", "container", "sfreq", "epochs"] {
            assert_eq!(row[key], want[key], "{row}");
        }
    }
    let labels = scratch.sql(
        "SELECT label, label_name, auditory_type, task, content_id, count(*) AS epochs, \
                count(DISTINCT subject) AS subjects, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 2, 3, 4, 5 ORDER BY 1",
    );
    let class = |label: i32, name: &str, kind: &str, file: &str| {
        json!({ "label": label, "label_name": name, "auditory_type": kind, "task": "passive listening",
                "content_id": file, "epochs": 4, "subjects": 2, "sounds": 4 })
    };
    assert_eq!(
        labels,
        [
            class(0, "acoustic", "music", "acoustic/acoustic001.wav"),
            class(7, "eng_aud", "speech", "eng_aud/eng_aud022.wav"),
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, round(sum(d['seconds']), 3) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    // A sound of 4 s lasts 4.01 s on the slow clock; one row alone does not tell how slow it is.
    let of = |reason: &str| {
        let found = dropped.iter().find(|d| d["reason"] == reason);
        found.unwrap_or_else(|| panic!("{dropped:?}")).clone()
    };
    assert_eq!(of("clicks: neither speech nor music")["seconds"], 8.01);
    assert_eq!(of("clicks: neither speech nor music")["epochs"], 4);
    assert_eq!(of("tail shorter than an epoch")["seconds"], 0.04);
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..32).collect();
    for recording in &planted.recordings {
        if recording.run.as_deref() != Some("01") {
            samples_agree(&scratch, recording, &kept, 2);
        }
    }
}

#[test]
fn trials_are_cut_by_sample_and_not_by_onset_because_the_clocks_differ() {
    let (scratch, planted, _) = ingested(&one());
    let made = &planted.recordings[0];
    let rows = scratch.sql("SELECT trial, epoch, onset FROM eeg ORDER BY 1, 2");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let trial = row["trial"].as_u64().unwrap() as usize;
        let at = made.trials[trial].start as f64 / 10_000.0 + 2.0 * row["epoch"].as_f64().unwrap();
        let onset = row["onset"].as_f64().unwrap();
        assert!((onset - at).abs() <= 0.0025 + 1e-9, "{row}");
        // By `onset` of events.tsv the last trial would start 24 ms too early.
        let by_onset = 0.8125 + 4.5 * trial as f64 + 2.0 * row["epoch"].as_f64().unwrap();
        assert!(trial < 2 || (onset - by_onset).abs() > 0.02, "{row}");
    }
}

#[test]
fn the_sound_of_an_epoch_is_where_the_drifting_clocks_have_it() {
    let (scratch, planted, _) = ingested(&one());
    for sound in heard(&scratch, &planted.recordings[0].path) {
        assert_eq!(sound.segment, sound.epoch);
        let id = sound.stimulus_id;
        let file = id
            .strip_prefix("ds004356/")
            .unwrap()
            .split('@')
            .next()
            .unwrap();
        // 2 s of the slow clock are 1.995 s of the sound.
        let start = |k: usize| (k as f64 * 32_000.0 / 1.0025).round() as usize;
        segments_agree(&scratch, &id, &scratch.path("raw").join(file), None, start);
    }
    // One grid of segments a sound, however many heard it.
    let both = Ds004356 {
        subjects: vec![1, 2],
        ..Ds004356::default()
    };
    let (scratch, ..) = ingested(&both);
    let stored = scratch.sql("SELECT count(DISTINCT stimulus_id) AS grids FROM audio");
    assert_eq!(stored, [json!({ "grids": 2 })]);
}

#[test]
fn a_row_whose_sample_and_onset_disagree_is_dropped() {
    let scratch = Scratch::new();
    ds004356(&Ds004356 { clips: 3, ..one() }, &scratch.path("raw")).unwrap();
    let tsv = scratch.path("raw/sub-02/eeg/sub-02_task-MusicvsSpeech_events.tsv");
    let text = std::fs::read_to_string(&tsv).unwrap();
    let mut lines: Vec<Vec<String>> = text
        .lines()
        .map(|l| l.split('\t').map(str::to_owned).collect())
        .collect();
    // 2 ms late.
    lines[3][4] = (lines[3][4].parse::<u64>().unwrap() + 20).to_string();
    let text: Vec<String> = lines.iter().map(|l| l.join("\t")).collect();
    std::fs::write(&tsv, text.join("\n") + "\n").unwrap();
    scratch.json(&["ingest", "--dataset", "ds004356", "--raw", "raw"]);
    let dropped = scratch.sql(
        "SELECT d['epochs'] AS epochs FROM (SELECT unnest(dropped) AS d FROM recordings) \
         WHERE d['reason'] = 'sample and onset of events.tsv disagree'",
    );
    assert_eq!(dropped, [json!({ "epochs": 2 })]);
    let trials = scratch.sql("SELECT DISTINCT trial FROM eeg ORDER BY 1");
    assert_eq!(trials, [json!({ "trial": 1 }), json!({ "trial": 3 })]);
}

#[test]
fn bipolar_leads_of_the_brainstem_response_are_kept_out() {
    let (scratch, _, _) = ingested(&one());
    let dropped = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings) WHERE c['name'] IS NULL ORDER BY 1",
    );
    let names: Vec<&str> = dropped.iter().map(|c| c["raw"].as_str().unwrap()).collect();
    assert_eq!(names, ["EP1", "EP2"]);
    assert!(
        dropped[0]["reason"].as_str().unwrap().contains("brainstem"),
        "{dropped:?}"
    );
    let n = scratch.sql("SELECT DISTINCT array_length(ch_names) AS n FROM eeg");
    assert_eq!(n, [json!({ "n": 32 })]);
}

#[test]
fn clips_in_stereo_of_32_bits_and_in_mono_of_64_bits_are_both_read() {
    let (scratch, planted, _) = ingested(&one());
    let size = |name: &str| {
        std::fs::metadata(scratch.path("raw/stimuli").join(name))
            .unwrap()
            .len()
    };
    // As long as each other: 58 and 44 bytes of header.
    assert_eq!(
        size("acoustic/acoustic001.wav") - 44,
        size("eng_aud/eng_aud022.wav") - 58
    );
    let found =
        scratch.sql("SELECT path, status, seconds, sfreq, content_id FROM stimuli ORDER BY 1");
    let sound = |name: &str| {
        json!({ "path": format!("stimuli/{name}"), "status": "ok", "seconds": 4.0, "sfreq": 48_000.0,
                "content_id": name })
    };
    assert_eq!(
        found,
        [
            sound("acoustic/acoustic001.wav"),
            sound("eng_aud/eng_aud022.wav")
        ]
    );
    let sounds = heard(&scratch, &planted.recordings[0].path);
    assert_eq!(sounds.len(), 4);
    assert!(sounds.iter().all(|s| s.role == "heard"));
}
