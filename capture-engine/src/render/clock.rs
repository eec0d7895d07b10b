//! Times as text, in a time zone that is handed in.
//!
//! The engine reads no clock and no zone files: whoever makes the options resolves the zone once.
//! Looking an offset up is slow, so the last answer is kept; it holds for a quarter of an hour,
//! because no zone in use changes its offset at another moment than a full quarter.

use super::number::{dec_i64, dec_u64, nine_digits, padded_u64, two_digits};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::atomic::{AtomicU64, Ordering};

const NS_PER_S: u64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;
const S_PER_QUARTER: i64 = 900;

/// A time zone, with the last offset looked up.
#[derive(Debug)]
pub struct Zone {
    tz: TimeZone,
    /// Quarter since the epoch in the high half, offset in seconds in the low one.
    last: AtomicU64,
}

impl Zone {
    /// A zone from data that the caller resolved.
    pub fn new(tz: TimeZone) -> Self {
        Zone { tz, last: AtomicU64::new(u64::MAX) }
    }

    /// Offset from UTC in seconds at a time in seconds since the epoch.
    #[inline]
    pub fn offset_s(&self, epoch_s: i64) -> i32 {
        let quarter = epoch_s.div_euclid(S_PER_QUARTER) as u32;
        let last = self.last.load(Ordering::Relaxed);
        if (last >> 32) as u32 == quarter {
            return last as u32 as i32;
        }
        let offset = Timestamp::from_second(epoch_s).map_or(0, |t| self.tz.to_offset(t).seconds());
        self.last.store(u64::from(quarter) << 32 | u64::from(offset as u32), Ordering::Relaxed);
        offset
    }
}

impl Clone for Zone {
    fn clone(&self) -> Self {
        Zone::new(self.tz.clone())
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone::new(TimeZone::UTC)
    }
}

/// A moment split for printing.
struct Local {
    days: i64,
    second_of_day: u32,
    ns: u32,
    offset_s: i32,
}

#[inline]
fn local(zone: &Zone, ts_ns: u64) -> Local {
    let epoch_s = (ts_ns / NS_PER_S) as i64;
    let offset_s = zone.offset_s(epoch_s);
    let wall_s = epoch_s + i64::from(offset_s);
    Local {
        days: wall_s.div_euclid(S_PER_DAY),
        second_of_day: wall_s.rem_euclid(S_PER_DAY) as u32,
        ns: (ts_ns % NS_PER_S) as u32,
        offset_s,
    }
}

/// Whether the fraction of a second is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fraction {
    /// Nine digits.
    Ns,
    /// None.
    None,
}

/// Appends the time of day: `17:35:48.514632619`.
#[inline]
pub fn push_time_of_day(out: &mut Vec<u8>, zone: &Zone, ts_ns: u64, fraction: Fraction) {
    push_clock(out, &local(zone, ts_ns), fraction);
}

/// Appends date and time: `2018-08-17 17:35:48.514632619`.
pub fn push_datetime(out: &mut Vec<u8>, zone: &Zone, ts_ns: u64, fraction: Fraction) {
    let at = local(zone, ts_ns);
    push_date(out, at.days);
    out.push(b' ');
    push_clock(out, &at, fraction);
}

/// Appends date, time and offset: `2018-08-17T17:35:48.514632619+0000`.
pub fn push_iso8601(out: &mut Vec<u8>, zone: &Zone, ts_ns: u64) {
    let at = local(zone, ts_ns);
    push_date(out, at.days);
    out.push(b'T');
    push_clock(out, &at, Fraction::Ns);
    out.push(if at.offset_s < 0 { b'-' } else { b'+' });
    let minutes = at.offset_s.unsigned_abs() / 60;
    two_digits(out, minutes / 60);
    two_digits(out, minutes % 60);
}

/// Appends seconds and nine digits of nanoseconds: `5.514632620`.
#[inline]
pub fn push_seconds_ns(out: &mut Vec<u8>, ns: u64) {
    dec_u64(out, ns / NS_PER_S);
    out.push(b'.');
    nine_digits(out, (ns % NS_PER_S) as u32);
}

/// Appends a duration for people: `504ns`, `3.17us`, `12ms`, `1.04s`, `2:5`, `25:01:01`.
///
/// Up to ten of a unit below the second get two decimals, seconds always; nothing is rounded up.
pub fn push_human_duration(out: &mut Vec<u8>, ns: u64) {
    const NS_PER_MINUTE: u64 = 60 * NS_PER_S;
    const NS_PER_HOUR: u64 = 60 * NS_PER_MINUTE;
    match ns {
        0..1000 => push_unit(out, ns, 1, 0, b"ns"),
        1000..1_000_000 => push_unit(out, ns, 1000, 10, b"us"),
        1_000_000..NS_PER_S => push_unit(out, ns, 1_000_000, 10, b"ms"),
        NS_PER_S..NS_PER_MINUTE => push_unit(out, ns, NS_PER_S, 60, b"s"),
        NS_PER_MINUTE..NS_PER_HOUR => {
            dec_u64(out, ns / NS_PER_MINUTE);
            out.push(b':');
            dec_u64(out, ns / NS_PER_S % 60);
        }
        _ => {
            padded_u64(out, ns / NS_PER_HOUR, 2);
            for part in [ns / NS_PER_MINUTE % 60, ns / NS_PER_S % 60] {
                out.push(b':');
                two_digits(out, part as u32);
            }
        }
    }
}

/// Appends `ns` in a unit, with two decimals below `decimals_below` of it.
fn push_unit(out: &mut Vec<u8>, ns: u64, unit_ns: u64, decimals_below: u64, name: &[u8]) {
    dec_u64(out, ns / unit_ns);
    if ns / unit_ns < decimals_below {
        out.push(b'.');
        two_digits(out, (ns % unit_ns / (unit_ns / 100)) as u32);
    }
    out.extend_from_slice(name);
}

#[inline]
fn push_clock(out: &mut Vec<u8>, at: &Local, fraction: Fraction) {
    let s = at.second_of_day;
    two_digits(out, s / 3600);
    out.push(b':');
    two_digits(out, s / 60 % 60);
    out.push(b':');
    two_digits(out, s % 60);
    if fraction == Fraction::Ns {
        out.push(b'.');
        nine_digits(out, at.ns);
    }
}

/// The Gregorian date of a day since the epoch, by the era of 400 years (146,097 days).
fn push_date(out: &mut Vec<u8>, days: i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    // Day 0 of the reckoning is 1 March of year 0, so that leap days end a year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    dec_i64(out, year);
    out.push(b'-');
    two_digits(out, month as u32);
    out.push(b'-');
    two_digits(out, day as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    const TS_NS: u64 = 1_534_527_348_514_632_619;

    #[test]
    fn times_as_sysdig_prints_them() {
        let utc = Zone::default();
        assert_eq!(text(|o| push_time_of_day(o, &utc, TS_NS, Fraction::Ns)), "17:35:48.514632619");
        assert_eq!(text(|o| push_time_of_day(o, &utc, TS_NS, Fraction::None)), "17:35:48");
        assert_eq!(text(|o| push_datetime(o, &utc, TS_NS, Fraction::Ns)), "2018-08-17 17:35:48.514632619");
        assert_eq!(text(|o| push_iso8601(o, &utc, TS_NS)), "2018-08-17T17:35:48.514632619+0000");
        assert_eq!(text(|o| push_seconds_ns(o, 5_014_632_620)), "5.014632620");
    }

    #[test]
    fn other_zones() {
        let zone = Zone::new(jiff::tz::offset(-9).to_time_zone());
        assert_eq!(text(|o| push_iso8601(o, &zone, 0)), "1969-12-31T15:00:00.000000000-0900");
        let east = Zone::new(TimeZone::fixed(jiff::tz::Offset::from_seconds(5 * 3600 + 1800).unwrap()));
        assert_eq!(text(|o| push_iso8601(o, &east, 0)), "1970-01-01T05:30:00.000000000+0530");
    }

    #[test]
    fn dates_agree_with_jiff() {
        for day in (0..40_000).step_by(7).chain([11_016, 11_017, 19_782, 19_783]) {
            let at = Timestamp::from_second(day * S_PER_DAY).unwrap().to_zoned(TimeZone::UTC);
            assert_eq!(text(|o| push_date(o, day)), at.date().to_string());
        }
    }

    #[test]
    fn durations_for_people() {
        for (ns, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (1005, "1.00us"),
            (3175, "3.17us"),
            (12_345, "12us"),
            (1_500_000, "1.50ms"),
            (999_999_999, "999ms"),
            (1_040_000_000, "1.04s"),
            (59_999_999_999, "59.99s"),
            (61_000_000_000, "1:1"),
            (125_000_000_000, "2:5"),
            (3_600_000_000_000, "01:00:00"),
            (86_400_000_000_005, "24:00:00"),
        ] {
            assert_eq!(text(|o| push_human_duration(o, ns)), expected);
        }
    }
}
