//! Measured electrode positions: electrodes.tsv with its coordsystem.json.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Extras, Index, Meta, read_object};
use crate::manifest::Format;
use crate::scan::note::Note;
use crate::scan::side_car;

/// Electrode positions in metres.
#[derive(Debug, Default)]
pub(in crate::scan) struct Positions {
    /// EEGCoordinateSystem, such as `CapTrak`; axes and origin are its own.
    pub(in crate::scan) system: Option<String>,
    /// Name as in electrodes.tsv to x, y, z.
    pub(in crate::scan) metres: BTreeMap<String, [f32; 3]>,
}

impl Index {
    /// The positions that apply to a recording. Of several spaces the file without the entity
    /// `space` is taken, else the first by name.
    pub(super) fn positions(&self, path: &str, extras: &mut Extras) -> Positions {
        let metas = self.applying(path, "electrodes", "tsv");
        let Some(nearest) = metas.last().map(|m| m.nearness()) else {
            return Positions::default();
        };
        let mut equal: Vec<&&Meta> = metas.iter().filter(|m| m.nearness() == nearest).collect();
        equal.sort_by_key(|m| m.entities.get("space").cloned());
        let Some(chosen) = equal.first() else {
            return Positions::default();
        };
        if equal.len() > 1 {
            extras.notes.push(Note::remark(
                path,
                "several-electrode-spaces",
                format!(
                    "{} electrodes.tsv apply; {} is used",
                    equal.len(),
                    chosen.path
                ),
            ));
        }
        let space = chosen.entities.get("space");
        let mut coordinates = serde_json::Map::new();
        for meta in self.applying(path, "coordsystem", "json") {
            if !meta.entities.contains_key("space") || meta.entities.get("space") == space {
                coordinates.extend(read_object(meta, extras));
            }
        }
        let text = |key: &str| coordinates.get(key).and_then(Value::as_str);
        let unit = text("EEGCoordinateUnits");
        let metres = match unit {
            Some("m") => 1.0,
            Some("cm") => 1e-2,
            Some("mm") => 1e-3,
            other => {
                extras.notes.push(Note::warning(
                    path,
                    "electrode-unit-unknown",
                    format!(
                        "EEGCoordinateUnits: expected m, cm or mm, found {}; the positions of {} are left out",
                        other.unwrap_or("nothing"),
                        chosen.path
                    ),
                ));
                return Positions::default();
            }
        };
        let read = side_car::read_cells(&chosen.full, &chosen.path, Format::Tsv, &mut extras.notes);
        let rows = match read {
            Ok(rows) => rows,
            Err(why) => {
                extras.broken.push((chosen.path.clone(), why));
                return Positions::default();
            }
        };
        let mut found = Positions {
            system: text("EEGCoordinateSystem").map(str::to_owned),
            metres: BTreeMap::new(),
        };
        for row in rows {
            let cell = |name: &str| {
                let (_, value) = row.iter().find(|(c, _)| c == name)?;
                value.as_deref()
            };
            let axis = |name: &str| {
                let value: f64 = cell(name)?.parse().ok()?;
                value.is_finite().then_some((value * metres) as f32)
            };
            if let (Some(name), Some(x), Some(y), Some(z)) =
                (cell("name"), axis("x"), axis("y"), axis("z"))
            {
                found.metres.entry(name.to_owned()).or_insert([x, y, z]);
            }
        }
        found
    }
}
