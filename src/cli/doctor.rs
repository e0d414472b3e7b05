//! `doctor`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::{ConfigFile, config, say};
use crate::config::{ConfigErrors, Loaded, environment, load, load_for_elsewhere, parse_for_elsewhere, parse_named};
use crate::doctor::{Manifests, PodsConfiguration, Severity, examine};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// A directory or a file of manifests, rendered; `-` reads standard input (`kustomize build … |`, `kubectl get … -o
    /// yaml |`). The mesh config is one of them: the ConfigMap `istio`. May be given several times.
    #[arg(long, value_name = "PATH")]
    manifests: Vec<PathBuf>,
    /// Asks nobody: only what is written is looked at, and no secret is needed.
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
    let manifests = Manifests::read(&arguments.manifests)?;
    let loaded = configuration(arguments, &manifests)?;
    config::print_warnings(&loaded.warnings);
    let findings = examine(&loaded, &manifests, arguments.offline).await?;
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
        say(&if findings.is_empty() { nothing(arguments) } else { summary })?;
    }
    Ok(())
}

/// The file that is named; without one, what the pods among the manifests get. Offline nothing is missed that is where it
/// runs, and not here.
fn configuration(arguments: &Arguments, manifests: &Manifests) -> Result<Loaded, ConfigErrors> {
    let file = arguments.config.file.as_deref();
    let of_pods = if file.is_none() { manifests.configuration() } else { None };
    match of_pods {
        Some(PodsConfiguration { text, place, environment: of_pods }) => {
            let environment = of_pods.into_iter().chain(environment());
            let parse = if arguments.offline { parse_for_elsewhere } else { parse_named };
            parse(&text, &place, environment)
        }
        None if arguments.offline => load_for_elsewhere(file, environment()),
        None => load(file, environment()),
    }
}

fn nothing(arguments: &Arguments) -> String {
    let mut looked_at = vec!["the configuration"];
    if !arguments.offline {
        looked_at.push("the identity providers");
    }
    if !arguments.manifests.is_empty() {
        looked_at.push("the manifests");
    }
    let last = looked_at.pop().unwrap_or_default();
    let all = match looked_at[..] {
        [] => last.to_owned(),
        [only] => format!("{only} and {last}"),
        _ => format!("{}, and {last}", looked_at.join(", ")),
    };
    format!("nothing is wrong with {all}")
}
