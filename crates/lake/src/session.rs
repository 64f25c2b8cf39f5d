//! The DataFusion session: every table as a listing of its Parquet files, the view
//! `eeg_channels`, and the functions of [`crate::functions`].
//!
//! Folders are only a way to find files: partition values are columns of the files, so a table
//! is registered without partition columns, and a foreign reader of one file sees whole rows.

use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::{Lake, Result, functions, schema, view};

/// Builds a session over `lake`.
pub(crate) fn context(lake: &Lake) -> Result<SessionContext> {
    // Epochs are wide: 8192 of them a batch, the default, would be 800 MB.
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_batch_size(256);
    let options = config.options_mut();
    options.execution.listing_table_ignore_subdirectory = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // A filter on metadata then reads the pages of `eeg` only for the rows that pass.
    options.execution.parquet.pushdown_filters = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .build();
    let ctx = SessionContext::new_with_state(state);
    functions::register(&ctx);
    for table in schema::tables()? {
        let folder = lake.root().join(&table.name);
        let url = ListingTableUrl::parse(file_url(&folder))?;
        let options =
            ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(lake.schema(&table.name)?);
        ctx.register_table(
            table.name.as_str(),
            Arc::new(ListingTable::try_new(config)?),
        )?;
    }
    view::register(&ctx, lake.schema("eeg")?)?;
    Ok(ctx)
}

/// A folder as a URL, with every unusual byte escaped: as a path it would be read as a pattern
/// when it holds `*`, `?` or `[`.
fn file_url(folder: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in folder.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(byte as char),
            b if b.is_ascii_alphanumeric() => url.push(b as char),
            b => url.push_str(&format!("%{b:02X}")),
        }
    }
    url.push('/');
    url
}
