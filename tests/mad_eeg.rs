//! MAD-EEG, from one HDF5 file of groups to epochs with solo tracks as candidates.

use mmpipe_signal::audio::{peak_normalise, to_16k_mono};
use mmpipe_simulate::{MadEeg, PlantedSessions, mad_eeg};
use serde_json::{Value, json};

use crate::heard::heard;
use crate::planted::{samples_agree, trials_agree};
use crate::support::Scratch;

fn ingested(cfg: &MadEeg) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = mad_eeg(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "MAD-EEG", "--raw", "raw"]);
    (scratch, planted, report)
}

fn one() -> MadEeg {
    MadEeg {
        subjects: vec![1],
        ..MadEeg::default()
    }
}

#[test]
fn mad_eeg_in_miniature() {
    let (scratch, planted, report) = ingested(&MadEeg::default());
    let found = scratch.sql(
        "SELECT subject, status, sfreq, n_channels, count(*) AS trials, sum(seconds) AS seconds, sum(epochs) AS epochs \
         FROM recordings GROUP BY 1, 2, 3, 4 ORDER BY 1",
    );
    let subject = |s: &str| {
        json!({ "subject": s, "status": "ok", "sfreq": 256.0, "n_channels": 20, "trials": 4,
                "seconds": 24.0, "epochs": 12 })
    };
    assert_eq!(found, [subject("0001"), subject("0007")], "{report:#}");
    let labels = scratch.sql(
        "SELECT label, label_name, task, content_id, count(*) AS epochs, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 2, 3, 4 ORDER BY 1",
    );
    let class = |label: i32, name: &str, task: &str, song: &str, sounds: usize| {
        json!({ "label": label, "label_name": name, "task": task, "content_id": song, "epochs": 6,
                "sounds": sounds })
    };
    assert_eq!(
        labels,
        [
            class(0, "Vx", "trio", "pop_mixtape", 18),
            class(2, "Bs", "duo", "pop_mixtape", 12),
            class(4, "Co", "duo", "classique_morceau1", 12),
            class(5, "Fl", "duo", "classique_morceau1", 12),
        ]
    );
    let dropped =
        scratch.sql("SELECT count(*) AS n FROM (SELECT unnest(dropped) AS d FROM recordings)");
    assert_eq!(dropped, [json!({ "n": 0 })]);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &(0..20).collect::<Vec<_>>(), 1);
    }
}

#[test]
fn the_target_is_the_solo_of_its_instrument_and_the_others_are_candidates() {
    let (scratch, planted, _) = ingested(&one());
    let sides = scratch.sql(
        "SELECT speaker, count(*) AS sounds, count(DISTINCT content_id) AS songs FROM stimuli GROUP BY 1 ORDER BY 1",
    );
    let solo = |name: &str, sounds: usize| json!({ "speaker": name, "sounds": sounds, "songs": 1 });
    // In a duo nothing refers to the third, empty row.
    assert_eq!(
        sides,
        [
            solo("Bs", 2),
            solo("Co", 2),
            solo("Dr", 1),
            solo("Fl", 2),
            solo("Vx", 2)
        ]
    );
    for (made, (target, others)) in planted.recordings.iter().zip([
        ("solo1", vec!["solo2"]),
        ("solo2", vec!["solo1"]),
        ("solo3", vec!["solo1", "solo2"]),
        ("solo1", vec!["solo2"]),
    ]) {
        let found = heard(&scratch, &made.path);
        assert_eq!(found.len(), 3 * (1 + others.len()));
        for sound in found {
            let solo = sound.stimulus_id.rsplit(':').next().unwrap().to_owned();
            match sound.role.as_str() {
                "target" => assert_eq!(solo, target),
                "candidate" => assert!(others.contains(&solo.as_str()), "{solo}"),
                other => panic!("{other}"),
            }
            assert_eq!(sound.segment, sound.epoch);
        }
    }
}

#[test]
fn a_row_of_an_array_is_a_sound() {
    let (scratch, planted, _) = ingested(&one());
    let key = planted.recordings[2].run.clone().unwrap();
    let tree = mmpipe_trees::open(&scratch.path("raw/madeeg_preprocessed.hdf5")).unwrap();
    let var = mmpipe_trees::select(tree.as_ref(), &format!("0001.{key}.soli")).unwrap();
    let n = var[0].dims[1] as usize;
    let mut row = vec![0.0; n];
    // The second of three rows.
    tree.read_f64(&var[0], &[1], 3, &mut [&mut row]).unwrap();
    let row: Vec<f32> = row.into_iter().map(|x| x as f32).collect();
    let mono = to_16k_mono(&[row], 44_100).unwrap();
    let id = format!("MAD-EEG/madeeg_preprocessed.hdf5#0001:{key}:solo2");
    let rows = scratch.sql(&format!(
        "SELECT segment, samples FROM audio WHERE stimulus_id = '{id}' ORDER BY segment"
    ));
    assert_eq!(rows.len(), 3);
    for (row, want) in rows.iter().zip(mono.chunks_exact(32_000)) {
        let mut want = want.to_vec();
        peak_normalise(&mut want);
        for (a, b) in row["samples"].as_array().unwrap().iter().zip(&want) {
            assert!((a.as_f64().unwrap() - f64::from(*b)).abs() < 1e-6);
        }
    }
}

#[test]
fn a_key_that_contradicts_the_yaml_is_dropped() {
    let scratch = Scratch::new();
    mad_eeg(&one(), &scratch.path("raw")).unwrap();
    let path = scratch.path("raw/madeeg_preprocessed.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("target: Co", "target: Fl", 1)).unwrap();
    scratch.json(&["ingest", "--dataset", "MAD-EEG", "--raw", "raw"]);
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, d['epochs'] AS epochs FROM (SELECT unnest(dropped) AS d FROM recordings)",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "key and YAML file name different targets", "epochs": 3 })]
    );
}

#[test]
fn a_split_that_holds_out_content_keeps_the_repetitions_of_an_excerpt_together() {
    let (scratch, ..) = ingested(&one());
    let contents = scratch.sql(
        "SELECT content_id, count(DISTINCT recording_id) AS trials FROM eeg GROUP BY 1 ORDER BY 1",
    );
    let song = |name: &str| json!({ "content_id": name, "trials": 2 });
    assert_eq!(contents, [song("classique_morceau1"), song("pop_mixtape")]);
}
