//! The doors of the check.

use super::super::DoorSettings;
use super::super::problem::Report;
use super::super::raw;
use super::super::tree::Spot;

/// Forward auth is open to the trusted proxies, so that it is shut where there are none.
pub(super) fn open(raw: &raw::Doors, no_proxies: bool, at: &Spot<'_>, report: &mut Report) -> DoorSettings {
    let raw::Doors { http, grpc } = *raw;
    if !http && !grpc && no_proxies {
        let what = "every door is shut, so that no gateway can ask anything";
        let instead =
            "Leave out the one that your gateway asks at: `http` or `grpc`. For forward auth, set `trusted_proxies`.";
        report.refuse(at.problem(what, instead));
    }
    DoorSettings { http, grpc }
}
