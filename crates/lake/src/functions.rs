//! SQL functions over waveforms and predictions. The mathematics is in `mmpipe-signal` and
//! `mmpipe-eval`; here it only meets Arrow arrays.

mod aggregates;
mod lists;

use datafusion::prelude::SessionContext;

/// Adds all functions to a session.
pub(crate) fn register(ctx: &SessionContext) {
    ctx.register_udf(lists::zscore());
    ctx.register_udf(lists::bandpower());
    for function in aggregates::all() {
        ctx.register_udaf(function);
    }
}
