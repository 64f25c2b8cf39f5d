//! What the lake knows by name: data sets, the recipes that they share, their epochs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use mmpipe_lake::Lake;

/// Recipe that is taken among several.
const RECIPE: &str = "mindmix";

/// The lake's own names of the data sets asked for.
pub(super) async fn stored(lake: &Lake, asked: &[String]) -> Result<BTreeSet<String>> {
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let have = texts(
        lake,
        "SELECT DISTINCT dataset FROM recordings WHERE status = 'ok' ORDER BY 1",
    );
    let have = have.await?;
    let mut out = BTreeSet::new();
    for name in asked {
        match have.iter().find(|h| h.eq_ignore_ascii_case(name)) {
            Some(found) => out.insert(found.clone()),
            None => bail!(
                "data set {name} is not in the lake; there is {}",
                have.join(", ")
            ),
        };
    }
    Ok(out)
}

/// The only recipe of these data sets, or [`RECIPE`] among several that all have.
pub(super) async fn common_recipe(lake: &Lake, datasets: &[String]) -> Result<String> {
    let mut common: Option<BTreeSet<String>> = None;
    for dataset in datasets {
        let quoted = dataset.replace('\'', "''");
        let sql = format!(
            "SELECT DISTINCT recipe FROM recordings WHERE status = 'ok' AND dataset = '{quoted}'"
        );
        let own: BTreeSet<String> = texts(lake, &sql).await?.into_iter().collect();
        common = Some(match common {
            None => own,
            Some(before) => before.intersection(&own).cloned().collect(),
        });
    }
    let common = common.unwrap_or_default();
    match common.iter().collect::<Vec<_>>().as_slice() {
        [one] => Ok((*one).clone()),
        [] => bail!("the data sets share no recipe; ingest them with the same one"),
        _ if common.contains(RECIPE) => Ok(RECIPE.into()),
        many => {
            let many: Vec<&str> = many.iter().map(|r| r.as_str()).collect();
            bail!(
                "the data sets are there under the recipes {}; name one with --recipe",
                many.join(", ")
            )
        }
    }
}

/// Keys of all epochs by data set, in the lake's order.
pub(super) async fn epochs(
    lake: &Lake,
    datasets: &[&String],
    recipe: &str,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut out = BTreeMap::new();
    for dataset in datasets {
        let sql = format!(
            "SELECT epoch_id FROM eeg WHERE dataset = '{}' AND recipe = '{}' ORDER BY subject, recording_id, trial, epoch",
            dataset.replace('\'', "''"),
            recipe.replace('\'', "''")
        );
        let mut ids: Vec<u64> = Vec::new();
        for batch in lake.query(&sql).await? {
            ids.extend(batch.column(0).as_primitive::<UInt64Type>().values());
        }
        if !ids.is_empty() {
            out.insert((*dataset).clone(), ids);
        }
    }
    Ok(out)
}

/// The first column of a query, as text.
async fn texts(lake: &Lake, sql: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for batch in lake.query(sql).await? {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
        out.extend(
            column
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned),
        );
    }
    Ok(out)
}
