//! What was measured of one store; of few sessions first, then of many.

use std::time::Duration;

use crate::checks::Checked;
use crate::gateway::{Gateway, Resident};
use crate::sweep::Swept;

#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) cost: [Cost; 2],
    pub(crate) started: [Started; 2],
    /// Of many: after it was closed properly, and after `kill -9`.
    pub(crate) closed: Started,
    pub(crate) killed: Started,
    /// Of many: before anything was asked.
    pub(crate) idle: Resident,
    /// After all checks.
    pub(crate) resident: [Resident; 2],
    /// Of many: the most in one of the later starts, in bytes.
    pub(crate) most_when_started: u64,
    pub(crate) checked: Checked,
    /// A second.
    pub(crate) sign_ins: [f64; 2],
    pub(crate) replicated: Option<Vec<Replicated>>,
    pub(crate) swept: Swept,
}

/// What a session costs the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Bytes each.
    pub(crate) bytes_each: f64,
}

/// From the start of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub(crate) alive_after: Duration,
    pub(crate) ready_after: Duration,
}

/// Through so many gateways together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicated {
    pub(crate) replicas: usize,
    /// A second.
    pub(crate) checks: f64,
    pub(crate) sign_ins: f64,
    /// The most that any of them took, in bytes.
    pub(crate) resident: u64,
}

impl Started {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self { alive_after: gateway.alive_after, ready_after: gateway.ready_after }
    }
}
