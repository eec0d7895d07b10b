//! As many events match as in a sysdig of 2024 (libs 0.15.1), which recorded the captures. Where
//! the two are of different opinion, a rule says about which events and why.

use crate::support::{compile, each_event};
use capture_common::event_table::code;
use capture_common::{EventCode, EventFlags};
use capture_engine::EventView;
use capture_tests::data_dir;
use std::collections::BTreeMap;

const CAPTURES: &[&str] = &["build", "dns", "http", "kitchen", "postgres", "redis", "shell", "tools"];

/// A difference of opinion: what that sysdig says of some events whatever the filter's other
/// terms are.
struct Rule {
    /// Whether it concerns a filter.
    of: fn(&str) -> bool,
    /// The events.
    events: fn(&EventView<'_>) -> bool,
    /// Whether that sysdig finds the filter true of them.
    stock: bool,
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        of: |filter| filter.starts_with("fd."),
        events: fd_is_of_the_exit_alone,
        stock: false,
        reason: "it knows the fd of an exit from the enter only; newer ones read the exit's own",
    },
    Rule {
        of: |filter| filter.starts_with("evt.category=file"),
        events: |event| matches!(event.raw.code, code::GENERIC_E | code::GENERIC_X),
        stock: false,
        reason: "calls without parameters of their own are all of category `other` in it; in \
                 0.29.3 and here they have the category of the call",
    },
    Rule {
        of: |filter| filter.starts_with("evt.category=file"),
        events: |event| matches!(event.raw.code, code::SYSCALL_SPLICE_E | code::SYSCALL_SPLICE_X),
        stock: true,
        reason: "the fd of a splice is the input in it, the output in newer ones and here",
    },
    Rule {
        of: |filter| filter == "evt.failed=true",
        events: is_restart,
        stock: true,
        reason: "a call that the kernel begins again has not failed",
    },
    Rule {
        of: |filter| matches!(filter, "proc.name!=nginx" | "user.uid=0"),
        events: |event| event.raw.code == code::SCHEDSWITCH_6_E && event.thread().is_none(),
        stock: true,
        reason: "the parent's exit of a vfork makes the dead child anew in it",
    },
];

/// Counts of that sysdig that come from a defect of its state: capture, filter, our count.
const DEFECTS: &[(&str, &str, u64, &str)] = &[
    ("kitchen", "fd.l4proto=udp", 48, IPV6_SERVERS),
    ("tools", "fd.l4proto=udp", 7, IPV6_SERVERS),
    ("kitchen", "fd.typechar=6", 66, "it takes the tuple ::->:: for IPv4 and the IPv6 socket with it"),
];

const IPV6_SERVERS: &str = "a message to a bound IPv6 socket writes addresses over its protocol";

fn fd_is_of_the_exit_alone(event: &EventView<'_>) -> bool {
    const MAKES_OR_USES: EventFlags = EventFlags(EventFlags::USES_FD.0 | EventFlags::CREATES_FD.0);
    let uses =
        |code: EventCode, flags: EventFlags| code.info().is_some_and(|info| info.flags.0 & flags.0 != 0);
    let exit = event.raw.code;
    !exit.is_enter()
        // Its parser looks for the fd in the exit even there.
        && exit != code::SOCKET_GETSOCKOPT_X
        && uses(exit, EventFlags::USES_FD)
        && !uses(exit, EventFlags::CREATES_FD)
        && !uses(EventCode(exit.0 - 1), MAKES_OR_USES)
}

fn is_restart(event: &EventView<'_>) -> bool {
    !event.raw.code.is_enter()
        && event.info.is_some_and(|info| info.param_index("res") == Some(0))
        && event.raw.int(0).is_some_and(|res| (-516..=-512).contains(&res))
}

#[test]
fn filters_match_as_many_events_as_in_sysdig_of_2024() {
    let (mut wrong, mut equal, mut filters) = (Vec::new(), 0, 0);
    let mut used = vec![0_u64; RULES.len()];
    for capture in CAPTURES {
        let text =
            std::fs::read_to_string(data_dir().join(format!("filters/{capture}.json"))).expect("reads");
        let recorded: BTreeMap<String, u64> = serde_json::from_str(&text).expect("filters and counts");
        filters += recorded.len();
        let counts = counts_with_rules(capture, recorded.keys().map(String::as_str), &mut used);
        for ((filter, &theirs), ours) in recorded.iter().zip(counts) {
            let defect = DEFECTS.iter().find(|row| row.0 == *capture && row.1 == filter);
            let wanted = defect.map_or(theirs, |row| row.2);
            match ours == wanted && defect.is_none_or(|row| row.2 != theirs) {
                true => equal += 1,
                false => wrong.push(format!("{capture}: {filter}: {ours}, not {wanted} (2024: {theirs})")),
            }
        }
    }
    for (rule, _) in RULES.iter().zip(&used).filter(|(_, used)| **used == 0) {
        wrong.push(format!("no event needs the rule: {}", rule.reason));
    }
    assert!(wrong.is_empty(), "{equal} as wanted, these not:\n{}", wrong.join("\n"));
    assert_eq!((equal, filters), (8 * 27, 8 * 27));
}

/// How many events match in the eyes of that sysdig: our answer, but for what [`RULES`] say.
fn counts_with_rules<'t>(
    capture: &str,
    filters: impl Iterator<Item = &'t str>,
    used: &mut [u64],
) -> Vec<u64> {
    let rules_of = |text: &str| -> Vec<usize> {
        RULES.iter().enumerate().filter(|(_, rule)| (rule.of)(text)).map(|(at, _)| at).collect()
    };
    let mut filters: Vec<_> = filters.map(|text| (compile(text), rules_of(text), 0)).collect();
    each_event(&format!("{capture}.scap.gz"), |event| {
        for (filter, rules, count) in &mut filters {
            let mut matches = filter.matches(event);
            if let Some(&rule) = rules.iter().find(|&&rule| (RULES[rule].events)(event)) {
                used[rule] += u64::from(matches != RULES[rule].stock);
                matches = RULES[rule].stock;
            }
            *count += u64::from(matches);
        }
    });
    filters.into_iter().map(|(_, _, count)| count).collect()
}
