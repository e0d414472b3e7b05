//! The Kubernetes API server, and how ServiceAccount tokens are verified there.

use std::path::PathBuf;

use url::Url;

/// Where the API server is, and who we are there.
#[derive(Clone, Debug)]
pub struct KubernetesApi {
    /// Its address (https), path `/`.
    pub address: Url,
    /// The PEM certificates that alone are trusted there.
    pub ca: PathBuf,
    /// The file of our own ServiceAccount token; it is replaced while we run.
    pub token_file: PathBuf,
}
