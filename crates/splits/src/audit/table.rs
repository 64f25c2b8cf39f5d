//! The audit as text for a terminal.

use std::fmt;

use super::{Alone, Audit, KeyAlone};
use crate::Role;

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaky = if self.leaky { "   LEAKY PROTOCOL" } else { "" };
        writeln!(f, "protocol  {}, {} folds{leaky}", self.protocol, self.folds.len())?;
        writeln!(f, "promise   {}", self.promise)?;
        writeln!(f, "holds     {}", if self.holds { "yes" } else { "NO" })?;
        for line in self.broken.iter().take(12) {
            writeln!(f, "          - {line}")?;
        }
        if self.broken.len() > 12 {
            writeln!(f, "          - and {} more", self.broken.len() - 12)?;
        }
        writeln!(f)?;
        self.counts_table(f)?;
        writeln!(f)?;
        self.roles_table(f)?;
        writeln!(f)?;
        alone_table(f, &self.alone)?;
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
    fn counts_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "epochs", "overlap s", "adjacent", "near", "trials", "recordings", "sessions",
            "subjects", "sounds", "content",
        ];
        write!(f, "shared     fold  {:<10}", "sides")?;
        for name in head {
            write!(f, " {name:>10}")?;
        }
        writeln!(f)?;
        for fold in &self.folds {
            for pair in &fold.pairs {
                write!(f, "           {:>4}  {:<10}", fold.fold, format!("{}/{}", pair.a, pair.b))?;
                for (name, count) in pair.counts() {
                    let text = match count {
                        None => "–".to_owned(),
                        Some(seconds) if name == "overlapping seconds" => format!("{seconds:.1}"),
                        Some(n) => format!("{n:.0}"),
                    };
                    write!(f, " {text:>10}")?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }

    fn roles_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "parts      fold  {:<6} {:>8} {:>8} {:>10} {:>8}  labels",
            "role", "epochs", "trials", "recordings", "subjects"
        )?;
        for fold in &self.folds {
            for role in Role::ALL {
                let Some(r) = fold.roles.get(&role) else { continue };
                let labels: Vec<String> = r
                    .labels
                    .iter()
                    .map(|(label, n)| {
                        let name = self.classes.get(label).cloned();
                        format!("{} {n}", name.unwrap_or_else(|| label.to_string()))
                    })
                    .collect();
                writeln!(
                    f,
                    "           {:>4}  {role:<6} {:>8} {:>8} {:>10} {:>8}  {}",
                    fold.fold,
                    r.epochs,
                    r.trials,
                    r.recordings,
                    r.subjects,
                    labels.join(", ")
                )?;
            }
        }
        Ok(())
    }
}

fn alone_table(f: &mut fmt::Formatter<'_>, alone: &Alone) -> fmt::Result {
    writeln!(
        f,
        "knowing only       balanced accuracy   chance   seen in training   (mean over folds)"
    )?;
    let rows = [
        ("the content", alone.content),
        ("the trial", alone.trial),
        ("the recording", alone.recording),
        ("the subject", alone.subject),
    ];
    for (name, key) in rows {
        match key {
            Some(KeyAlone { balanced_accuracy, chance, seen_share, .. }) => writeln!(
                f,
                "{name:<18} {balanced_accuracy:>17.3} {chance:>8.3} {:>16.0} %",
                100.0 * seen_share
            )?,
            None => writeln!(f, "{name:<18} {:>17} {:>8} {:>18}", "–", "–", "–")?,
        }
    }
    Ok(())
}
