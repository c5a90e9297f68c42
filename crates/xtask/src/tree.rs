//! The files of the project: those that git knows or would take in.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One text file.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All text files of the project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<SourceFile>,
    /// Every path, those of binary files included.
    pub(crate) paths: Vec<String>,
}

impl Tree {
    /// The project that this program was built from.
    pub(crate) fn of_this_project() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().context("the root of the project")?;
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .context("cannot run git")?;
        ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
        let listing = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
        let mut tree = Self { root, ..Self::default() };
        for path in listing.split_terminator('\0') {
            let full = tree.root.join(path);
            if !full.is_file() {
                continue; // deleted, but not yet in git's eyes
            }
            let bytes = std::fs::read(&full).with_context(|| format!("cannot read {path}"))?;
            tree.paths.push(path.to_owned());
            tree.files
                .extend(String::from_utf8(bytes).ok().map(|text| SourceFile { path: path.to_owned(), text }));
        }
        Ok(tree)
    }

    /// A tree made up for a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        Self { root: PathBuf::from("/somewhere/else"), files: files.iter().map(file).collect(), paths }
    }

    /// The text files whose names end so.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(move |file| file.path.ends_with(end))
    }

    /// Whether the path is a file of the project or a directory that holds one.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.paths.iter().any(|known| known == path || known.starts_with(&below))
    }
}
