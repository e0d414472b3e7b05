//! What is wrong with a configuration: where, what, and what to write instead. Nothing here ever holds a secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::tree::Spot;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: there is no file.
    Nowhere,
    /// The file as a whole.
    File(Arc<str>),
    /// A line of the file.
    Line {
        /// The file.
        file: Arc<str>,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
    /// An environment variable.
    Variable(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("(no file)"),
            Self::File(file) => f.write_str(file),
            Self::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// Its dotted key (`providers[0].issuer`); empty for the whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, "\n   {}\n   {}", self.what, self.instead)
    }
}

/// Something that is valid, and yet to be thought over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that is wrong with a configuration, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigErrors {
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// What is to be thought over besides.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "\n\n{}. {problem}", index + 1)?;
        }
        Ok(())
    }
}

/// A file that a configuration names, apart from itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The dotted key that names it (`providers[0].client_secret.file`).
    pub key: String,
    /// The file.
    pub path: PathBuf,
}

/// Collects what is found, each thing once.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    is_elsewhere: bool,
    named: Vec<NamedFile>,
}

impl Report {
    /// For a configuration that is looked at where it is not to run: what is to be there is not missed here.
    pub(super) fn elsewhere() -> Self {
        Self { is_elsewhere: true, ..Self::default() }
    }

    /// A file that the configuration names is to be there where it runs.
    pub(super) fn name_file(&mut self, at: &Spot<'_>, path: &Path) {
        self.named.push(NamedFile { key: at.key().to_owned(), path: path.to_owned() });
    }

    /// The files that were named.
    pub(super) fn take_named_files(&mut self) -> Vec<NamedFile> {
        std::mem::take(&mut self.named)
    }

    /// A file or a variable is not here: a mistake, unless the configuration is to run elsewhere.
    pub(super) fn miss(&mut self, problem: Problem) {
        if !self.is_elsewhere {
            self.refuse(problem);
        }
    }

    /// Whether the configuration is to run elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    pub(super) fn refuse(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn warn(&mut self, problem: Problem) {
        let warning = Warning(problem);
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The value and the warnings, if nothing was refused.
    pub(super) fn conclude<T>(mut self, value: Option<T>) -> Result<(T, Vec<Warning>), ConfigErrors> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.warnings)),
            _ => {
                self.problems.sort_by_key(|problem| match &problem.place {
                    Place::Nowhere | Place::File(_) => (0, 0, 0),
                    Place::Line { line, column, .. } => (1, *line, *column),
                    Place::Variable(_) => (2, 0, 0),
                });
                Err(ConfigErrors { problems: self.problems, warnings: self.warnings })
            }
        }
    }
}
