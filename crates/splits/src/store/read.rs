//! The lake's epochs as rows: keys and labels only, no sample is read.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, UInt64Type};
use mmpipe_lake::Lake;

use crate::{AudioOnly, Error, Heard, Result, Row, audio_only};

/// Epochs of one data set under one recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) dataset: String,
    pub(super) recipe: String,
}

/// A value inside a SQL string.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Finds a data set in the lake, by its name in any case, and the recipe to use.
pub(super) async fn source(lake: &Lake, dataset: &str, recipe: Option<&str>) -> Result<Source> {
    let batches = lake
        .query("SELECT DISTINCT dataset, recipe FROM eeg ORDER BY dataset, recipe")
        .await?;
    let mut found: Vec<(String, String)> = Vec::new();
    for batch in &batches {
        let columns = Columns { batch };
        let (datasets, recipes) = (columns.text("dataset")?, columns.text("recipe")?);
        found.extend(
            (0..batch.num_rows()).filter_map(|i| Some((text(&datasets, i)?, text(&recipes, i)?))),
        );
    }
    let mut names: Vec<&str> = found.iter().map(|(d, _)| d.as_str()).collect();
    names.dedup();
    let exact = names.iter().find(|name| **name == dataset);
    let name = exact.or_else(|| names.iter().find(|name| name.eq_ignore_ascii_case(dataset)));
    let Some(name) = name else {
        let known = if names.is_empty() {
            String::new()
        } else {
            format!("; it has {}", names.join(", "))
        };
        return Err(Error::NoEpochs {
            dataset: dataset.to_owned(),
            known,
        });
    };
    let recipes: Vec<&str> = found
        .iter()
        .filter(|(d, _)| d == name)
        .map(|(_, r)| r.as_str())
        .collect();
    let chosen = match (recipe, recipes.as_slice()) {
        (Some(wanted), known) => known.iter().find(|r| **r == wanted),
        (None, [only]) => Some(only),
        (None, several) => several.iter().find(|r| **r == "mindmix"),
    };
    match chosen {
        Some(recipe) => Ok(Source {
            dataset: (*name).to_owned(),
            recipe: (*recipe).to_owned(),
        }),
        None => Err(Error::Recipes {
            dataset: (*name).to_owned(),
            recipes: recipes.join(", "),
        }),
    }
}

/// All epochs of a data set, sorted by key; a data set in several recipes gives those of
/// `recipe`, or of `mindmix` when none is named.
///
/// # Errors
/// When the data set is not in the lake or a column is not what the schema says.
pub async fn rows(lake: &Lake, dataset: &str, recipe: Option<&str>) -> Result<Vec<Row>> {
    rows_of(lake, &source(lake, dataset, recipe).await?).await
}

/// What the sound alone tells of a data set's epochs, as [`audio_only_in`] says, of the data set with
/// this name in any case and the recipe that is meant where none is named.
///
/// # Errors
/// [`Error::Recipes`] where several could be meant, else as [`audio_only_in`].
pub async fn audio_only_of(lake: &Lake, dataset: &str) -> Result<Option<AudioOnly>> {
    match source(lake, dataset, None).await {
        Ok(source) => audio_only_in(lake, &source.dataset, &source.recipe).await,
        Err(Error::NoEpochs { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What the sound alone tells of a data set's epochs, as [`audio_only()`], by the names that the lake
/// has; `None` also where it does not hold them.
///
/// # Errors
/// When a column is not what the schema says.
pub async fn audio_only_in(lake: &Lake, dataset: &str, recipe: &str) -> Result<Option<AudioOnly>> {
    // Without a sound or a content nothing is asked, and most data sets have neither.
    let paired = "(content_id IS NOT NULL OR cardinality(stimuli) > 0)";
    let source = Source {
        dataset: dataset.to_owned(),
        recipe: recipe.to_owned(),
    };
    Ok(audio_only(&rows_where(lake, &source, paired).await?))
}

pub(super) async fn rows_of(lake: &Lake, source: &Source) -> Result<Vec<Row>> {
    let rows = rows_where(lake, source, "true").await?;
    if rows.is_empty() {
        return Err(Error::NoEpochs {
            dataset: source.dataset.clone(),
            known: String::new(),
        });
    }
    Ok(rows)
}

async fn rows_where(lake: &Lake, source: &Source, condition: &str) -> Result<Vec<Row>> {
    let known = known(lake, source).await?;
    let sql = format!(
        "SELECT epoch_id, dataset, subject, session, run, recording_id, trial, epoch, onset, sfreq, \
         label, label_name, content_id, stimuli FROM eeg WHERE dataset = {} AND recipe = {} \
         AND {condition} ORDER BY epoch_id",
        quoted(&source.dataset),
        quoted(&source.recipe)
    );
    let times = times(lake)?;
    let mut rows = Vec::new();
    for batch in lake.query(&sql).await? {
        let columns = Columns { batch: &batch };
        let id = columns.of("epoch_id", &DataType::UInt64)?;
        let (dataset, subject) = (columns.text("dataset")?, columns.text("subject")?);
        let (session, run) = (columns.text("session")?, columns.text("run")?);
        let recording = columns.text("recording_id")?;
        let trial = columns.of("trial", &DataType::Int32)?;
        let epoch = columns.of("epoch", &DataType::Int32)?;
        let onset = columns.of("onset", &DataType::Float64)?;
        let sfreq = columns.of("sfreq", &DataType::Float64)?;
        let label = columns.of("label", &DataType::Int32)?;
        let (label_name, content) = (columns.text("label_name")?, columns.text("content_id")?);
        let stimuli = columns.stimuli(&known)?;
        let int = |array: &ArrayRef, i: usize| array.as_primitive::<Int32Type>().value(i);
        let float = |array: &ArrayRef, i: usize| array.as_primitive::<Float64Type>().value(i);
        for (i, heard) in stimuli.into_iter().enumerate() {
            let mut stimuli: Vec<String> = heard.iter().map(|h| h.sound.clone()).collect();
            stimuli.sort_unstable();
            stimuli.dedup();
            rows.push(Row {
                epoch_id: id.as_primitive::<UInt64Type>().value(i),
                dataset: text(&dataset, i).unwrap_or_default(),
                subject: text(&subject, i).unwrap_or_default(),
                session: text(&session, i),
                run: text(&run, i),
                recording: text(&recording, i).unwrap_or_default(),
                trial: int(&trial, i),
                epoch: int(&epoch, i),
                onset: float(&onset, i),
                seconds: times as f64 / float(&sfreq, i),
                label: label.is_valid(i).then(|| int(&label, i)),
                label_name: text(&label_name, i),
                content_id: text(&content, i),
                stimuli,
                heard,
            });
        }
    }
    Ok(rows)
}

/// What table `stimuli` says of each sound: speaker, gender, side.
type Known = HashMap<String, [Option<String>; 3]>;

async fn known(lake: &Lake, source: &Source) -> Result<Known> {
    let sql = format!(
        "SELECT stimulus_id, speaker, gender, side FROM stimuli WHERE dataset = {} AND recipe = {}",
        quoted(&source.dataset),
        quoted(&source.recipe)
    );
    let mut known = Known::new();
    for batch in lake.query(&sql).await? {
        let columns = Columns { batch: &batch };
        let id = columns.text("stimulus_id")?;
        let [speaker, gender, side] = [
            columns.text("speaker")?,
            columns.text("gender")?,
            columns.text("side")?,
        ];
        for i in 0..batch.num_rows() {
            let values = [text(&speaker, i), text(&gender, i), text(&side, i)];
            known.insert(text(&id, i).unwrap_or_default(), values);
        }
    }
    Ok(known)
}

/// Samples an epoch: the width of the lake's eeg column.
fn times(lake: &Lake) -> Result<i32> {
    let schema = lake.schema("eeg")?;
    let width = schema
        .field_with_name("eeg")
        .ok()
        .and_then(|field| match field.data_type() {
            DataType::List(item) => match item.data_type() {
                DataType::FixedSizeList(_, n) => Some(*n),
                _ => None,
            },
            _ => None,
        });
    width.ok_or_else(|| Error::Stored {
        path: lake.root().join("eeg"),
        message: "expected lists of fixed-size lists in column eeg".to_owned(),
    })
}

fn text(array: &ArrayRef, i: usize) -> Option<String> {
    let array = array.as_string::<i32>();
    array.is_valid(i).then(|| array.value(i).to_owned())
}

/// A batch's columns under the types that this crate reads.
pub(super) struct Columns<'a> {
    pub(super) batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn wrong(&self, name: &str, message: String) -> Error {
        mmpipe_lake::Error::Column {
            table: "eeg".into(),
            column: name.into(),
            message,
        }
        .into()
    }

    /// A column, cast to `kind`.
    pub(super) fn of(&self, name: &str, kind: &DataType) -> Result<ArrayRef> {
        let column = self.batch.column_by_name(name).ok_or_else(|| {
            self.wrong(name, "expected, but the query gave no such column".into())
        })?;
        cast(column, kind).map_err(|e| self.wrong(name, e.to_string()))
    }

    /// A column of strings (the engine may give views).
    pub(super) fn text(&self, name: &str) -> Result<ArrayRef> {
        self.of(name, &DataType::Utf8)
    }

    /// The sounds of each row in their order, without the grid that a segment's key may carry.
    fn stimuli(&self, known: &Known) -> Result<Vec<Vec<Heard>>> {
        let column = self.batch.column_by_name("stimuli").ok_or_else(|| {
            self.wrong(
                "stimuli",
                "expected, but the query gave no such column".into(),
            )
        })?;
        let lists = column.as_list_opt::<i32>().ok_or_else(|| {
            self.wrong(
                "stimuli",
                format!("expected a list, found {}", column.data_type()),
            )
        })?;
        let mut out = Vec::with_capacity(lists.len());
        for i in 0..lists.len() {
            if lists.is_null(i) {
                out.push(Vec::new());
                continue;
            }
            let items = lists.value(i);
            let field = |name: &str| -> Result<ArrayRef> {
                let field = items.as_struct_opt().and_then(|s| s.column_by_name(name));
                let field = field.ok_or_else(|| {
                    let kind = items.data_type();
                    self.wrong(
                        "stimuli",
                        format!("expected structs with {name}, found {kind}"),
                    )
                })?;
                cast(field, &DataType::Utf8).map_err(|e| self.wrong("stimuli", e.to_string()))
            };
            let (ids, roles, sides) = (field("stimulus_id")?, field("role")?, field("side")?);
            let heard = (0..ids.len()).map(|k| {
                let mut sound = text(&ids, k).unwrap_or_default();
                sound.truncate(mmpipe_lake::sound_of(&sound).len());
                let [speaker, gender, side] = known.get(&sound).cloned().unwrap_or_default();
                Heard {
                    sound,
                    role: text(&roles, k).unwrap_or_default(),
                    side: text(&sides, k).or(side),
                    speaker,
                    gender,
                }
            });
            out.push(heard.collect());
        }
        Ok(out)
    }
}
