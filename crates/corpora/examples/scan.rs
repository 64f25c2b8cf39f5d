//! Scans a raw folder and prints its tables and queries as JSON.
//!
//! `cargo run -p mmpipe-corpora --example scan -- EEGMat FOLDER [MAPPING.toml]`, or `bids FOLDER`.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use mmpipe_corpora::{Filter, registry, scan, scan_bids};
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dataset), Some(folder)) = (args.next(), args.next()) else {
        return Err("expected a data set (or `bids`) and a folder".into());
    };
    let found = if dataset == "bids" {
        scan_bids(folder.as_ref(), None, &Filter::default())?
    } else {
        let all = registry::builtin()?;
        let mut manifest = registry::find(&all, &dataset)?.clone();
        if let Some(mapping) = args.next() {
            manifest = manifest.mapped(&std::fs::read_to_string(&mapping)?, &mapping)?;
        }
        scan(&manifest, folder.as_ref(), &Filter::default())?
    };
    let tables: Map<String, Value> = found
        .tables
        .iter()
        .map(|(name, batch)| (name.clone(), columns(batch)))
        .collect();
    let out = json!({
        "dataset": found.dataset,
        "labels": found.labels,
        "trials_sql": found.trials_sql,
        "streams_sql": found.streams_sql,
        "stimuli_sql": found.stimuli_sql,
        "sounds": found.sounds.keys().collect::<Vec<_>>(),
        "tables": tables,
    });
    println!("{out:#}");
    Ok(())
}

/// Column name to its type and values.
fn columns(batch: &RecordBatch) -> Value {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns: Map<String, Value> = columns
        .map(|(field, array)| {
            let values: Vec<Value> = (0..array.len()).map(|row| cell(array, row)).collect();
            let kind = field.data_type().to_string();
            (
                field.name().clone(),
                json!({"type": kind, "values": values}),
            )
        })
        .collect();
    Value::Object(columns)
}

fn cell(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => json!(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        other => json!(format!("({other})")),
    }
}
