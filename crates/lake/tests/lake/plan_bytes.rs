//! The ingest plan survives encoding and decoding and then writes the same bytes.

use crate::common::*;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionContext;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use mmpipe_lake::Lake;
use mmpipe_lake::ingest::{IngestCodec, physical_plan};

#[test]
fn a_decoded_plan_writes_the_same_shards() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let here = Lake::create_or_open(&dir.path().join("here")).unwrap();
    let there = Lake::create_or_open(&dir.path().join("there")).unwrap();
    let asked = request(
        scan(&raw, &files, WHOLE),
        &std::fs::canonicalize(&raw).unwrap(),
    );
    run(&here, asked.clone()).unwrap();

    let (rows, text) = runtime().block_on(async {
        let plan = physical_plan(&there, &asked).await.unwrap();
        let bytes =
            physical_plan_to_bytes_with_extension_codec(plan.clone(), &IngestCodec).unwrap();
        let ctx = SessionContext::new();
        let decoded =
            physical_plan_from_bytes_with_extension_codec(&bytes, &ctx.task_ctx(), &IngestCodec)
                .unwrap();
        let text = displayable(decoded.as_ref()).indent(false).to_string();
        assert_eq!(text, displayable(plan.as_ref()).indent(false).to_string());
        (collect(decoded, ctx.task_ctx()).await.unwrap(), text)
    });
    // One partition a recording under built-in leaf and own interior operators.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert!(
        lines[0].starts_with("WriteShardsExec") && lines[1].starts_with("EpochsExec"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("DataSourceExec") && lines[2].contains("partitions=3"),
        "{text}"
    );
    assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 3);
    let shards = |lake: &Lake| {
        contents(lake.root())
            .into_iter()
            .filter(|(p, _)| p.starts_with("eeg"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shards(&here).len(), 3);
    assert_eq!(shards(&here), shards(&there));
}
