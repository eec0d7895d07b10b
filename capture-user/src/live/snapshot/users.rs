//! Users and groups of the machine's local database: passwd(5), group(5).

use super::Gaps;
use capture_common::snapshot::{Group, User};
use std::path::Path;

pub(super) fn read_users(etc: &Path, gaps: &mut Gaps) -> Vec<User> {
    lines(&etc.join("passwd"), gaps, |fields| {
        Some(User {
            name: fields.first()?.to_vec(),
            uid: number(fields.get(2)?)?,
            gid: number(fields.get(3)?)?,
            home: fields.get(5)?.to_vec(),
            shell: fields.get(6).map_or_else(Vec::new, |shell| shell.to_vec()),
        })
    })
}

pub(super) fn read_groups(etc: &Path, gaps: &mut Gaps) -> Vec<Group> {
    lines(&etc.join("group"), gaps, |fields| {
        Some(Group { name: fields.first()?.to_vec(), gid: number(fields.get(2)?)? })
    })
}

/// One value per line that `parse` accepts; comments, NIS marks and broken lines are skipped.
fn lines<T>(path: &Path, gaps: &mut Gaps, parse: impl Fn(&[&[u8]]) -> Option<T>) -> Vec<T> {
    let Ok(content) = std::fs::read(path) else {
        gaps.lists += 1;
        return Vec::new();
    };
    let lines =
        content.split(|&b| b == b'\n').filter(|l| !matches!(l.first(), None | Some(b'#' | b'+' | b'-')));
    lines.filter_map(|line| parse(&line.split(|&b| b == b':').collect::<Vec<_>>())).collect()
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}
