//! KUL, from cell arrays of trials to epochs and segments.

use mmpipe_simulate::{Kul, PlantedListening, kul};
use serde_json::{Value, json};

use crate::paired::{attention_is_in_the_eeg, hearing_agrees, sounds_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::{Scratch, tree};

fn simulated(subjects: usize) -> (Scratch, PlantedListening) {
    let scratch = Scratch::new();
    let cfg = Kul {
        subjects,
        ..Kul::default()
    };
    let planted = kul(&cfg, &scratch.path("raw")).unwrap();
    (scratch, planted)
}

fn ingest(scratch: &Scratch) -> Value {
    scratch.json(&["ingest", "--dataset", "KUL", "--raw", "raw"])
}

#[test]
fn kul_in_miniature() {
    let (scratch, planted) = simulated(2);
    let report = ingest(&scratch);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 40, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");

    // Two experiments of 1664 + 1728 + 1664 + 1792 samples, 12 repetitions of 640, at 128 Hz.
    let row = |subject: &str| {
        json!({ "subject": subject, "recordings": 20, "sfreq": 128.0, "n_channels": 64,
                "seconds": 167.0, "epochs": 74 })
    };
    let found = scratch.sql(
        "SELECT subject, count(*) AS recordings, min(sfreq) AS sfreq, min(n_channels) AS n_channels, \
                sum(seconds) AS seconds, sum(epochs) AS epochs FROM recordings GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(found, [row("1"), row("2")]);
    // 13, 13.5, 13 and 14 s have 6, 6, 6 and 7 epochs, twice; 5 s have 2, three times a part.
    let found = scratch.sql(
        "SELECT content_id, count(DISTINCT trial) AS trials, count(*) AS epochs, \
                count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1 ORDER BY 1",
    );
    let part = |k: usize, epochs: usize| json!({ "content_id": format!("part{k}"), "trials": 5, "epochs": epochs, "subjects": 2 });
    assert_eq!(found, [part(1, 36), part(2, 36), part(3, 36), part(4, 40)]);
    let found = scratch.sql(
        "SELECT task, auditory_type, label, label_name, count(DISTINCT trial) AS trials FROM eeg \
         WHERE subject = '1' GROUP BY 1, 2, 3, 4 ORDER BY 3",
    );
    let side = |label: i32, name: &str| {
        json!({ "task": "auditory attention", "auditory_type": "speech", "label": label,
                "label_name": name, "trials": 10 })
    };
    assert_eq!(found, [side(0, "left"), side(1, "right")]);
    let found = scratch.sql(
        "SELECT s['role'] AS role, count(*) AS epochs, count(DISTINCT s['stimulus_id']) AS sounds \
         FROM (SELECT unnest(stimuli) AS s FROM eeg) GROUP BY 1 ORDER BY 1",
    );
    let role = |role: &str| json!({ "role": role, "epochs": 148, "sounds": 8 });
    assert_eq!(found, [role("attended"), role("unattended")]);
    let found = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1",
    );
    let tail = "tail shorter than an epoch";
    assert_eq!(
        found,
        [json!({ "reason": tail, "epochs": 0, "seconds": 38.0 })]
    );
    every_second_is_accounted_for(&scratch);

    let all: Vec<usize> = (0..64).collect();
    hearing_agrees(&scratch, "KUL", &planted.recordings);
    for k in [3, 32] {
        samples_agree(&scratch, &planted.recordings[k].session, &all, 1);
    }
    sounds_agree(&scratch, "KUL", &planted.sounds, 2);
    attention_is_in_the_eeg(&scratch, "KUL", &planted, "Cz");
}

#[test]
fn repetitions_and_what_reached_the_ears_fold_into_the_dry_sound_of_the_part() {
    let (scratch, planted) = simulated(1);
    let report = ingest(&scratch);
    // Of 32 files, 8 are used; all others have their reason.
    let ignored = report["ignored"].to_string();
    assert!(ignored.contains("rep_part1_track1_dry.wav"), "{report:#}");
    assert!(ignored.contains("part1_track1_hrtf.wav"), "{report:#}");
    let found = scratch.sql("SELECT count(*) AS sounds FROM stimuli");
    assert_eq!(found, [json!({ "sounds": 8 })]);
    // Trial 9 repeats the start of part 1.
    let repeat = &planted.recordings[8];
    assert_eq!(repeat.heard[0][0].stimulus, "stimuli/part1_track1_dry.wav");
    let found = scratch.sql(
        "SELECT s['stimulus_id'] AS id, count(*) AS epochs, count(DISTINCT trial) AS trials, min(content_id) AS content \
         FROM (SELECT trial, content_id, unnest(stimuli) AS s FROM eeg WHERE trial IN (1, 9, 13, 17)) \
         WHERE s['segment'] = 0 AND s['role'] = 'attended' GROUP BY 1",
    );
    let id = "KUL/stimuli/part1_track1_dry.wav";
    let want = json!({ "id": id, "epochs": 4, "trials": 4, "content": "part1" });
    assert_eq!(found, [want]);

    // Track 1 is attended in 16 of 20 trials, each side in 10.
    let found = scratch.sql(
        "SELECT s['stimulus_id'] LIKE '%track1%' AS first, count(DISTINCT trial) AS trials \
         FROM (SELECT trial, unnest(stimuli) AS s FROM eeg) WHERE s['role'] = 'attended' GROUP BY 1 ORDER BY 1",
    );
    let row = |first: bool, trials: usize| json!({ "first": first, "trials": trials });
    assert_eq!(found, [row(false, 4), row(true, 16)]);

    // No sound has two contents: what keeps contents apart keeps sounds apart.
    let found = scratch.sql(
        "SELECT max(contents) AS contents FROM (SELECT s['stimulus_id'], count(DISTINCT content_id) AS contents \
         FROM (SELECT content_id, unnest(stimuli) AS s FROM eeg) GROUP BY 1)",
    );
    assert_eq!(found, [json!({ "contents": 1 })]);

    // A split that keeps the four stories apart, whoever heard them and however often.
    let split = scratch.json(&[
        "split",
        "--protocol",
        "content-disjoint",
        "--dataset",
        "KUL",
    ]);
    assert_eq!(split["split"], "kul-content-disjoint-f4-s0");
    assert_eq!(split["audit"]["holds"], true, "{split:#}");
    let found = scratch.sql(
        "SELECT fold, count(DISTINCT content_id) AS contents, count(DISTINCT trial) AS trials \
         FROM splits s JOIN eeg e ON s.epoch_id = e.epoch_id AND s.subject = e.subject \
         WHERE role = 'test' GROUP BY 1 ORDER BY 1",
    );
    let fold = |fold: i32| json!({ "fold": fold, "contents": 1, "trials": 5 });
    assert_eq!(found, [fold(0), fold(1), fold(2), fold(3)]);
}

/// One thread scans, then hashes, then decodes the sounds; two do so side by side.
#[test]
fn a_head_start_beside_the_scan_changes_no_byte() {
    let (scratch, _) = simulated(1);
    let damaged = "stimuli/part2_track1_dry.wav";
    std::fs::write(scratch.path("raw").join(damaged), "no sound").unwrap();
    for threads in ["1", "2"] {
        let lake = format!("lake-{threads}");
        let options = ["--lake", &lake, "--threads", threads];
        let asked = ["ingest", "--dataset", "KUL", "--raw", "raw"];
        let ran = scratch.run(&[&options[..], &asked].concat());
        assert_eq!(ran.code, 0, "{ran}");
        // The report says it once, and no decoder besides.
        let says = format!("no sound    {damaged}: ");
        assert_eq!(ran.stdout.matches(&says).count(), 1, "{ran}");
        assert_eq!(ran.stderr, "", "{ran}");
    }
    let [one, two] = ["lake-1", "lake-2"].map(|lake| tree(&scratch.path(lake)));
    assert!(one.len() > 28, "{:?}", one.keys());
    assert!(one.keys().eq(two.keys()));
    for (path, bytes) in &one {
        assert!(bytes == &two[path], "{path} differs");
    }
}
