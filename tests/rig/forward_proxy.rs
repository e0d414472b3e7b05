//! nginx or Caddy with the config that ships in `examples/nginx` or `examples/caddy`, on other ports.

use std::fs;
use std::process::Command;

use crate::part::{Part, accepts, empty_folder, tool};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    Nginx,
    Caddy,
}

/// What the example's ports become.
pub(crate) struct Ports {
    pub(crate) proxy: u16,
    /// Countersign's main port.
    pub(crate) countersign: u16,
    /// The workload.
    pub(crate) backend: u16,
}

/// A running one.
pub(crate) struct Running(Part);

impl Proxy {
    /// The `countersign.yaml` that ships beside its config.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../examples/nginx/countersign.yaml"),
            Self::Caddy => include_str!("../../examples/caddy/countersign.yaml"),
        }
    }

    /// Starts one.
    pub(crate) async fn start(self, ports: &Ports) -> Running {
        let folder = empty_folder();
        let (name, file, example) = match self {
            Self::Nginx => ("nginx", "nginx.conf", include_str!("../../examples/nginx/nginx.conf")),
            Self::Caddy => ("caddy", "Caddyfile", include_str!("../../examples/caddy/Caddyfile")),
        };
        let config = folder.path().join(file);
        fs::write(&config, on(ports, file, example)).expect("a config");
        let mut command = match self {
            Self::Nginx => Command::new(tool("NGINX", name, "bin/nginx")),
            Self::Caddy => Command::new(tool("CADDY", name, "bin/caddy")),
        };
        match self {
            // One process, so that none is left when it is killed.
            Self::Nginx => {
                command.arg("-p").arg(folder.path()).arg("-c").arg(&config);
                command.args(["-e", "stderr", "-g", "daemon off; master_process off;"]);
            }
            Self::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
                // It keeps things there.
                command.env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
            }
        }
        let mut part = Part::start(name, folder, &mut command);
        part.await_ready(|| accepts(ports.proxy)).await;
        Running(part)
    }
}

impl Running {
    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        self.0.log()
    }
}

fn on(ports: &Ports, file: &str, example: &str) -> String {
    let mut text = example.to_owned();
    // The host's port, where a proxy writes it out, is part of the first.
    for (old, new) in [(":8080", ports.proxy), (":8081", ports.backend), (":9000", ports.countersign)] {
        assert!(text.contains(old), "{file} no longer has {old}");
        text = text.replace(old, &format!(":{new}"));
    }
    text
}
