//! The layout decision: how epochs should lie in Parquet.
//!
//! One shard of 300 epochs of 64 channels × 400 samples (31 MB of z-scored noise) is written in
//! each layout, read by rows in shuffled order with one thread, and read whole through SQL.
//! Sizes go to stderr. The table made from a run is in the crate's README.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, ListArray, RecordBatch, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use mmpipe_lake::layout::SampleColumn;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

const EPOCHS: usize = 300;
const CHANNELS: usize = 64;
const TIMES: usize = 400;
const BYTES: u64 = (EPOCHS * CHANNELS * TIMES * 4) as u64;

#[derive(Clone, Copy)]
struct Layout {
    name: &'static str,
    nested: bool,
    shuffled_bytes: bool,
    compression: Compression,
    page_per_row: bool,
}

fn layouts() -> Vec<Layout> {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let base = Layout {
        name: "nested plain/none, page a row",
        nested: true,
        shuffled_bytes: false,
        compression: Compression::UNCOMPRESSED,
        page_per_row: true,
    };
    vec![
        base,
        Layout {
            name: "nested plain/none, 1 MB pages",
            page_per_row: false,
            ..base
        },
        Layout {
            name: "nested plain/lz4, page a row",
            compression: Compression::LZ4_RAW,
            ..base
        },
        Layout {
            name: "nested bss/zstd, page a row",
            shuffled_bytes: true,
            compression: zstd,
            ..base
        },
        Layout {
            name: "nested bss/zstd, 1 MB pages",
            shuffled_bytes: true,
            compression: zstd,
            page_per_row: false,
            ..base
        },
        Layout {
            name: "flat plain/none, page a row",
            nested: false,
            ..base
        },
        Layout {
            name: "flat bss/zstd, page a row",
            nested: false,
            shuffled_bytes: true,
            compression: zstd,
            ..base
        },
    ]
}

/// Filtered-looking z-scored noise: a first-order low-pass over white noise.
fn samples() -> Vec<f32> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut low = 0.0_f64;
    (0..EPOCHS * CHANNELS * TIMES)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let white = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            low = 0.8 * low + 0.2 * white;
            (low * 10.0) as f32
        })
        .collect()
}

fn batch(nested: bool, values: &[f32]) -> RecordBatch {
    let item = |kind| Arc::new(Field::new("item", kind, false));
    let values: ArrayRef = Arc::new(Float32Array::from(values.to_vec()));
    let (rows, length): (ArrayRef, usize) = if nested {
        (
            Arc::new(FixedSizeListArray::new(
                item(DataType::Float32),
                TIMES as i32,
                values,
                None,
            )),
            CHANNELS,
        )
    } else {
        (values, CHANNELS * TIMES)
    };
    let field = item(rows.data_type().clone());
    let list = ListArray::new(
        field.clone(),
        OffsetBuffer::from_lengths(vec![length; EPOCHS]),
        rows,
        None,
    );
    let schema = Schema::new(vec![
        Field::new("epoch_id", DataType::UInt64, false),
        Field::new("eeg", DataType::List(field), false),
    ]);
    let ids = UInt64Array::from_iter_values(0..EPOCHS as u64);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(list)]).unwrap()
}

fn write(path: &Path, layout: Layout, batch: &RecordBatch) -> u64 {
    let mut properties = WriterProperties::builder()
        .set_compression(layout.compression)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(Some(64 << 20))
        .set_encoding(if layout.shuffled_bytes {
            Encoding::BYTE_STREAM_SPLIT
        } else {
            Encoding::PLAIN
        });
    if layout.page_per_row {
        properties = properties.set_data_page_size_limit(1);
    }
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    std::fs::metadata(path).unwrap().len()
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let values = samples();
    let mut files: Vec<(Layout, PathBuf)> = Vec::new();
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Bytes(BYTES)).sample_size(10);
    for (i, layout) in layouts().into_iter().enumerate() {
        let path = dir.path().join(format!("{i}.parquet"));
        let batch = batch(layout.nested, &values);
        let size = write(&path, layout, &batch);
        eprintln!(
            "{}: {:.1} MB of {:.1}",
            layout.name,
            size as f64 / 1e6,
            BYTES as f64 / 1e6
        );
        group.bench_function(layout.name, |b| {
            b.iter(|| write(&path, layout, black_box(&batch)))
        });
        files.push((layout, path));
    }
    group.finish();

    let mut group = c.benchmark_group("rows shuffled");
    group.throughput(Throughput::Bytes(BYTES)).sample_size(10);
    // 7 and 300 have no common factor: every row once, never two in a row.
    let order: Vec<usize> = (0..EPOCHS).map(|i| (i * 7 + 3) % EPOCHS).collect();
    for (layout, path) in &files {
        let column = SampleColumn::open(path, "eeg").unwrap();
        assert_eq!(
            column.direct(),
            layout.page_per_row
                && !layout.shuffled_bytes
                && layout.compression == Compression::UNCOMPRESSED
        );
        let mut out = vec![0.0; CHANNELS * TIMES];
        group.bench_function(layout.name, |b| {
            b.iter(|| {
                for &row in &order {
                    column.read(row, &mut out).unwrap();
                    black_box(&out);
                }
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("SELECT eeg");
    group.throughput(Throughput::Bytes(BYTES)).sample_size(10);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (layout, path) in &files {
        let ctx = SessionContext::new_with_config(
            SessionConfig::new()
                .with_target_partitions(1)
                .with_batch_size(64),
        );
        runtime
            .block_on(ctx.register_parquet(
                "shard",
                path.to_str().unwrap(),
                ParquetReadOptions::default(),
            ))
            .unwrap();
        group.bench_function(layout.name, |b| {
            b.iter(|| {
                runtime.block_on(async {
                    black_box(
                        ctx.sql("SELECT eeg FROM shard")
                            .await
                            .unwrap()
                            .collect()
                            .await
                            .unwrap(),
                    )
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
