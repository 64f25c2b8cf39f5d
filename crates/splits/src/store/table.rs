//! The lake's table `splits`: one row an epoch, fold and role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Int32Type, UInt64Type};
use mmpipe_lake::Lake;

use super::read::{Columns, quoted};
use super::{Split, folder};
use crate::{Assignment, Error, Protocol, Result};

/// Writes a split's rows, replacing the partition.
pub(super) fn write(lake: &Lake, split: &Split, subjects: &BTreeMap<u64, &str>) -> Result<()> {
    let rows = &split.assignments;
    let same = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            value,
            rows.len(),
        )))
    };
    let subject = |a: &Assignment| subjects.get(&a.epoch_id).copied().unwrap_or_default();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("split", same(&split.name)),
        ("protocol", same(split.protocol.name())),
        ("dataset", same(&split.dataset)),
        (
            "subject",
            Arc::new(StringArray::from_iter_values(rows.iter().map(subject))),
        ),
        (
            "fold",
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|a| a.fold))),
        ),
        (
            "role",
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|a| a.role.name()),
            )),
        ),
        (
            "epoch_id",
            Arc::new(UInt64Array::from_iter_values(
                rows.iter().map(|a| a.epoch_id),
            )),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(mmpipe_lake::Error::from)?;
    mmpipe_lake::write_table(lake, "splits", &[("split", &split.name)], &[batch])?;
    Ok(())
}

/// Reads a split's rows, sorted, with the protocol and data set that they name.
pub(super) async fn read(lake: &Lake, name: &str) -> Result<(Vec<Assignment>, Protocol, String)> {
    let sql = format!(
        "SELECT protocol, dataset, fold, role, epoch_id FROM splits WHERE split = {}",
        quoted(name)
    );
    let mut assignments = Vec::new();
    let mut kinds: BTreeSet<(String, String)> = BTreeSet::new();
    for batch in lake.query(&sql).await? {
        let columns = Columns { batch: &batch };
        let (protocol, dataset) = (columns.text("protocol")?, columns.text("dataset")?);
        let role = columns.text("role")?;
        let fold = columns.of("fold", &DataType::Int32)?;
        let id = columns.of("epoch_id", &DataType::UInt64)?;
        for i in 0..batch.num_rows() {
            let text = |array: &ArrayRef| array.as_string::<i32>().value(i).to_owned();
            kinds.insert((text(&protocol), text(&dataset)));
            assignments.push(Assignment {
                fold: fold.as_primitive::<Int32Type>().value(i),
                role: text(&role).parse()?,
                epoch_id: id.as_primitive::<UInt64Type>().value(i),
            });
        }
    }
    let mut kinds = kinds.into_iter();
    match (kinds.next(), kinds.next()) {
        (Some((protocol, dataset)), None) => {
            assignments.sort_unstable();
            Ok((assignments, protocol.parse()?, dataset))
        }
        (found, _) => Err(Error::Stored {
            path: folder(lake, name)?,
            message: match found {
                None => "the split's table has no rows; make the split again".to_owned(),
                Some(_) => {
                    "the split's table names several protocols or data sets; make the split again"
                        .to_owned()
                }
            },
        }),
    }
}
