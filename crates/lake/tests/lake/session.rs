//! Tables, views and functions as SQL sees them.

use std::sync::Arc;

use crate::common::query;
use arrow::array::{Int32Array, ListArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Float32Type, Schema};
use mmpipe_lake::{Error, Lake, remove_partition, write_table};

#[test]
fn an_empty_lake_answers_with_the_right_columns() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(&dir.path().join("a [lake] with* marks%20")).unwrap();
    for table in [
        "eeg",
        "recordings",
        "stimuli",
        "audio",
        "audio_embeddings",
        "splits",
        "predictions",
    ] {
        let batches = crate::common::runtime().block_on(async {
            lake.context()
                .await
                .unwrap()
                .sql(&format!("SELECT * FROM {table}"))
                .await
                .unwrap()
        });
        let found: Schema = batches.schema().as_arrow().clone();
        assert_eq!(
            found.fields(),
            lake.schema(table).unwrap().fields(),
            "{table}"
        );
        assert!(query(&lake, &format!("SELECT count(*) AS n FROM {table}")).contains("| 0 |"));
    }
    assert!(query(&lake, "SELECT count(*) AS n FROM eeg_channels").contains("| 0 |"));
}

#[test]
fn a_lake_of_another_version_and_a_folder_that_is_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Lake::open(dir.path()), Err(Error::NotALake(_))));
    std::fs::write(
        dir.path().join("mmpipe-lake.json"),
        r#"{"format_version": 99}"#,
    )
    .unwrap();
    let message = Lake::open(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains("format version 99") && message.contains("use a newer mmpipe"),
        "{message}"
    );
    std::fs::write(
        dir.path().join("mmpipe-lake.json"),
        r#"{"format_version": 1}"#,
    )
    .unwrap();
    let message = Lake::create_or_open(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains("reads version 2: ingest the raw files again into another folder"),
        "{message}"
    );
    std::fs::write(dir.path().join("mmpipe-lake.json"), "{").unwrap();
    assert!(matches!(
        Lake::create_or_open(dir.path()),
        Err(Error::Marker { .. })
    ));
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        Lake::create_or_open(&file.join("lake")),
        Err(Error::Io { .. })
    ));
}

fn predictions(run: &str, labels: &[Option<i32>], predicted: &[i32]) -> RecordBatch {
    let n = labels.len();
    let text = |v: &str| -> arrow::array::ArrayRef { Arc::new(StringArray::from(vec![v; n])) };
    let scores = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..n).map(|_| Some(vec![Some(0.25), Some(0.75)])),
    );
    RecordBatch::try_from_iter(vec![
        ("run", text(run)),
        ("split", text("s")),
        ("fold", Arc::new(Int32Array::from(vec![0; n])) as _),
        (
            "epoch_id",
            Arc::new(UInt64Array::from_iter_values(0..n as u64)) as _,
        ),
        ("dataset", text("D")),
        ("subject", text("1")),
        ("trial", Arc::new(Int32Array::from(vec![0; n])) as _),
        ("scoring", text("candidate")),
        ("label", Arc::new(Int32Array::from(labels.to_vec())) as _),
        (
            "predicted",
            Arc::new(Int32Array::from(predicted.to_vec())) as _,
        ),
        ("scores", Arc::new(scores) as _),
    ])
    .unwrap()
}

#[test]
fn tables_are_written_checked_replaced_and_removed_by_partition() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(dir.path()).unwrap();
    let labels: Vec<Option<i32>> = vec![Some(0), Some(0), Some(0), Some(1)];
    let first = predictions("a/b c", &labels, &[0, 0, 1, 1]);
    let path = write_table(
        &lake,
        "predictions",
        &[("run", "a/b c")],
        std::slice::from_ref(&first),
    )
    .unwrap();
    assert!(path.starts_with(lake.root().join("predictions")));
    write_table(
        &lake,
        "predictions",
        &[("run", "other")],
        &[predictions("other", &labels, &[1, 1, 1, 1])],
    )
    .unwrap();
    // `control` was left out and is null; scores were nullable inside and are cast.
    assert!(
        query(
            &lake,
            "SELECT count(*) AS n FROM predictions WHERE control IS NULL"
        )
        .contains("| 8 |")
    );

    // The metrics, against hand-made values: recalls 2/3 and 1.
    let scores = query(
        &lake,
        "SELECT round(balanced_accuracy(label, predicted), 6) AS b, round(weighted_f1(label, predicted), 6) AS f FROM predictions WHERE run = 'a/b c'",
    );
    assert!(scores.contains("| 0.833333 | 0.766667 |"), "{scores}");
    let grouped = query(
        &lake,
        "SELECT run, balanced_accuracy(label, predicted) AS b FROM predictions GROUP BY run ORDER BY run",
    );
    assert!(grouped.contains("| other | 0.5 "), "{grouped}");
    assert!(query(&lake, "SELECT balanced_accuracy(label, predicted) IS NULL AS b FROM predictions WHERE run = 'none'").contains("true"));

    // Replaced, not added to.
    write_table(
        &lake,
        "predictions",
        &[("run", "other")],
        &[predictions("other", &labels, &[0, 0, 0, 1])],
    )
    .unwrap();
    assert!(
        query(
            &lake,
            "SELECT balanced_accuracy(label, predicted) AS b FROM predictions WHERE run = 'other'"
        )
        .contains("| 1.0 |")
    );
    assert!(remove_partition(&lake, "predictions", &[("run", "other")]).unwrap());
    assert!(!remove_partition(&lake, "predictions", &[("run", "other")]).unwrap());
    assert!(query(&lake, "SELECT count(*) AS n FROM predictions").contains("| 4 |"));

    // What does not fit is refused.
    let null = predictions("x", &[None], &[0]);
    assert!(
        matches!(write_table(&lake, "predictions", &[("run", "x")], &[null]), Err(Error::Column { column, .. }) if column == "label")
    );
    assert!(
        matches!(write_table(&lake, "predictions", &[("run", "y")], std::slice::from_ref(&first)), Err(Error::Column { column, .. }) if column == "run")
    );
    assert!(matches!(
        write_table(
            &lake,
            "predictions",
            &[("split", "y")],
            std::slice::from_ref(&first)
        ),
        Err(Error::Partition { .. })
    ));
    assert!(matches!(
        write_table(&lake, "nothing", &[], std::slice::from_ref(&first)),
        Err(Error::UnknownTable(_))
    ));
    let lacking = first.project(&[0, 1]).unwrap();
    assert!(matches!(
        write_table(&lake, "predictions", &[("run", "a/b c")], &[lacking]),
        Err(Error::Column { .. })
    ));
}

#[test]
fn list_functions_agree_with_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(dir.path()).unwrap();
    let z = query(
        &lake,
        "SELECT zscore([1.0, 3.0]) AS z, zscore([5, 5]) AS flat, zscore(CAST(NULL AS DOUBLE[])) AS none",
    );
    assert!(z.contains("| [-1.0, 1.0] | [0.0, 0.0] |"), "{z}");
    // A sine of amplitude 2 at 10 Hz has power 2, nearly all of it near 10 Hz.
    let sine = "(SELECT array_agg(2.0 * sin(2 * pi() * 10 * i / 200.0) ORDER BY i) AS x FROM generate_series(0, 399) AS t(i))";
    let p = query(
        &lake,
        &format!(
            "SELECT abs(bandpower(x, 200.0, 8, 12) - 2) < 0.1 AS inside, bandpower(x, 200, 20, 30) < 0.001 AS outside FROM {sine}"
        ),
    );
    assert!(p.contains("| true   | true    |"), "{p}");
    let wrong = crate::common::runtime()
        .block_on(lake.query("SELECT zscore('a')"))
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("expects a list of numbers"), "{wrong}");
    assert!(
        crate::common::runtime()
            .block_on(lake.query("SELECT bandpower([1.0, 2.0], 200, 30, 20)"))
            .is_err()
    );
}
