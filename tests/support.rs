//! What the end-to-end tests share: the binary, a scratch folder, the real recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The real recordings beside the project, or `None` with a printed reason.
pub(crate) fn real(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/real")
        .join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!(
        "skipped: the real recordings are not here ({})",
        path.display()
    );
    None
}

/// A scratch folder with a lake in it.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        Scratch {
            dir: tempfile::tempdir().expect("a scratch folder"),
        }
    }

    /// One that many tests share and none removes; the next run of the tests replaces it.
    pub(crate) fn kept(name: &str) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let old = base.join(name);
        if old.exists() {
            std::fs::remove_dir_all(&old).expect("the folder of an earlier run");
        }
        let mut builder = tempfile::Builder::new();
        Scratch {
            dir: builder
                .prefix(name)
                .rand_bytes(0)
                .tempdir_in(base)
                .expect("a folder under target"),
        }
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The lake.
    pub(crate) fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    /// The binary with this scratch's lake and no configuration from outside.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmpipe"));
        command.current_dir(self.dir.path()).args(args);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MMPIPE")) {
            command.env_remove(name);
        }
        command
            .env("MMPIPE_LAKE", self.lake())
            .env("COLUMNS", "100");
        command
    }

    /// Runs the binary.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the binary starts");
        Ran::new(args, output, self.dir.path())
    }

    /// Runs the binary, which must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{ran}");
        ran.stdout
    }

    /// As [`Scratch::ok`] with `--json`, parsed.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        let text = self.ok(&args);
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{args:?} printed no JSON ({e}):\n{text}"))
    }

    /// The rows of a query as JSON objects.
    pub(crate) fn sql(&self, query: &str) -> Vec<serde_json::Value> {
        let text = self.ok(&["sql", "--format", "json", query]);
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{query} gave no JSON ({e}):\n{text}"))
    }
}

/// What a call of the binary did. Paths of the scratch folder read `SCRATCH`.
pub(crate) struct Ran {
    pub(crate) args: Vec<String>,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(args: &[&str], output: Output, scratch: &Path) -> Self {
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let resolved = std::fs::canonicalize(scratch).unwrap_or_else(|_| scratch.to_owned());
            text.replace(&*resolved.to_string_lossy(), "SCRATCH")
                .replace(&*scratch.to_string_lossy(), "SCRATCH")
        };
        Ran {
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            code: output.status.code().unwrap_or(-1),
            stdout: clean(output.stdout),
            stderr: clean(output.stderr),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "mmpipe {}", self.args.join(" "))?;
        writeln!(f, "exit code: {}", self.code)?;
        writeln!(
            f,
            "----- stdout\n{}----- stderr\n{}",
            self.stdout, self.stderr
        )
    }
}

/// Every file below a folder with its bytes.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    all
}
