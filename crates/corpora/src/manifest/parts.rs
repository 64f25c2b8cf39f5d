//! Recordings and tables inside files of named arrays (MATLAB, HDF5, NumPy).

use std::collections::BTreeMap;

use mmpipe_formats::tree::TreeSpec;
use serde::Deserialize;

use super::Pattern;

/// A recording inside the files that match. A file may match several rules and so hold several
/// recordings; it must also match a `[[files]]` rule with kind = "signal".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRule {
    /// Matches the whole path of the file.
    pub pattern: Pattern,
    /// Name of the recording within the file, whose `path` in all tables is `file#part`.
    /// Without it the file is this one recording, and keeps its path. With `each`, `$` stands
    /// for the number of the element; without a `part`, the number is the name.
    pub part: Option<String>,
    /// An expression with wildcards (`data{*}`, `event(*)`, `*.*`): every place that it leads to
    /// is a recording. In `tree`, `$` stands for the place, in `part` and `set` for its number
    /// from 1; `$1`, `$2`, ... stand everywhere for what the first, second, ... wildcard is
    /// there: the name of a member, or the number of an element.
    pub each: Option<String>,
    /// Columns of `files` for the recording, such as `run = "train"`; they win over the groups
    /// of the file rule.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Where the samples, the rate and the names of the channels are.
    pub tree: TreeSpec,
}

/// Small variables of files that become rows of a table. Beside its columns the table has
/// `path` (the file's), the named groups of `pattern`, with `each` `part` (the name of the
/// element), and `row` (from 1, in the order of the variables' elements, anew in each file and
/// element). All but `row`, a whole number, are text. Columns of one value are repeated beside
/// longer ones.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeTable {
    /// Table name in SQL.
    pub table: String,
    /// Matches the whole path of the file.
    pub pattern: Pattern,
    /// As in [`PartRule::each`].
    pub each: Option<String>,
    /// What the column `part` says of an element: `$` is its number, which is also what is said
    /// without a `part`; `$1`, `$2`, ... what the wildcards are.
    pub part: Option<String>,
    /// What to do where a file cannot be read so; added to the diagnostic.
    pub remedy: Option<String>,
    /// Column name to the expression that gives its values; `$` stands for the element of `each`.
    pub columns: BTreeMap<String, String>,
    /// Columns that say where something begins: of rows in which they all stay the same, only the
    /// first is kept. For columns of one value a sample. Without it every row is kept.
    #[serde(default)]
    pub changes: Vec<String>,
}
