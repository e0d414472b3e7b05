//! Rules: whatever a server makes of a path, it finds what the rule covers that was chosen. Told by the servers of
//! `tests/corpus`, which know nothing of `rules`.

#[path = "../../tests/corpus/servers.rs"]
#[expect(dead_code, reason = "the corpus also takes every order of the steps, which is slow")]
mod servers;

use super::house;
use servers::SERVERS;

/// The place of each rule in the list of `house`, and of the one that is for the rest.
const DEX: usize = 0;
const PIPELINE: usize = 1;
const MAYBE: usize = 2;
const LAB: usize = 3;
const HEALTH: usize = 4;
const UPLOAD: usize = 5;
const REST: usize = 6;

/// Host, method and target, a line each.
pub(super) fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(host), Some(method), Some(target)) = (lines.next(), lines.next(), lines.next()) else { return };
    house::within(async |house| {
        let Ok(rule) = house.rules.select(host, method, target) else { return };
        assert!(method.bytes().all(|byte| !byte.is_ascii_lowercase()), "{method:?}");
        assert!(target.starts_with('/') || (target == "*" && method == "OPTIONS"), "{target:?}");
        assert!(target.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'#'), "{target:?}");
        let path = target.split('?').next().unwrap_or_default();
        for (server, steps) in SERVERS {
            let reading = steps.iter().fold(path.as_bytes().to_vec(), |path, step| step.taken(&path));
            let owner = owner(host, method, &reading);
            let shown = String::from_utf8_lossy(&reading);
            assert_eq!(rule.index, owner, "{host:?} {method:?} {path:?} is {shown:?} to {server}");
        }
    });
}

/// Whose a path is, read as it stands.
fn owner(host: &str, method: &str, path: &[u8]) -> usize {
    let host = host.split(':').next().unwrap_or_default();
    let is_lab = host.eq_ignore_ascii_case("lab.example.com");
    let is_upload = method == "POST" && path.starts_with(b"/upload/");
    let covers = [
        (DEX, path.starts_with(b"/dex/")),
        (PIPELINE, path.starts_with(b"/pipeline/") || path == b"/pipeline"),
        (MAYBE, path.starts_with(b"/maybe/")),
        (LAB, is_lab),
        (HEALTH, is_health(path)),
        (UPLOAD, is_upload || (method == "POST" && path == b"/upload")),
    ];
    covers.iter().find(|(_, covers)| *covers).map_or(REST, |(index, _)| *index)
}

/// `/v[0-9]+/healthz`
fn is_health(path: &[u8]) -> bool {
    let digits = path.strip_prefix(b"/v").and_then(|rest| rest.strip_suffix(b"/healthz"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}
