//! `eeg_channels`: one row a channel of an epoch.
//!
//! A table of its own rather than SQL text: the planner does not prune columns below an
//! UNNEST, so a plain view would read every waveform to count channels. Here the plan is made
//! from the columns that a query asks for.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, plan_err};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionContext, ident};

/// Columns of `eeg` that hold one entry a channel, and what the entry is called in the view.
const PER_CHANNEL: [(&str, &str); 4] = [
    ("ch_names", "ch_name"),
    ("eeg", "samples"),
    ("ch_mean", "ch_mean"),
    ("ch_std", "ch_std"),
];

#[derive(Debug)]
struct Channels {
    eeg: Arc<dyn TableProvider>,
    schema: SchemaRef,
}

fn per_channel(name: &str) -> Option<&'static str> {
    PER_CHANNEL
        .iter()
        .find(|(_, view)| *view == name)
        .map(|(eeg, _)| *eeg)
}

/// Registers the view over table `eeg`.
pub(crate) fn register(ctx: &SessionContext, eeg: SchemaRef) -> crate::Result<()> {
    let mut fields = Vec::new();
    for field in eeg.fields() {
        let entry = PER_CHANNEL.iter().find(|(name, _)| name == field.name());
        fields.push(match (entry, field.data_type()) {
            (Some((_, view)), DataType::List(item)) => {
                Arc::new(Field::new(*view, item.data_type().clone(), true))
            }
            _ => field.clone(),
        });
    }
    let table = futures::executor::block_on(ctx.table_provider("eeg"))?;
    let view = Channels {
        eeg: table,
        schema: Arc::new(Schema::new(fields)),
    };
    ctx.register_table("eeg_channels", Arc::new(view))?;
    Ok(())
}

#[async_trait]
impl TableProvider for Channels {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // A filter on columns of the epoch holds for all its channels or none.
        Ok(filters
            .iter()
            .map(|f| {
                match f
                    .column_refs()
                    .iter()
                    .any(|c| per_channel(&c.name).is_some())
                {
                    true => TableProviderFilterPushDown::Unsupported,
                    false => TableProviderFilterPushDown::Exact,
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<String> = match projection {
            Some(indices) => indices
                .iter()
                .map(|&i| self.schema.field(i).name().clone())
                .collect(),
            None => self
                .schema
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect(),
        };
        let mut builder =
            LogicalPlanBuilder::scan("eeg", provider_as_source(self.eeg.clone()), None)?;
        for filter in filters {
            builder = builder.filter(filter.clone())?;
        }
        // The number of rows must not depend on what is asked for: with no per-channel column
        // among them, the names give it.
        let mut lists: Vec<&str> = wanted.iter().filter_map(|n| per_channel(n)).collect();
        if lists.is_empty() {
            lists.push("ch_names");
        }
        let mut below: Vec<Expr> = wanted
            .iter()
            .filter(|n| per_channel(n).is_none())
            .map(ident)
            .collect();
        below.extend(lists.iter().map(|n| ident(*n)));
        builder = builder.project(below)?;
        let columns = lists
            .iter()
            .map(|n| Column::from_qualified_name(format!("eeg.{n}")))
            .collect();
        builder = builder.unnest_columns_with_options(columns, Default::default())?;
        let above = wanted.iter().map(|n| match per_channel(n) {
            Some(eeg) => ident(eeg).alias(n),
            None => ident(n),
        });
        builder = builder
            .project(above.collect::<Vec<_>>())?
            .limit(0, limit)?;
        let plan = builder.build()?;
        if plan.schema().fields().len() != wanted.len() {
            return plan_err!(
                "eeg_channels: planned {} columns for {}",
                plan.schema().fields().len(),
                wanted.len()
            );
        }
        state.create_physical_plan(&plan).await
    }
}
