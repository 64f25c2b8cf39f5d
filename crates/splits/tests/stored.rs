//! Splits in a real lake: made, read back, audited again, refused when they were touched.

mod common;
#[path = "common/lake.rs"]
mod in_lake;

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, UInt64Type};
use common::corpus;
use mmpipe_lake::{Lake, remove_partition, write_table};
use mmpipe_splits::{
    Heard, Protocol, Role, Row, SplitRequest, check_for_training, create, list, load, reaudit,
    rows, stored_audit,
};

fn request(protocol: Protocol) -> SplitRequest {
    SplitRequest {
        dataset: "Demo".into(),
        recipe: None,
        protocol,
        name: None,
        folds: Some(3),
        seed: 0,
        replace: false,
    }
}

fn lake_of(rows: &[Row]) -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(&folder.path().join("lake")).unwrap();
    in_lake::put(&lake, rows, "mindmix");
    (folder, lake)
}

/// Moves one epoch of a stored split to another role, as somebody with an editor would.
async fn edit(lake: &Lake, name: &str, from: &str, to: &str) -> u64 {
    let batches = lake
        .query(&format!(
            "SELECT * FROM splits WHERE split = '{name}' ORDER BY fold, role, epoch_id"
        ))
        .await
        .unwrap();
    let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
    let roles = cast(batch.column_by_name("role").unwrap(), &DataType::Utf8).unwrap();
    let mut roles: Vec<String> = roles
        .as_string::<i32>()
        .iter()
        .map(|r| r.unwrap().to_owned())
        .collect();
    let at = roles.iter().position(|r| r == from).unwrap();
    roles[at] = to.to_owned();
    let id = batch
        .column_by_name("epoch_id")
        .unwrap()
        .as_primitive::<UInt64Type>()
        .value(at);
    let columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let column = if field.name() == "role" {
                Arc::new(StringArray::from(roles.clone()))
            } else {
                column.clone()
            };
            (field.name().clone(), column)
        })
        .collect();
    let edited = RecordBatch::try_from_iter(columns).unwrap();
    write_table(lake, "splits", &[("split", name)], &[edited]).unwrap();
    id
}

#[tokio::test]
async fn a_split_is_made_stored_and_read_back() {
    let mut corpus = corpus(6, 6, 5);
    corpus[7].label = None;
    for row in &mut corpus {
        row.session = Some("1".into());
        row.content_id = (row.trial != 2).then(|| format!("story'{}", row.trial % 3));
        row.stimuli = vec![
            format!("a{}.wav", row.trial),
            format!("noise{}.wav", row.trial % 3),
        ];
        let heard = |sound: &String| Heard {
            sound: sound.clone(),
            role: "heard".into(),
            ..Heard::default()
        };
        row.heard = row.stimuli.iter().map(heard).collect();
    }
    corpus.sort_by_key(|r| r.epoch_id);
    let (_folder, lake) = lake_of(&corpus);
    assert_eq!(
        rows(&lake, "demo", None).await.unwrap(),
        corpus,
        "the lake gives back what was put in"
    );
    assert!(list(&lake).unwrap().is_empty());

    for protocol in Protocol::ALL {
        let (split, audit) = create(&lake, &request(protocol)).await.unwrap();
        assert_eq!(split.name, format!("demo-{protocol}-f3-s0"));
        assert!(audit.holds && audit.findings.unlabelled == 1);
        assert_eq!(load(&lake, &split.name).await.unwrap(), split);
        let again = reaudit(&lake, &split.name).await.unwrap();
        assert_eq!((&again.audit, again.changed.len()), (&audit, 0));
        assert_eq!(stored_audit(&lake, &split.name).unwrap().audit, audit);
        let leave = check_for_training(&lake, &split.name, false).await.unwrap();
        assert_eq!(leave.leaky(), protocol == Protocol::WithinSubject);
        let summary = leave.summary();
        assert_eq!(
            (summary.holds, summary.pairs.len(), summary.alone.len()),
            // Content, sounds, attended sound, trial, recording, subject.
            (true, 9, 6)
        );
        // The parts of a fold are all labelled epochs, each once.
        let mut parts: Vec<u64> = Role::ALL.iter().flat_map(|&r| split.part(1, r)).collect();
        parts.sort_unstable();
        assert_eq!(parts, split.epoch_ids());
        assert_eq!(parts.len(), corpus.len() - 1);
    }
    let names = [
        "demo-between-trial-f3-s0",
        "demo-content-disjoint-f3-s0",
        "demo-cross-subject-f3-s0",
        "demo-within-subject-f3-s0",
    ];
    assert_eq!(list(&lake).unwrap(), names);
    let batches = lake
        .query("SELECT count(*) AS n FROM splits s JOIN eeg e ON s.epoch_id = e.epoch_id AND s.subject = e.subject")
        .await
        .unwrap();
    let n = cast(batches[0].column(0), &DataType::UInt64).unwrap();
    assert_eq!(
        n.as_primitive::<UInt64Type>().value(0),
        names.len() as u64 * 3 * (corpus.len() as u64 - 1)
    );
}

#[tokio::test]
async fn the_same_request_is_the_same_split_and_another_is_refused() {
    let (_folder, lake) = lake_of(&corpus(4, 6, 4));
    let mut wanted = request(Protocol::BetweenTrial);
    wanted.name = Some("mine".into());
    let (first, _) = create(&lake, &wanted).await.unwrap();
    let file = lake.root().join("splits/split=mine/audit.json");
    let before = fs::read(&file).unwrap();
    assert_eq!(create(&lake, &wanted).await.unwrap().0, first);
    assert_eq!(fs::read(&file).unwrap(), before);
    wanted.seed = 1;
    let error = create(&lake, &wanted).await.unwrap_err().to_string();
    assert!(
        error.contains("split \"mine\" exists and differs"),
        "{error}"
    );
    wanted.replace = true;
    let (second, _) = create(&lake, &wanted).await.unwrap();
    assert_ne!(second.assignments, first.assignments);
    assert_eq!(load(&lake, "mine").await.unwrap(), second);
    // Removed and made again: the same bytes.
    let table = lake.root().join("splits/split=mine/part-0.parquet");
    let (audit, rows) = (fs::read(&file).unwrap(), fs::read(&table).unwrap());
    remove_partition(&lake, "splits", &[("split", "mine")]).unwrap();
    create(&lake, &wanted).await.unwrap();
    assert_eq!(
        (fs::read(&file).unwrap(), fs::read(&table).unwrap()),
        (audit, rows)
    );
}

#[tokio::test]
async fn an_edited_table_is_caught_even_where_the_promise_still_holds() {
    let (_folder, lake) = lake_of(&corpus(6, 6, 5));
    // Within a subject a train window may become a validation window without breaking the promise.
    let (split, _) = create(&lake, &request(Protocol::WithinSubject))
        .await
        .unwrap();
    let id = edit(&lake, &split.name, "train", "val").await;
    let after = reaudit(&lake, &split.name).await.unwrap();
    assert!(after.split.part(0, Role::Val).contains(&id));
    assert!(after.audit.holds);
    assert_eq!(
        after.changed,
        ["the stored table is not the one that was audited when the split was made"]
    );
    let refused = check_for_training(&lake, &split.name, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("is refused: the stored table is not the one that was audited"),
        "{refused}"
    );

    let (split, _) = create(&lake, &request(Protocol::CrossSubject))
        .await
        .unwrap();
    edit(&lake, &split.name, "test", "train").await;
    let refused = check_for_training(&lake, &split.name, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("--allow-leaky"), "{refused}");
    let forced = check_for_training(&lake, &split.name, true).await.unwrap();
    assert!(forced.leaky());
    assert!(
        forced
            .forced
            .iter()
            .any(|f| f == "fold 0, train/test: 1 shared subjects"),
        "{:?}",
        forced.forced
    );
    let summary = forced.summary();
    assert!(!summary.holds && !summary.leaky && !summary.broken.is_empty());
}

#[tokio::test]
async fn a_changed_lake_is_caught_and_a_grown_one_is_noted() {
    let mut corpus = corpus(5, 6, 5);
    let (_folder, lake) = lake_of(&corpus);
    let (split, _) = create(&lake, &request(Protocol::BetweenTrial))
        .await
        .unwrap();
    // A sixth subject arrives.
    let more: Vec<Row> = common::corpus(6, 6, 5)
        .into_iter()
        .filter(|r| r.subject == "s05")
        .collect();
    in_lake::put(&lake, &more, "mindmix");
    let grown = check_for_training(&lake, &split.name, false).await.unwrap();
    assert!(
        grown
            .audit
            .notes
            .iter()
            .any(|n| n.starts_with("30 labelled epochs of the data set lack a role"))
    );
    // A label is corrected.
    corpus[3].label = Some(1);
    in_lake::put(&lake, &corpus, "mindmix");
    let refused = check_for_training(&lake, &split.name, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("the lake says other things"), "{refused}");
    // A subject is removed.
    corpus[3].label = Some(0);
    in_lake::put(&lake, &corpus, "mindmix");
    check_for_training(&lake, &split.name, false).await.unwrap();
    let partition = [
        ("recipe", "mindmix"),
        ("dataset", "Demo"),
        ("subject", "s00"),
    ];
    assert!(remove_partition(&lake, "eeg", &partition).unwrap());
    let refused = check_for_training(&lake, &split.name, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("30 assigned epoch(s) are not in the lake"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_second_recipe_is_never_mixed_in() {
    let rows = corpus(4, 6, 4);
    let (_folder, lake) = lake_of(&rows);
    in_lake::put(&lake, &rows, "labram");
    let (split, audit) = create(&lake, &request(Protocol::BetweenTrial))
        .await
        .unwrap();
    assert_eq!(
        (split.recipe.as_str(), audit.findings.epochs),
        ("mindmix", rows.len() as u64)
    );
    let mut other = request(Protocol::BetweenTrial);
    (other.recipe, other.name) = (Some("cbramod".into()), Some("c".into()));
    let error = create(&lake, &other).await.unwrap_err().to_string();
    assert!(
        error.contains("under the recipes labram, mindmix"),
        "{error}"
    );
}

#[tokio::test]
async fn an_interrupted_or_damaged_split_is_never_used() {
    let (_folder, lake) = lake_of(&corpus(4, 6, 4));
    let wanted = request(Protocol::BetweenTrial);
    let (split, _) = create(&lake, &wanted).await.unwrap();
    let file = lake
        .root()
        .join(format!("splits/split={}/audit.json", split.name));
    // Killed between the table and its proof.
    fs::remove_file(&file).unwrap();
    assert!(list(&lake).unwrap().is_empty());
    let error = load(&lake, &split.name).await.unwrap_err().to_string();
    assert!(error.contains("was interrupted; make it again"), "{error}");
    assert_eq!(create(&lake, &wanted).await.unwrap().0, split);
    // Nonsense in its place.
    for (bytes, expected) in [
        (&b"{"[..], "not JSON"),
        (&b"{}"[..], "expected format 1, found none"),
        (&br#"{"format": 2}"#[..], "expected format 1, found 2"),
        (&br#"{"format": 1}"#[..], "not an audit"),
    ] {
        fs::write(&file, bytes).unwrap();
        let error = check_for_training(&lake, &split.name, true)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn names_and_data_sets_that_are_not_there() {
    let (_folder, lake) = lake_of(&corpus(2, 6, 4));
    let error = load(&lake, "nope").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "no split \"nope\" in the lake, which has none yet; make one with `mmpipe split`"
    );
    for name in ["", "../x", "a b", ".hidden", "-x", &"x".repeat(101)] {
        let mut wanted = request(Protocol::BetweenTrial);
        wanted.name = Some(name.into());
        assert!(
            create(&lake, &wanted)
                .await
                .unwrap_err()
                .to_string()
                .starts_with("split name"),
            "{name}"
        );
    }
    let mut wanted = request(Protocol::CrossSubject);
    let error = create(&lake, &wanted).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cross-subject with 3 folds needs at least 3 subjects, found 2"),
        "{error}"
    );
    wanted.dataset = "Other".into();
    let error = create(&lake, &wanted).await.unwrap_err().to_string();
    assert!(
        error.contains("no epochs of data set \"Other\" in the lake; it has Demo"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(&empty.path().join("lake")).unwrap();
    let error = create(&lake, &wanted).await.unwrap_err().to_string();
    assert!(error.contains("run `mmpipe ingest` first"), "{error}");
}

#[tokio::test]
async fn folds_not_asked_for_are_five_or_as_many_as_subjects_or_contents() {
    let mut rows = corpus(4, 6, 4);
    for row in &mut rows {
        row.content_id = Some(format!("story{}", row.trial / 2));
    }
    let (_folder, lake) = lake_of(&rows);
    let mut wanted = request(Protocol::CrossSubject);
    wanted.folds = None;
    let (split, _) = create(&lake, &wanted).await.unwrap();
    assert_eq!(
        (split.name.as_str(), split.folds),
        ("demo-cross-subject-f4-s0", 4)
    );
    wanted.protocol = Protocol::ContentDisjoint;
    let (split, audit) = create(&lake, &wanted).await.unwrap();
    assert_eq!(
        (split.name.as_str(), split.folds, audit.holds),
        ("demo-content-disjoint-f3-s0", 3, true)
    );
    wanted.protocol = Protocol::BetweenTrial;
    let (split, _) = create(&lake, &wanted).await.unwrap();
    assert_eq!(
        (split.name.as_str(), split.folds),
        ("demo-between-trial-s0", 5)
    );
}
