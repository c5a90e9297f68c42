//! The pool that a command is about: its configuration, found and read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_pool::config::{Place, PoolConfig, read};
use campanile_pool::run::config_files;
use campanile_pool::sides::Sides;
use campanile_yaml::{Diagnostic, Diagnostics};

use crate::failure::{Failure, Outcome};
use crate::output::{print_error, stderr_coloured};

/// A configuration that can be used.
pub(crate) struct ThisPool {
    /// Where the user is.
    pub(crate) place: Place,
    /// The files it is in; never empty.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) config: PoolConfig,
    /// What is odd about it and no error.
    pub(crate) warnings: Diagnostics,
}

impl ThisPool {
    /// Reads the files that are meant; everything that is wrong with them at once.
    pub(crate) fn read(given: &[PathBuf]) -> Result<Self, Failure> {
        let place = Place::here().context("there is no working directory")?;
        let files = config_files(given, &place).map_err(Failure::Config)?;
        let (config, warnings) = read(&files, &place);
        match config {
            Some(config) => Ok(Self { place, files, config, warnings }),
            None => Err(Failure::Config(warnings)),
        }
    }

    /// The same, and tells what is odd.
    pub(crate) fn read_aloud(given: &[PathBuf]) -> Result<Self, Failure> {
        let pool = Self::read(given)?;
        print_error(&pool.warnings.render(stderr_coloured()));
        Ok(pool)
    }

    /// Its first file, the one that tools write to.
    pub(crate) fn file(&self) -> &Path {
        &self.files[0]
    }

    /// The directory in which the files that belong to it are looked for first.
    pub(crate) fn beside(&self) -> &Path {
        self.file().parent().unwrap_or(Path::new(""))
    }

    /// Its clouds and its batch system; `dir` is where the local ones are kept.
    pub(crate) async fn sides(&self, dir: &Path) -> Result<Sides, Failure> {
        Sides::open(&self.config, dir).await.map_err(|problems| {
            let mut diagnostics = Diagnostics::new();
            problems.into_iter().for_each(|problem| diagnostics.push(Diagnostic::error(problem)));
            Failure::Config(diagnostics)
        })
    }
}

/// Errors are a failure; what is only odd is told.
pub(crate) fn heed(problems: Diagnostics) -> Outcome {
    if problems.has_errors() {
        return Err(Failure::Config(problems));
    }
    print_error(&problems.render(stderr_coloured()));
    Ok(())
}
