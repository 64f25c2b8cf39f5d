//! `balanced_accuracy(label, predicted)` and `weighted_f1(label, predicted)`.
//!
//! The state is the sparse confusion table, so partial aggregates merge exactly. Rows in which
//! either side is null are left out; no row at all gives null.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};
use mmpipe_eval::metrics::Confusion;

type Score = fn(&Confusion) -> Option<f64>;

/// The aggregates.
pub(super) fn all() -> [AggregateUDF; 2] {
    [
        aggregate("balanced_accuracy", Confusion::balanced_accuracy),
        aggregate("weighted_f1", Confusion::weighted_f1),
    ]
}

fn aggregate(name: &str, score: Score) -> AggregateUDF {
    create_udaf(
        name,
        vec![DataType::Int32, DataType::Int32],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(move |_| {
            Ok(Box::new(Scored {
                confusion: Confusion::new(),
                score,
            }))
        }),
        Arc::new(vec![cells_type()]),
    )
}

/// Cells as label, predicted, count, label, predicted, count and so on.
fn cells_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))
}

#[derive(Debug)]
struct Scored {
    confusion: Confusion,
    score: Score,
}

fn bad_state() -> DataFusionError {
    DataFusionError::Internal("a confusion state is not a list of label, predicted, count".into())
}

impl Accumulator for Scored {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [labels, predicted] = values else {
            return Err(DataFusionError::Plan("expected label and predicted".into()));
        };
        let labels = labels.as_primitive::<Int32Type>();
        let predicted = predicted.as_primitive::<Int32Type>();
        for (label, predicted) in labels.iter().zip(predicted) {
            if let (Some(label), Some(predicted)) = (label, predicted) {
                self.confusion.add(label, predicted);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: &ListArray = states
            .first()
            .and_then(|s| s.as_list_opt())
            .ok_or_else(bad_state)?;
        for cells in lists.iter().flatten() {
            let cells = cells
                .as_primitive_opt::<Int64Type>()
                .ok_or_else(bad_state)?;
            for cell in cells.values().chunks(3) {
                let &[label, predicted, count] = cell else {
                    return Err(bad_state());
                };
                let small = |v: i64| i32::try_from(v).map_err(|_| bad_state());
                let count = u64::try_from(count).map_err(|_| bad_state())?;
                self.confusion
                    .add_n(small(label)?, small(predicted)?, count);
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let cells: Int64Array = self
            .confusion
            .cells()
            .flat_map(|(l, p, n)| {
                [
                    i64::from(l),
                    i64::from(p),
                    i64::try_from(n).unwrap_or(i64::MAX),
                ]
            })
            .collect::<Vec<_>>()
            .into();
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([cells.len()]);
        let list = ListArray::try_new(field, offsets, Arc::new(cells), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.score)(&self.confusion)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.confusion.cells().count() * 24
    }
}
