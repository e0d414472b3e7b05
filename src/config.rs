//! Text becomes validated settings. The only reader of the configuration file and of the environment.

mod settings;

pub use settings::*;
