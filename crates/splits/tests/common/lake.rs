//! Rows put into a real lake, with samples of zeros.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use mmpipe_lake::{Lake, write_table};
use mmpipe_splits::Row;

fn list(item: &Field, lengths: impl IntoIterator<Item = usize>, values: ArrayRef) -> ArrayRef {
    Arc::new(ListArray::new(
        Arc::new(item.clone()),
        OffsetBuffer::from_lengths(lengths),
        values,
        None,
    ))
}

/// Writes `rows` as table `eeg` under `recipe`: one channel of 400 samples at 200 Hz.
pub(crate) fn put(lake: &Lake, rows: &[Row], recipe: &str) {
    let mut by_subject: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_subject
            .entry((&row.dataset, &row.subject))
            .or_default()
            .push(row);
    }
    for ((dataset, subject), rows) in by_subject {
        let n = rows.len();
        let strings = |value: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(|r| value(r)).collect::<StringArray>())
        };
        let floats = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value; n])) };
        let samples = Arc::new(Field::new("item", DataType::Float32, false));
        let epochs: ArrayRef = Arc::new(FixedSizeListArray::new(
            samples.clone(),
            400,
            Arc::new(Float32Array::from(vec![0.0; 400 * n])),
            None,
        ));
        let one_float = || -> ArrayRef {
            let field = Field::new("item", DataType::Float32, false);
            list(
                &field,
                std::iter::repeat_n(1, n),
                Arc::new(Float32Array::from(vec![1.0; n])),
            )
        };
        let text = Field::new("item", DataType::Utf8, false);
        let fields = Fields::from(vec![
            Field::new("stimulus_id", DataType::Utf8, false),
            Field::new("segment", DataType::Int32, false),
            Field::new("role", DataType::Utf8, false),
            Field::new("side", DataType::Utf8, true),
        ]);
        let sounds: Vec<&str> = rows
            .iter()
            .flat_map(|r| r.stimuli.iter().map(String::as_str))
            .collect();
        let count = sounds.len();
        let structs = StructArray::new(
            fields.clone(),
            vec![
                Arc::new(StringArray::from(sounds)),
                Arc::new(Int32Array::from(vec![0; count])),
                Arc::new(StringArray::from(vec!["heard"; count])),
                Arc::new(StringArray::new_null(count)),
            ],
            None,
        );
        let stimulus = Field::new("item", DataType::Struct(fields), false);
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "epoch_id",
                Arc::new(
                    rows.iter()
                        .map(|r| Some(r.epoch_id))
                        .collect::<UInt64Array>(),
                ),
            ),
            ("dataset", strings(&|r| Some(r.dataset.clone()))),
            ("subject", strings(&|r| Some(r.subject.clone()))),
            ("session", strings(&|r| r.session.clone())),
            ("run", strings(&|r| r.run.clone())),
            (
                "trial",
                Arc::new(rows.iter().map(|r| Some(r.trial)).collect::<Int32Array>()),
            ),
            (
                "epoch",
                Arc::new(rows.iter().map(|r| Some(r.epoch)).collect::<Int32Array>()),
            ),
            (
                "onset",
                Arc::new(rows.iter().map(|r| Some(r.onset)).collect::<Float64Array>()),
            ),
            ("sfreq", floats(200.0)),
            (
                "ch_names",
                list(
                    &text,
                    std::iter::repeat_n(1, n),
                    Arc::new(StringArray::from(vec!["Cz"; n])),
                ),
            ),
            (
                "eeg",
                list(
                    &Field::new("item", DataType::FixedSizeList(samples, 400), false),
                    std::iter::repeat_n(1, n),
                    epochs,
                ),
            ),
            ("ch_mean", one_float()),
            ("ch_std", one_float()),
            (
                "label",
                Arc::new(rows.iter().map(|r| r.label).collect::<Int32Array>()),
            ),
            ("label_name", strings(&|r| r.label_name.clone())),
            ("content_id", strings(&|r| r.content_id.clone())),
            (
                "stimuli",
                list(
                    &stimulus,
                    rows.iter().map(|r| r.stimuli.len()),
                    Arc::new(structs),
                ),
            ),
            ("recipe", strings(&|_| Some(recipe.to_owned()))),
            ("recording_id", strings(&|r| Some(r.recording.clone()))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let partition = [
            ("recipe", recipe),
            ("dataset", dataset),
            ("subject", subject),
        ];
        write_table(lake, "eeg", &partition, &[batch]).unwrap();
    }
}
