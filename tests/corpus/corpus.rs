//! Requests that try to get past a gateway, a judge of what came through, and a runner that asks any gateway. It knows no
//! gateway: not ours, and nothing of how ours decides.

pub(crate) mod echo;
mod exchange;
pub(crate) mod judge;
pub(crate) mod ordinary;
pub(crate) mod runner;
pub(crate) mod servers;
pub(crate) mod site;
mod spellings;
pub(crate) mod variants;
