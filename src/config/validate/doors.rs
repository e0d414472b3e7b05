//! The doors of the check.

use super::super::DoorSettings;
use super::super::problem::Report;
use super::super::raw;
use super::super::tree::Spot;

pub(super) fn open(raw: &raw::Doors, at: &Spot<'_>, report: &mut Report) -> DoorSettings {
    let raw::Doors { http, grpc } = *raw;
    if !http && !grpc {
        let what = "every door is shut, so that no gateway can ask anything";
        report.refuse(at.problem(what, "Leave out the one that your gateway asks at: `http` or `grpc`."));
    }
    DoorSettings { http, grpc }
}
