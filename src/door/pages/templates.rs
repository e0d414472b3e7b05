//! The templates: those built in, and an operator's in front of them. A template that fails while the gateway runs gives
//! way to the built-in one.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, Value};
use thiserror::Error;
use tracing::error;

/// The name and text of each built-in template.
const BUILT_IN: &[(&str, &str)] = &[
    ("base.html", include_str!("../../../templates/base.html")),
    ("style.css", include_str!("../../../templates/style.css")),
    ("choose_provider.html", include_str!("../../../templates/choose_provider.html")),
    ("sign_in.html", include_str!("../../../templates/sign_in.html")),
    ("sign_in_framed.html", include_str!("../../../templates/sign_in_framed.html")),
    ("signed_out.html", include_str!("../../../templates/signed_out.html")),
    ("sign_out.html", include_str!("../../../templates/sign_out.html")),
    ("sessions.html", include_str!("../../../templates/sessions.html")),
    ("forbidden.html", include_str!("../../../templates/forbidden.html")),
    ("error.html", include_str!("../../../templates/error.html")),
];

/// What is wrong with the operator's templates (`pages.templates`).
#[derive(Debug, Error)]
pub enum PageError {
    /// The directory or a file in it cannot be read.
    #[error("{path}: {reason}", path = path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// A file replaces nothing: most likely its name is misspelt.
    #[error("{path} replaces no template: {known} can be replaced, and a name that starts with `_` is for parts that \
             you include yourself", path = path.display(), known = known())]
    Unknown {
        /// Which one.
        path: PathBuf,
    },
    /// A template does not work.
    #[error("{path}, line {line}: {reason}", path = path.display())]
    Broken {
        /// Which one.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

/// Two sets of templates: the one to use, and the one to fall back on.
#[derive(Debug)]
pub(super) struct Templates {
    chosen: Environment<'static>,
    built_in: Environment<'static>,
    directory: PathBuf,
}

impl Templates {
    pub(super) fn load(directory: Option<&Path>) -> Result<Self, PageError> {
        let mut sources: BTreeMap<String, String> =
            BUILT_IN.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let root = directory.map(Path::to_path_buf).unwrap_or_default();
        let built_in = environment(&root, sources.clone())?;
        if let Some(directory) = directory {
            sources.extend(read(directory)?);
        }
        Ok(Self { chosen: environment(&root, sources)?, built_in, directory: root })
    }

    /// Renders for the sake of the errors.
    pub(super) fn try_out(&self, name: &str, context: Value) -> Result<(), PageError> {
        render(&self.chosen, name, context).map(|_| ()).map_err(|failure| broken(&self.directory, &failure))
    }

    pub(super) fn render(&self, name: &str, context: Value) -> String {
        render(&self.chosen, name, context.clone()).unwrap_or_else(|failure| {
            error!(template = name, error = %broken(&self.directory, &failure), "a template failed; the built-in one is shown");
            render(&self.built_in, name, context).unwrap_or_else(|failure| {
                error!(template = name, error = %failure, "a built-in template failed");
                "This page cannot be shown. The logs say why.".into()
            })
        })
    }
}

fn environment(directory: &Path, sources: BTreeMap<String, String>) -> Result<Environment<'static>, PageError> {
    let mut environment = Environment::new();
    // What is misspelt in a template is an error at start, not a hole in a page.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    for (name, text) in sources {
        environment.add_template_owned(name, text).map_err(|failure| broken(directory, &failure))?;
    }
    Ok(environment)
}

fn render(environment: &Environment<'static>, name: &str, context: Value) -> Result<String, minijinja::Error> {
    environment.get_template(name)?.render(context)
}

/// The operator's templates by name. Hidden files are passed over: a mounted `ConfigMap` brings some.
fn read(directory: &Path) -> Result<Vec<(String, String)>, PageError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |reason| PageError::Unreadable { path, reason }
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if !name.starts_with('_') && !BUILT_IN.iter().any(|(known, _)| *known == name) {
            return Err(PageError::Unknown { path });
        }
        found.push((name, fs::read_to_string(&path).map_err(unreadable(&path))?));
    }
    Ok(found)
}

/// Names the innermost place: an `include` reports its own line first.
fn broken(directory: &Path, failure: &minijinja::Error) -> PageError {
    let mut innermost = failure;
    while let Some(cause) = innermost.source().and_then(|cause| cause.downcast_ref::<minijinja::Error>()) {
        innermost = cause;
    }
    let reason = match innermost.detail() {
        Some(detail) => format!("{}: {detail}", innermost.kind()),
        None => innermost.kind().to_string(),
    };
    let path = directory.join(innermost.name().unwrap_or_default());
    PageError::Broken { path, line: innermost.line().unwrap_or_default(), reason }
}

fn known() -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
