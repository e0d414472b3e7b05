//! Arguments, runtime, exit code: 0 for success, 1 for a failure at run time, 2 for a mistake in the arguments or in
//! the configuration.

use std::process::ExitCode;

use clap::Parser;
use countersign::cli::{Arguments, run};

fn main() -> ExitCode {
    // First of all: whatever signs, verifies or speaks TLS takes its cryptography from here. Only a second call could
    // fail, and there is none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    run(Arguments::parse())
}
