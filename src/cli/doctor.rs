//! `doctor`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::{ConfigFile, config, say};
use crate::config::{Loaded, environment, load};
use crate::doctor::{Scope, Severity, examine};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// A directory or a file of manifests, rendered; `-` reads standard input (`kustomize build … |`, `kubectl get … -o
    /// yaml |`). The mesh config is one of them: the ConfigMap `istio`. May be given several times.
    #[arg(long, value_name = "PATH")]
    manifests: Vec<PathBuf>,
    /// Asks nobody: only what is written is looked at.
    #[arg(long)]
    offline: bool,
    /// Prints the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Fails on warnings, too.
    #[arg(long)]
    strict: bool,
}

/// Says everything that was found wrong. Faults are an error; the process then ends with 1.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Loaded { settings, warnings } = load(arguments.config.file.as_deref(), environment())?;
    config::print_warnings(&warnings);
    let scope = Scope { manifests: arguments.manifests.clone(), offline: arguments.offline };
    let findings = examine(&settings, &scope).await?;
    if arguments.json {
        say(&serde_json::to_string_pretty(&findings)?)?;
    } else {
        for finding in &findings {
            say(&format!("{finding}\n"))?;
        }
    }
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (faults, warnings) = (of(Severity::Fault), of(Severity::Warning));
    let counted = |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
    let summary = format!("{}, {}", counted(faults, "fault"), counted(warnings, "warning"));
    if faults > 0 || (arguments.strict && warnings > 0) {
        bail!(summary);
    }
    if !arguments.json {
        say(&if findings.is_empty() { nothing(&scope) } else { summary })?;
    }
    Ok(())
}

fn nothing(scope: &Scope) -> String {
    let mut looked_at = vec!["the configuration"];
    if !scope.offline {
        looked_at.push("the identity providers");
    }
    if !scope.manifests.is_empty() {
        looked_at.push("the manifests");
    }
    format!("nothing is wrong with {}", looked_at.join(", "))
}
