//! How many in which time.

use std::time::Duration;

use super::super::problem::Report;
use super::super::raw;
use super::super::tree::Spot;
use super::super::{LimitSettings, Rate};
use super::lifetime::span;

/// Who has used a longer one up would wait for hours.
const LONGEST: Duration = Duration::from_hours(1);

const STAND_IN: Rate = Rate { count: 1, per: Duration::from_secs(1) };

const INSTEAD: &str = "Write a number and a time, with a slash between: `4000/5m`.";

pub(super) fn settings(raw: &raw::Limits, at: &Spot<'_>, report: &mut Report) -> LimitSettings {
    let (at_all, at_each) = (at.field("sign_ins"), at.field("sign_ins_per_address"));
    let sign_ins = rate(&raw.sign_ins, &at_all, report);
    let sign_ins_per_address = rate(&raw.sign_ins_per_address, &at_each, report);
    if let (Some(all), Some(each)) = (sign_ins, sign_ins_per_address)
        && (all.count < each.count || all.a_second() < each.a_second())
    {
        // What is not written is a default: then it is the other that contradicts it.
        let (at, what, instead) = if at_each.is_written() {
            (at_each, format!("one address may do more than limits.sign_ins, {all}, lets all do together"), "less")
        } else {
            let what =
                format!("all together may do less than limits.sign_ins_per_address, {each}, lets one address do");
            (at_all, what, "more")
        };
        report.refuse(at.problem(what, format!("Write {instead}, or change both.")));
    }
    LimitSettings {
        sign_ins: sign_ins.unwrap_or(STAND_IN),
        sign_ins_per_address: sign_ins_per_address.unwrap_or(STAND_IN),
    }
}

fn rate(text: &str, at: &Spot<'_>, report: &mut Report) -> Option<Rate> {
    let Some((count, per)) = text.split_once('/') else {
        report.refuse(at.problem(format!("`{text}` is no number in a time"), INSTEAD));
        return None;
    };
    let per = span(per.trim(), at, report)?;
    if per > LONGEST {
        let what = format!("{} is longer than 1h", humantime::format_duration(per));
        report.refuse(at.problem(what, "Write a shorter time, and a smaller number: `4000/5m`."));
        return None;
    }
    match count.trim().parse() {
        Ok(0) => {
            report.refuse(at.problem("nobody could sign in", INSTEAD));
            None
        }
        Ok(count) => Some(Rate { count, per }),
        Err(_) => {
            let what = format!("`{}` is no number from 1 to {}", count.trim(), u32::MAX);
            report.refuse(at.problem(what, INSTEAD));
            None
        }
    }
}
