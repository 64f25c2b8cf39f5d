//! Vectors of sounds: kept by encoder and sound, passed over where either is another.

use std::collections::HashSet;

use crate::common::*;
use mmpipe_lake::{
    AudioStore, EmbeddingStore, Encoder, Error, Lake, Missing, Segment, remove_orphans,
    write_embeddings,
};

fn encoder(hash: &str, width: usize) -> Encoder {
    Encoder {
        name: "wav2vec2".into(),
        hash: hash.into(),
        width,
    }
}

/// Vectors that tell of which segment they are.
fn vectors(of: &Missing, width: usize) -> Vec<Vec<f32>> {
    let one = |s: &Segment| vec![s.1 as f32 + s.0.len() as f32; width];
    of.segments.iter().map(one).collect()
}

fn sounds(lake: &Lake) -> AudioStore {
    runtime()
        .block_on(AudioStore::open(lake, "mindmix"))
        .unwrap()
}

#[test]
fn vectors_are_kept_by_sound_and_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_wav(&raw, "stimuli/a.wav", 11.0);
    let mut asked = request(scan(&raw, &files[..2], WHOLE), &raw);
    asked.scan.streams_sql = Some(
        "SELECT path, 0 AS trial, 'stimuli/a.wav' AS stimulus, 'attended' AS role, CASE WHEN run = '1' THEN 0.0 ELSE 0.5 END AS \"offset\" FROM files".into(),
    );
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, asked.clone()).unwrap();
    let mini = ["Mini".to_owned()];
    let audio = sounds(&lake);
    assert_eq!(audio.size("Mini"), (1, 10));
    let (ours, other) = (encoder("a/b*", 3), encoder("c", 5));
    let open = |audio: &AudioStore, e: &Encoder| EmbeddingStore::open(audio, &e.hash).unwrap();

    // What is wanted alone, then the rest beside it; the same bytes as all at once.
    let key: Segment = ("Mini/stimuli/a.wav".into(), 2);
    let store = open(&audio, &ours);
    assert!(store.is_empty());
    let wanted = HashSet::from([key.clone()]);
    let missing = store.missing(&audio, &mini, Some(&wanted));
    assert_eq!(
        (missing.len(), &missing[0].segments),
        (1, &vec![key.clone()])
    );
    assert!(
        store
            .missing(&audio, &["Other".to_owned()], None)
            .is_empty()
    );
    write_embeddings(&audio, &store, &ours, &missing[0], &vectors(&missing[0], 3)).unwrap();
    let store = open(&audio, &ours);
    assert_eq!(store.len(), 1);
    assert_eq!(store.read(&key.0, 2).unwrap(), Some(vec![20.0; 3]));
    assert_eq!(store.read(&key.0, 3).unwrap(), None);
    assert!(store.missing(&audio, &mini, Some(&wanted)).is_empty());
    let rest = store.missing(&audio, &mini, None);
    assert_eq!(rest[0].segments.len(), 9);
    let path = write_embeddings(&audio, &store, &ours, &rest[0], &vectors(&rest[0], 3)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let store = open(&audio, &ours);
    let all = store.missing(&audio, &mini, None);
    assert_eq!(all[0].segments.len(), 10);
    write_embeddings(&audio, &store, &ours, &all[0], &vectors(&all[0], 3)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);

    // Another encoder of another width beside it, in one table.
    let store = open(&audio, &other);
    assert!(store.is_empty());
    write_embeddings(&audio, &store, &other, &all[0], &vectors(&all[0], 5)).unwrap();
    let rows = query(
        &lake,
        "SELECT encoder_hash, count(*) AS n, max(cardinality(vector)) AS w, max(vector[1]) AS v, max(onset) AS o, count(DISTINCT sound_hash) AS s FROM audio_embeddings GROUP BY 1 ORDER BY 1",
    );
    assert!(
        rows.contains("| a/b*         | 10 | 3 | 26.0 | 8.5 | 1 |"),
        "{rows}"
    );
    assert!(
        rows.contains("| c            | 10 | 5 | 26.0 | 8.5 | 1 |"),
        "{rows}"
    );

    // What does not fit is refused, and the file stays.
    let store = open(&audio, &ours);
    for (e, v) in [
        (&ours, vectors(&all[0], 4)),
        (&ours, vectors(&rest[0], 3)),
        (&other, vectors(&all[0], 3)),
    ] {
        let wrong = write_embeddings(&audio, &store, e, &all[0], &v);
        assert!(matches!(wrong, Err(Error::Column { .. })), "{wrong:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), whole);

    // Another sound under the same name: its vectors are to be made, and replace the others.
    write_wav(&raw, "stimuli/a.wav", 13.0);
    run(&lake, asked.clone()).unwrap();
    let audio = sounds(&lake);
    let store = open(&audio, &ours);
    assert!(store.is_empty());
    let now = store.missing(&audio, &mini, None);
    write_embeddings(&audio, &store, &ours, &now[0], &vectors(&now[0], 3)).unwrap();
    let store = open(&audio, &ours);
    assert_eq!(store.len(), audio.size("Mini").1);
    let rows = query(
        &lake,
        "SELECT count(*) AS n, count(DISTINCT sound_hash) AS s FROM audio_embeddings WHERE encoder_hash = 'a/b*'",
    );
    assert!(rows.contains(&format!("| {} | 1 |", store.len())), "{rows}");

    // A sound that went away takes its vectors with it.
    assert_eq!(remove_orphans(&audio, &ours.hash, &mini).unwrap(), 0);
    std::fs::remove_file(raw.join("stimuli/a.wav")).unwrap();
    run(&lake, asked).unwrap();
    let audio = sounds(&lake);
    assert_eq!(audio.size("Mini"), (0, 0));
    assert_eq!(remove_orphans(&audio, &ours.hash, &mini).unwrap(), 1);
    assert!(!path.exists());
}
