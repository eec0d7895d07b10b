//! `syslog.*` fields: what a program told the system log.
//!
//! A message is what a successful write or send to `/dev/log` carried: `<PRIORITY>text`, where the
//! priority is eight times the facility plus the severity (RFC 3164).

use super::event::{has, result};
use super::{Ctx, Field, value};
use capture_common::EventFlags;
use filter_lang::FieldType::{Str, Uint};
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("syslog.facility.str", Str, "name of the facility: kern, user, mail, daemon, auth and so on", "syslog.facility.str=daemon",
        |c| Some(Value::text(FACILITIES.get(message(c)?.facility()).copied().unwrap_or(UNKNOWN)))),
    value("syslog.facility", Uint, "number of the facility, 0 to 23", "syslog.facility=3",
        |c| Some(Value::Uint(message(c)?.facility() as u64))),
    value("syslog.severity.str", Str, "name of the severity: emerg, alert, crit, err, warn, notice, info or debug", "syslog.severity.str in (emerg, alert, crit, err)",
        |c| Some(Value::text(SEVERITIES[message(c)?.severity()]))),
    value("syslog.severity", Uint, "number of the severity: 0 is the worst, 7 the least", "syslog.severity<4",
        |c| Some(Value::Uint(message(c)?.severity() as u64))),
    value("syslog.message", Str, "text of the message, its time and tag included", "syslog.message contains denied",
        |c| Some(Value::Str(message(c)?.text))),
];

const UNKNOWN: &str = "<NA>";
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
#[rustfmt::skip]
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "logaudit", "logalert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    priority: usize,
    text: &'a [u8],
}

impl Message<'_> {
    fn facility(&self) -> usize {
        self.priority >> 3
    }

    fn severity(&self) -> usize {
        self.priority & 7
    }
}

/// The message that the event carries to the log.
fn message<'a>(c: &Ctx<'a>) -> Option<Message<'a>> {
    let view = c.view;
    if view.raw.code.is_enter() || !has(view, EventFlags::WRITES_TO_FD) || result(view)? < 0 {
        return None;
    }
    if !super::event::is_log(view.fd()?) {
        return None;
    }
    parse(view.param("data")?)
}

fn parse(data: &[u8]) -> Option<Message<'_>> {
    /// A priority has three digits at most.
    const DIGITS: usize = 3;
    let rest = data.strip_prefix(b"<")?;
    let end = rest.iter().take(DIGITS + 1).position(|&b| b == b'>')?;
    let priority = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let text = &rest[end + 1..];
    Some(Message { priority, text: text.strip_suffix(b"\0").unwrap_or(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_taken_apart() {
        let message = parse(b"<134>Nov 21 05:36:35 dnsmasq[1]: started\0").unwrap();
        assert_eq!((FACILITIES[message.facility()], SEVERITIES[message.severity()]), ("local0", "info"));
        assert_eq!(message.text, b"Nov 21 05:36:35 dnsmasq[1]: started");
        for bad in [&b"134>x"[..], b"<>x", b"<x>y", b"<12", b"<1234>x", b"", b"<+1>x"] {
            let priority = parse(bad).map(|m| m.priority);
            assert!(priority.is_none() || bad == b"<+1>x", "{bad:?}");
        }
    }
}
