//! The audit as text for a terminal, about 100 columns wide.

use std::fmt;

use super::{Alone, Audit, KeyAlone};
use crate::Role;

/// With more folds than this the tables show the largest count over the folds only.
const FOLDS_IN_FULL: usize = 6;
/// Sentences on broken promises that are listed.
const BROKEN_LISTED: usize = 12;

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaky = if self.leaky { ", a leaky protocol" } else { "" };
        writeln!(
            f,
            "protocol  {}, {} folds{leaky}",
            self.protocol,
            self.folds.len()
        )?;
        writeln!(f, "promise   {}", self.promise)?;
        writeln!(f, "holds     {}", if self.holds { "yes" } else { "NO" })?;
        for line in self.broken.iter().take(BROKEN_LISTED) {
            writeln!(f, "          - {line}")?;
        }
        if self.broken.len() > BROKEN_LISTED {
            writeln!(
                f,
                "          - and {} more",
                self.broken.len() - BROKEN_LISTED
            )?;
        }
        let largest = self.folds.len() > FOLDS_IN_FULL;
        let over = if largest {
            ", largest count over the folds"
        } else {
            ""
        };
        writeln!(f, "\nWhat two sides of a fold share{over}")?;
        grid(f, &self.shared(largest))?;
        let over = if largest {
            ", fold 0 as an example"
        } else {
            ""
        };
        writeln!(f, "\nWhat each side holds{over}")?;
        grid(f, &self.parts(largest))?;
        writeln!(
            f,
            "\nWhat knowing an identity alone would reach, mean over folds"
        )?;
        grid(f, &alone(&self.alone))?;
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "note      {note}")?;
        }
        Ok(())
    }
}

impl Audit {
    fn shared(&self, largest: bool) -> Vec<Vec<String>> {
        let head = "fold,sides,epochs,overlap,adjacent,near,trials,recordings,sessions,subjects,sounds,content";
        let mut rows = vec![head.split(',').map(str::to_owned).collect()];
        let text = |name: &str, count: Option<f64>| match count {
            None => "–".to_owned(),
            Some(seconds) if name == "overlapping seconds" => format!("{seconds:.1} s"),
            Some(n) => format!("{n:.0}"),
        };
        if largest {
            for (i, &(a, b)) in Role::PAIRS.iter().enumerate() {
                let pairs: Vec<_> = self.folds.iter().filter_map(|f| f.pairs.get(i)).collect();
                let Some(first) = pairs.first() else { continue };
                let mut row = vec!["all".to_owned(), format!("{a}/{b}")];
                for (k, (name, _)) in first.counts().into_iter().enumerate() {
                    let most = pairs
                        .iter()
                        .filter_map(|p| p.counts()[k].1)
                        .reduce(f64::max);
                    row.push(text(name, most));
                }
                rows.push(row);
            }
            return rows;
        }
        for fold in &self.folds {
            for pair in &fold.pairs {
                let mut row = vec![fold.fold.to_string(), format!("{}/{}", pair.a, pair.b)];
                row.extend(
                    pair.counts()
                        .into_iter()
                        .map(|(name, count)| text(name, count)),
                );
                rows.push(row);
            }
        }
        rows
    }

    fn parts(&self, first_only: bool) -> Vec<Vec<String>> {
        let head = "fold,side,epochs,trials,recordings,subjects,labels";
        let mut rows = vec![head.split(',').map(str::to_owned).collect()];
        for fold in self
            .folds
            .iter()
            .take(if first_only { 1 } else { self.folds.len() })
        {
            for (role, r) in &fold.roles {
                let labels = r.labels.iter().map(|(label, n)| {
                    let name = self.classes.get(label).cloned();
                    format!("{} {n}", name.unwrap_or_else(|| label.to_string()))
                });
                let labels: Vec<String> = labels.collect();
                let counts = [r.epochs, r.trials, r.recordings, r.subjects];
                let mut row = vec![fold.fold.to_string(), role.to_string()];
                row.extend(counts.iter().map(u64::to_string));
                row.push(labels.join(", "));
                rows.push(row);
            }
        }
        rows
    }
}

fn alone(alone: &Alone) -> Vec<Vec<String>> {
    let head = ",which,balanced accuracy,chance,test epochs seen in training";
    let mut rows = vec![head.split(',').map(str::to_owned).collect()];
    let heard = [
        ("sounds", alone.sounds),
        ("attended", alone.attended),
        ("speaker", alone.speaker),
        ("side", alone.side),
    ];
    let heard = heard.into_iter().filter(|(_, key)| key.is_some());
    for (name, key) in [("content", alone.content)]
        .into_iter()
        .chain(heard)
        .chain([
            ("trial", alone.trial),
            ("recording", alone.recording),
            ("subject", alone.subject),
        ])
    {
        let cells = match key {
            Some(KeyAlone {
                balanced_accuracy,
                chance,
                seen_share,
                ..
            }) => [
                format!("{balanced_accuracy:.3}"),
                format!("{chance:.3}"),
                format!("{:.0} %", 100.0 * seen_share),
            ],
            None => ["–", "–", "–"].map(str::to_owned),
        };
        let mut row = vec![String::new(), name.to_owned()];
        row.extend(cells);
        rows.push(row);
    }
    rows
}

/// Writes rows in columns: the second and a last one named `labels` to the left, others right.
fn grid(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|t| t.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::from("  ");
        for (c, (text, &width)) in row.iter().zip(&widths).enumerate() {
            let left = c == 1 || rows[0].get(c).is_some_and(|head| head == "labels");
            let gap = if c == 0 || width == 0 { "" } else { "  " };
            line.push_str(gap);
            line.push_str(&if left {
                format!("{text:<width$}")
            } else {
                format!("{text:>width$}")
            });
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
