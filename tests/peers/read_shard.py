"""Reads a lake with pyarrow, DuckDB and Polars and compares what they see.

    python tests/peers/read_shard.py LAKE

Needs pyarrow, duckdb, polars, numpy. No plug-in: tables are Parquet files, every column is in
the file. Folder names repeat some columns, and readers that guess types from folder names would
turn subject '01' into 1, so partition guessing is switched off.
"""

import glob
import sys

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq


def main(lake):
    pattern = f"{lake}/eeg/**/*.parquet"
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        sys.exit(f"no shard under {lake}/eeg")
    keys = ["recording_id", "trial", "epoch"]

    arrow = pq.read_table(f"{lake}/eeg", partitioning=None).sort_by([(k, "ascending") for k in keys])
    print("pyarrow:", arrow.num_rows, "rows;", arrow.schema.field("eeg").type)
    first = np.array(arrow["eeg"][0].as_py(), dtype=np.float32)
    std = np.array(arrow["ch_std"][0].as_py())
    print("first epoch:", first.shape, "mean", float(first.mean()), "std", float(first[std > 0].std()))
    assert first.shape[0] == len(arrow["ch_names"][0])
    assert np.abs(first.mean(axis=1)).max() < 1e-5
    assert np.allclose(first[std > 0].std(axis=1), 1, atol=1e-5)

    duck = duckdb.sql(
        f"SELECT epoch_id, subject, eeg, stimuli FROM read_parquet('{pattern}', hive_partitioning=false) "
        "ORDER BY recording_id, trial, epoch"
    ).fetchall()
    print("duckdb:", len(duck), "rows")
    assert len(duck) == arrow.num_rows
    assert [r[0] for r in duck] == arrow["epoch_id"].to_pylist()
    assert [r[1] for r in duck] == arrow["subject"].to_pylist()
    assert np.array_equal(np.array(duck[0][2], dtype=np.float32), first)

    frame = pl.read_parquet(pattern, hive_partitioning=False).sort(keys)
    print("polars:", frame.height, "rows;", frame.schema["eeg"])
    assert frame["epoch_id"].to_list() == arrow["epoch_id"].to_pylist()
    assert np.array_equal(np.array(frame["eeg"][0].to_list(), dtype=np.float32), first)
    print("all three agree")


if __name__ == "__main__":
    main(sys.argv[1])
