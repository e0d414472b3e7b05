//! A file in a directory of its own, and what loading it says.

use std::path::PathBuf;

use countersign::config::{self, ConfigErrors, Loaded};
use tempfile::TempDir;

/// A provider that nothing is wrong with, on lines of its own.
pub(crate) const PROVIDER: &str = "providers:
  - {id: dex, issuer: https://dex.example.com, client_id: countersign, client_secret: {env: DEX_SECRET}}
";

/// The shortest configuration that is good, with `rest` behind it (from line 4 on).
pub(crate) fn good(rest: &str) -> String {
    format!("public_url: https://mesh.example.com\n{PROVIDER}{rest}")
}

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn load(&self, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        config::load(Some(&self.write("countersign.yaml", text)), environment(variables))
    }

    /// What is said of the file, with its directory left out.
    pub(crate) fn refusal(&self, text: &str, variables: &[(&str, &str)]) -> String {
        match self.load(text, variables) {
            Ok(_) => "(nothing)".to_owned(),
            Err(errors) => self.shorten(&errors.to_string()),
        }
    }

    pub(crate) fn warnings(&self, text: &str, variables: &[(&str, &str)]) -> String {
        let loaded = self.load(text, variables).unwrap_or_else(|errors| panic!("{errors}"));
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        self.shorten(&warnings.join("\n\n"))
    }

    fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

pub(crate) fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let all = [("DEX_SECRET", "s3cret")].into_iter().chain(variables.iter().copied());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>().into_iter()
}

/// What is said of a file with one mistake in it: where, what, what instead.
pub(crate) fn mistake(text: &str) -> Vec<String> {
    mistake_with(text, &[])
}

pub(crate) fn mistake_with(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let said = Home::new().refusal(text, variables);
    let said = said.strip_prefix("the configuration has a mistake:\n\n1. ").unwrap_or(&said);
    said.lines().map(|line| line.trim().to_owned()).collect()
}
