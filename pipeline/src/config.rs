//! Where a configuration value comes from: defaults, then the file, then the environment, then
//! what was typed. Later layers win, and every value remembers its layer.
//!
//! Owns the layering only; what the keys mean is defined by the crate that reads them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// The file that is read when none is named and it exists.
pub(crate) const DEFAULT_FILE: &str = "mmpipe.toml";

/// Prefix of the environment layer: `MMPIPE_TRAIN__EPOCHS=30` sets `train.epochs`, and
/// `MMPIPE_PRETRAIN__STEPS__LR=1e-3` sets `pretrain.steps.lr`.
const ENV_PREFIX: &str = "MMPIPE_";

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The built-in default
    Default,
    /// A configuration file
    File(PathBuf),
    /// An environment variable
    Environment(String),
    /// A flag
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Values by dotted key, each with its origin. The defaults say which keys exist and of what type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    /// Keys that exist but have no default, with a value of their type.
    optional: BTreeMap<String, Value>,
}

impl Layers {
    /// The bottom layer: a table under the section `section`.
    pub(crate) fn defaults(section: &str, table: &Table) -> Self {
        let mut layers = Layers::default();
        flatten(section, table, &mut |key, value| {
            layers.values.insert(key, (value, Origin::Default));
        });
        layers
    }

    /// Another section of the bottom layer.
    pub(crate) fn and(mut self, section: &str, table: &Table) -> Self {
        self.values.extend(Self::defaults(section, table).values);
        self
    }

    /// Whether there is a section of this name.
    fn has_section(&self, section: &str) -> bool {
        let within = |key: &String| key.split('.').next() == Some(section);
        self.values.keys().any(within)
    }

    /// Lets a key be set that has no default; `example` shows its type.
    pub(crate) fn allow(&mut self, key: &str, example: Value) {
        if !self.values.contains_key(key) {
            self.optional.insert(key.to_owned(), example);
        }
    }

    /// Lays a file over what is there. An unknown key is an error that lists the known ones.
    pub(crate) fn file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        let table: Table = text
            .parse()
            .with_context(|| format!("{} is not valid TOML", path.display()))?;
        let mut pairs = Vec::new();
        for (name, value) in &table {
            match value {
                Value::Table(inner) => flatten(name, inner, &mut |k, v| pairs.push((k, v))),
                other => pairs.push((name.clone(), other.clone())),
            }
        }
        for (key, value) in pairs {
            self.set(&key, value, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }

    /// Lays the environment over what is there.
    pub(crate) fn environment(
        &mut self,
        vars: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        let mut vars: Vec<_> = vars
            .filter_map(|(name, text)| {
                let rest = name.strip_prefix(ENV_PREFIX)?.to_lowercase();
                let (section, _) = rest.split_once("__")?;
                let known = self.has_section(section);
                known.then(|| (rest.replace("__", "."), name, text))
            })
            .collect();
        vars.sort();
        for (key, name, text) in vars {
            let value = self
                .parse(&key, &text)
                .with_context(|| format!("environment variable {name}"))?;
            self.set(&key, value, Origin::Environment(name))?;
        }
        Ok(())
    }

    /// Lays one `--set key=value` over what is there.
    pub(crate) fn flag(&mut self, pair: &str) -> Result<()> {
        let Some((key, text)) = pair.split_once('=') else {
            bail!("--set expects KEY=VALUE, found `{pair}`");
        };
        let value = self.parse(key.trim(), text.trim())?;
        self.set(key.trim(), value, Origin::Flag(format!("--set {pair}")))
    }

    /// Sets one value, of the type that its default has.
    pub(crate) fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<()> {
        let Some(old) = self
            .values
            .get(key)
            .map(|(old, _)| old)
            .or(self.optional.get(key))
        else {
            // Those of its section, where it has one.
            let section = key.split('.').next().filter(|s| self.has_section(s));
            let known: Vec<_> = self
                .values
                .keys()
                .chain(self.optional.keys())
                .map(String::as_str)
                .filter(|k| section.is_none_or(|s| k.split('.').next() == Some(s)))
                .collect();
            bail!(
                "unknown configuration key `{key}` ({origin}); known keys: {}",
                known.join(", ")
            );
        };
        let value = match (old, value) {
            (Value::Float(_), Value::Integer(i)) => Value::Float(i as f64),
            (_, value) => value,
        };
        if old.type_str() != value.type_str() {
            bail!(
                "`{key}` expects {}, found {} ({origin})",
                old.type_str(),
                value.type_str()
            );
        }
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    /// All keys in order, with value and origin.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.values.iter().map(|(k, (v, o))| (k.as_str(), v, o))
    }

    /// One section back as a table, for serde.
    pub(crate) fn section(&self, section: &str) -> Table {
        let mut root = Table::new();
        let prefix = format!("{section}.");
        for (key, (value, _)) in &self.values {
            if let Some(rest) = key.strip_prefix(&prefix) {
                insert(&mut root, rest, value.clone());
            }
        }
        root
    }

    fn parse(&self, key: &str, text: &str) -> Result<Value> {
        let known = self.values.get(key).map(|(value, _)| value);
        if matches!(known.or(self.optional.get(key)), Some(Value::String(_))) {
            return Ok(Value::String(text.trim_matches('"').to_owned()));
        }
        let parsed: std::result::Result<Table, _> = format!("v = {text}").parse();
        match parsed.ok().and_then(|mut t| t.remove("v")) {
            Some(value) => Ok(value),
            None => Ok(Value::String(text.to_owned())),
        }
    }
}

fn flatten(prefix: &str, table: &Table, each: &mut dyn FnMut(String, Value)) {
    for (name, value) in table {
        let key = format!("{prefix}.{name}");
        match value {
            Value::Table(inner) => flatten(&key, inner, each),
            other => each(key, other.clone()),
        }
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = table
                .entry(head)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Layers {
        let defaults: Table = "epochs = 20\nlr = 1e-3\nmodel = 'eegnet'\n[sched]\nwarmup = 2"
            .parse()
            .unwrap();
        Layers::defaults("train", &defaults)
    }

    #[test]
    fn later_layers_win_and_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mmpipe.toml");
        std::fs::write(
            &path,
            "[train]\nepochs = 5\nlr = 1\n[train.sched]\nwarmup = 1\n",
        )
        .unwrap();
        let mut l = layers();
        l.file(&path).unwrap();
        l.environment([("MMPIPE_TRAIN__EPOCHS".to_owned(), "7".to_owned())].into_iter())
            .unwrap();
        l.flag("train.sched.warmup=4").unwrap();
        let t = l.section("train");
        assert_eq!(t["epochs"].as_integer(), Some(7));
        assert_eq!(t["lr"].as_float(), Some(1.0));
        assert_eq!(t["sched"]["warmup"].as_integer(), Some(4));
        let origin = |key: &str| l.iter().find(|(k, ..)| *k == key).unwrap().2.to_string();
        assert_eq!(origin("train.model"), "default");
        assert_eq!(origin("train.epochs"), "environment MMPIPE_TRAIN__EPOCHS");
        assert_eq!(
            origin("train.sched.warmup"),
            "flag --set train.sched.warmup=4"
        );
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused() {
        let mut l = layers();
        let e = l.flag("train.epoch=3").unwrap_err().to_string();
        assert!(
            e.contains("unknown configuration key `train.epoch`") && e.contains("train.epochs"),
            "{e}"
        );
        let e = l.flag("train.epochs=many").unwrap_err().to_string();
        assert!(
            e.contains("`train.epochs` expects integer, found string"),
            "{e}"
        );
        assert!(l.flag("train.epochs").is_err());
    }
}
