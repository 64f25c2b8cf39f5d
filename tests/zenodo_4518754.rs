//! Zenodo 4518754, from Curry 7 files to epochs with two talkers.

use mmpipe_eval::attention::{Favoured, Options, Preference, Trial};
use mmpipe_simulate::{Aad255, PlantedSessions, zenodo_4518754};
use serde_json::{Value, json};

use crate::heard::{heard, sound_agrees};
use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::Scratch;

fn ingested(cfg: &Aad255) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = zenodo_4518754(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "zenodo_4518754", "--raw", "raw"]);
    (scratch, planted, report)
}

#[test]
fn zenodo_4518754_in_miniature() {
    let (scratch, planted, report) = ingested(&Aad255::default());
    let found = scratch.sql(
        "SELECT subject, run, status, container, sfreq, seconds, epochs FROM recordings ORDER BY 1, 2",
    );
    // 16 s of sound after the first trigger.
    let row = |run: &str| {
        json!({ "subject": "0", "run": run, "status": "ok", "container": "Curry 7", "sfreq": 250.0,
                "seconds": 22.5, "epochs": 8 })
    };
    assert_eq!(
        found,
        [row("1L"), row("1R"), row("2L"), row("2R")],
        "{report:#}"
    );
    let channels = scratch
        .sql("SELECT DISTINCT array_length(ch_names) AS n, array_length(eeg) AS rows FROM eeg");
    assert_eq!(channels, [json!({ "n": 253, "rows": 253 })]);
    let labels = scratch.sql(
        "SELECT label, label_name, content_id, count(*) AS epochs, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 3",
    );
    let class = |label: i32, name: &str, part: &str| json!({ "label": label, "label_name": name, "content_id": part, "epochs": 8, "sounds": 16 });
    assert_eq!(
        labels,
        [
            class(0, "left", "part1"),
            class(0, "left", "part2"),
            class(1, "right", "part1"),
            class(1, "right", "part2"),
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    // 1.5 s before the first trigger and 1 s after the last 10 s.
    assert_eq!(
        dropped,
        [
            json!({ "reason": "beyond the sound", "epochs": 8, "seconds": 16.0 }),
            json!({ "reason": "outside any trial", "epochs": 4, "seconds": 10.0 }),
        ]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
    }
    samples_agree(
        &scratch,
        &planted.recordings[2],
        &(0..253).collect::<Vec<_>>(),
        2,
    );
}

#[test]
fn both_files_of_a_part_play_the_same_sounds_with_attention_exchanged() {
    let (scratch, planted, _) = ingested(&Aad255::default());
    for (made, attended) in planted.recordings.iter().zip([2, 1, 1, 2]) {
        let part = &made.run.as_ref().unwrap()[..1];
        let sounds = heard(&scratch, &made.path);
        assert_eq!(sounds.len(), 16);
        for sound in &sounds {
            let track = if sound.role == "attended" {
                attended
            } else {
                3 - attended
            };
            let id = format!("zenodo_4518754/stimuli/part{part}_track{track}_dry.wav");
            assert_eq!((&sound.stimulus_id, sound.segment), (&id, sound.epoch));
        }
    }
    for part in 1..=2 {
        for track in 1..=2 {
            let file = format!("stimuli/part{part}_track{track}_dry.wav");
            let id = format!("zenodo_4518754/{file}");
            sound_agrees(&scratch, &id, &scratch.path("raw").join(file), None, 0);
        }
    }
    let contents = scratch
        .sql("SELECT count(*) AS sounds, count(DISTINCT content_id) AS contents FROM stimuli");
    assert_eq!(contents, [json!({ "sounds": 4, "contents": 2 })]);
}

#[test]
fn curry_spellings_become_names_and_extra_channels_are_dropped() {
    let cfg = Aad255 {
        blocked: true,
        ..Aad255::default()
    };
    let (scratch, planted, _) = ingested(&cfg);
    let dropped = scratch.sql(
        "SELECT DISTINCT c['raw_name'] AS raw, c['kind'] AS kind \
         FROM (SELECT unnest(channels) AS c FROM recordings) WHERE c['name'] IS NULL ORDER BY 1",
    );
    let channel = |raw: &str, kind: &str| json!({ "raw": raw, "kind": kind });
    assert_eq!(
        dropped,
        [
            channel("Trigger", "trigger"),
            channel("XtraL", "ref"),
            channel("XtraR", "ref")
        ]
    );
    let renamed = scratch.sql(
        "SELECT DISTINCT c['raw_name'] AS raw, c['name'] AS name \
         FROM (SELECT unnest(channels) AS c FROM recordings) \
         WHERE c['raw_name'] IN ('FP1', 'AFP3h', 'PPO8h') ORDER BY 1",
    );
    let name = |raw: &str, name: &str| json!({ "raw": raw, "name": name });
    assert_eq!(
        renamed,
        [
            name("AFP3h", "AFp3h"),
            name("FP1", "Fp1"),
            name("PPO8h", "PPO8")
        ]
    );
    // Samples of a channel together, as DataSampOrder = CHAN has it.
    samples_agree(
        &scratch,
        &planted.recordings[0],
        &(0..253).collect::<Vec<_>>(),
        1,
    );
}

#[test]
fn subjects_in_tar_gz_archives_are_unpacked() {
    let counts = "SELECT subject, run, label, count(*) AS epochs, sum(array_length(stimuli)) AS sounds \
                  FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 2";
    let (folder, ..) = ingested(&Aad255::default());
    let cfg = Aad255 {
        packed: true,
        ..Aad255::default()
    };
    let (packed, _, report) = ingested(&cfg);
    assert!(packed.path("raw/S0.tar.gz").is_file());
    assert_eq!(packed.sql(counts), folder.sql(counts), "{report:#}");
}

#[test]
fn a_change_before_the_train_of_triggers_is_not_the_start_and_none_is_no_trial() {
    let cfg = Aad255::default();
    let scratch = Scratch::new();
    zenodo_4518754(&cfg, &scratch.path("raw")).unwrap();
    let edit = |run: &str, set: &dyn Fn(usize, f32) -> f32| {
        let path = scratch.path(&format!("raw/S0/S0_AAD_{run}.dat"));
        let mut data = std::fs::read(&path).unwrap();
        for (t, frame) in data.chunks_exact_mut(4 * 256).enumerate() {
            let cell: &mut [u8; 4] = (&mut frame[4 * 255..]).try_into().unwrap();
            *cell = set(t, f32::from_le_bytes(*cell)).to_le_bytes();
        }
        std::fs::write(&path, data).unwrap();
    };
    edit("1L", &|t, x| {
        if (50..60).contains(&t) { x + 64.0 } else { x }
    });
    edit("1R", &|_, _| 1_200_002.0);
    let report = scratch.json(&["ingest", "--dataset", "zenodo_4518754", "--raw", "raw"]);
    let found = scratch.sql("SELECT run, min(onset) AS onset FROM eeg GROUP BY 1 ORDER BY 1");
    let first = |run: &str| json!({ "run": run, "onset": 1.5 });
    assert_eq!(found, [first("1L"), first("2L"), first("2R")], "{report:#}");
    let dropped = scratch.sql(
        "SELECT run, d['reason'] AS reason FROM (SELECT run, unnest(dropped) AS d FROM recordings) \
         WHERE d['reason'] LIKE '%trigger%'",
    );
    assert_eq!(
        dropped,
        [json!({ "run": "1R", "reason": "no trigger, so when the sound started is not known" })]
    );
}

/// Rate at which the check below decodes, Hz.
const RATE: f64 = 50.0;

/// The mean of each `n` values.
fn every(n: usize, x: impl Iterator<Item = f64>) -> Vec<f64> {
    let x: Vec<f64> = x.collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / n as f64;
    x.chunks_exact(n).map(mean).collect()
}

fn numbers(list: &Value) -> impl Iterator<Item = f64> + '_ {
    list.as_array().unwrap().iter().map(|v| v.as_f64().unwrap())
}

/// What the lake says of the two streams: for each file, EEG of 16 electrodes, and the envelopes
/// of the one that the manifest calls attended and of the other.
fn asked(scratch: &Scratch, planted: &PlantedSessions) -> Vec<(String, Trial)> {
    let segments = scratch.sql("SELECT stimulus_id, segment, peak, samples FROM audio");
    let envelope = |id: &str, segment: i64| {
        let row = segments
            .iter()
            .find(|s| s["stimulus_id"] == id && s["segment"] == segment)
            .unwrap();
        let peak = row["peak"].as_f64().unwrap();
        every(320, numbers(&row["samples"]).map(|x| (peak * x).abs()))
            .into_iter()
            .map(|x| x.powf(0.6))
    };
    planted
        .recordings
        .iter()
        .map(|made| {
            let rows = scratch.sql(&format!(
                "SELECT epoch, array_slice(eeg, 1, 16) AS eeg FROM eeg e \
                 JOIN recordings r ON r.recording_id = e.recording_id WHERE r.path = '{}' ORDER BY epoch",
                made.path
            ));
            let mut eeg = vec![Vec::new(); 16];
            for row in &rows {
                for (channel, x) in eeg.iter_mut().zip(row["eeg"].as_array().unwrap()) {
                    channel.extend(every(4, numbers(x)));
                }
            }
            let sounds = heard(scratch, &made.path);
            let stream = |role: &str| -> Vec<f64> {
                let of = sounds.iter().filter(|s| s.role == role);
                of.flat_map(|s| envelope(&s.stimulus_id, s.segment)).collect()
            };
            let trial = Trial {
                name: made.path.clone(),
                eeg,
                streams: vec![stream("attended"), stream("unattended")],
                attended: 0,
            };
            (made.subject.clone(), trial)
        })
        .collect()
}

/// The conflict of the sources about which track was attended: two decoders, one taught each
/// stream, tell which one the EEG follows, without taking the manifest's word for it.
#[test]
fn the_check_that_the_manifest_names_decides_which_track_was_attended() {
    for (exchanged, favoured) in [(false, Favoured::First), (true, Favoured::Second)] {
        let cfg = Aad255 {
            subjects: vec![0, 1],
            sfreq: 200,
            exchanged,
            ..Aad255::default()
        };
        let (scratch, planted, _) = ingested(&cfg);
        let asked = asked(&scratch, &planted);
        let mut check = Preference::new(Options::new(RATE));
        for subject in ["0", "1"] {
            let own = asked.iter().filter(|(s, _)| s == subject);
            let trials: Vec<Trial> = own.map(|(_, t)| t.clone()).collect();
            assert_eq!(trials.len(), 4);
            check.add(subject, &trials).unwrap();
        }
        let verdict = check.verdict(0.05).unwrap();
        assert_eq!(verdict.favoured, favoured, "{verdict:#?}");
    }
}
