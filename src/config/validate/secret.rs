//! Secrets are fetched from where the configuration says they are. Their values are never repeated.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::super::problem::{Problem, Report};
use super::super::raw::Secret;
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::is_in_file;
use crate::secret::{SecretBytes, SecretText, parse_session_key};

const INSTEAD: &str = "Write `{file: /path/to/it}` or `{env: ITS_NAME}`.";

/// No secret of ours is longer; a wrong path such as `/dev/zero` must not fill the memory.
const MOST_BYTES: u64 = 64 * 1024;

/// The secret itself.
pub(super) fn text(
    secret: &Secret,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<SecretText> {
    match fetch(secret, at, environment, report) {
        Ok(text) => Some(text),
        Err(Unfetched::Wrong(problem)) => {
            report.refuse(problem);
            None
        }
        Err(Unfetched::Absent(problem)) => {
            report.miss(problem);
            report.is_elsewhere().then(|| SecretText::new("elsewhere".to_owned()))
        }
    }
}

/// A session key: `csk1_` and 32 bytes as base64url.
pub(super) fn session_key(
    secret: &Secret,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<SecretBytes<32>> {
    let text = match fetch(secret, at, environment, report) {
        Ok(text) => text,
        Err(Unfetched::Wrong(problem)) => {
            report.refuse(problem);
            return None;
        }
        Err(Unfetched::Absent(problem)) => {
            report.miss(problem);
            return None;
        }
    };
    let key = parse_session_key(text.expose()).ok();
    if key.is_none() {
        let what = "it is no session key: those begin with `csk1_`, and 43 characters of base64url follow";
        report.refuse(at.problem(what, "Make one by `countersign session-keys init`."));
    }
    key
}

/// Why there is no secret.
enum Unfetched {
    /// It is not here; it may be elsewhere.
    Absent(Problem),
    /// It is wrong wherever it is.
    Wrong(Problem),
}

fn fetch(
    secret: &Secret,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Result<SecretText, Unfetched> {
    let wrong = |what: &str| Err(Unfetched::Wrong(at.problem(what, INSTEAD)));
    match secret {
        Secret::Text(text) if text.expose().trim().is_empty() => wrong("it is empty"),
        Secret::Text(text) => {
            if is_in_file(at.place()) {
                let what = "the secret itself stands in the file, for everybody who may read the configuration";
                report.warn(at.problem(what, INSTEAD));
            }
            Ok(text.clone())
        }
        Secret::Reference(reference) => match (&reference.file, &reference.env) {
            (Some(file), None) => {
                report.name_file(&at.field("file"), file);
                from_file(file, &at.field("file"))
            }
            (None, Some(name)) => from_variable(name, &at.field("env"), environment),
            (None, None) => wrong("it names neither a file nor a variable"),
            (Some(_), Some(_)) => wrong("it names both a file and a variable"),
        },
    }
}

fn from_variable(name: &str, at: &Spot<'_>, environment: &Environment) -> Result<SecretText, Unfetched> {
    match environment.get(name).map(String::as_str) {
        Some(value) if !value.trim().is_empty() => Ok(SecretText::new(value.trim_end_matches(['\r', '\n']).to_owned())),
        Some(_) => {
            Err(Unfetched::Wrong(at.problem(format!("the variable {name} is empty"), "Put the secret into it.")))
        }
        None => {
            let instead = "Set it, or name the one that holds the secret.";
            Err(Unfetched::Absent(at.problem(format!("there is no variable {name}"), instead)))
        }
    }
}

fn from_file(path: &Path, at: &Spot<'_>) -> Result<SecretText, Unfetched> {
    let refused = |what: String| at.problem(what, "Name a file that holds the secret and that this process may read.");
    let shown = path.display();
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Unfetched::Absent(refused(format!("{shown} cannot be read: {error}"))))?;
    let wrong = |what| Unfetched::Wrong(refused(what));
    if bytes.len() as u64 > MOST_BYTES {
        return Err(wrong(format!("{shown} is longer than {MOST_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(format!("{shown} is no text in UTF-8")))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(wrong(format!("{shown} is empty")));
    }
    Ok(SecretText::new(text.to_owned()))
}
