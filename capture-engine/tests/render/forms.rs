//! Formats, time columns, buffer forms and JSON on small captures, byte by byte.

use crate::{data, print};
use capture_engine::format::{CONTAINER, DEFAULT, DEFAULT_TERMINAL, FormatOptions, KUBERNETES, TimeForm};
use capture_engine::render::{BufferFormat, TextOptions};

const CURL: &str = "curl_google.scap";
const SOME: &str = "evt.num in (211,215,247,1057,1189,1195,1311,1312)";

fn check(recorded: &str, capture: &str, filter: &str, format: &str, options: FormatOptions) {
    check_but(recorded, capture, filter, format, options, &[]);
}

/// As [`check`], after replacing in stock's text what differs on purpose.
fn check_but(
    recorded: &str,
    capture: &str,
    filter: &str,
    format: &str,
    options: FormatOptions,
    but: &[(&str, &str)],
) {
    let expected = std::fs::read_to_string(data("stock-029").join(recorded)).unwrap();
    let expected = but.iter().fold(expected, |text, (from, to)| text.replace(from, to));
    let ours = print(capture, filter, format, options, true);
    for (ours, expected) in ours.lines().zip(expected.lines()) {
        assert_eq!(ours, expected, "{recorded}");
    }
    // Stock ends colours with a line feed that its terminal added.
    assert_eq!(ours.trim_end(), expected.trim_end(), "{recorded}");
}

fn buffers(buffer: BufferFormat) -> FormatOptions {
    FormatOptions { text: TextOptions { buffer, ..TextOptions::default() }, ..FormatOptions::default() }
}

fn json(buffer: BufferFormat) -> FormatOptions {
    let text = TextOptions { buffer, cut_buffers: false, ..TextOptions::default() };
    FormatOptions { text, json: true, ..FormatOptions::default() }
}

#[test]
fn terminal_line() {
    check("07.txt", "single_ipv6_conn.scap", "evt.num<=860", DEFAULT_TERMINAL, FormatOptions::default());
}

#[test]
fn time_columns() {
    for (recorded, letter) in [("09.txt", "a"), ("10.txt", "r"), ("11.txt", "d"), ("12.txt", "D")] {
        let time = TimeForm::from_letter(letter).unwrap();
        let options = FormatOptions { time, ..FormatOptions::default() };
        check(recorded, CURL, "evt.num>=211 and evt.num<=226", DEFAULT, options);
    }
}

#[test]
fn time_fields() {
    let format = "%evt.num|%evt.time|%evt.time.s|%evt.time.iso8601|%evt.datetime|%evt.datetime.s|%evt.rawtime|%evt.rawtime.s|%evt.rawtime.ns|%evt.reltime|%evt.reltime.s|%evt.reltime.ns|%evt.latency|%evt.latency.s|%evt.latency.ns|%evt.latency.human|%evt.deltatime|%evt.deltatime.s|%evt.deltatime.ns|%evt.outputtime";
    check("13.txt", "test_ipv6_client.scap", "evt.num<180", format, FormatOptions::default());
}

#[test]
fn container_and_pod_lines() {
    check("14.txt", CURL, SOME, CONTAINER, FormatOptions::default());
    check("15.txt", CURL, SOME, KUBERNETES, FormatOptions::default());
}

#[test]
fn widths_missing_values_and_escapes() {
    let plain = FormatOptions::default;
    check(
        "16.txt",
        CURL,
        SOME,
        "*%evt.num|%20evt.type|%3proc.name|%12fd.name|%evt.arg.data|%evt.arg[0]|%evt.rawarg.res|%evt.res|%evt.rawres|%proc.cmdline|",
        plain(),
    );
    check("17.txt", CURL, SOME, "%evt.num %fd.name %evt.arg.data", plain());
    check("18.txt", CURL, "evt.num=212", r"a\nb\tc\e[01;31mred\e[00m\\d \q %evt.num", plain());
}

#[test]
fn fd_fields() {
    // Stock prints a stale fd.typechar where there is no fd; that column is left out.
    let columns = "%fd.l4proto %fd.sip %fd.cip %fd.lip %fd.rip %fd.sport %fd.cport %fd.lport %fd.rport %fd.sockfamily %fd.is_server";
    let expected = std::fs::read_to_string(data("stock-029/19.txt")).unwrap();
    let ours = print(
        "single_ipv6_conn.scap",
        "",
        &format!("*%evt.num %evt.type %fd.num [%fd.name] %fd.type {columns}"),
        FormatOptions::default(),
        true,
    );
    for (ours, expected) in ours.lines().zip(expected.lines()) {
        let mut words: Vec<&str> = expected.split(' ').collect();
        words.remove(words.len() - 12);
        assert_eq!(ours, words.join(" "));
    }
    check(
        "20.txt",
        CURL,
        "evt.type=open and evt.dir=< and evt.num<320",
        "%evt.num %fd.num %fd.type %fd.typechar %fd.name %fd.directory %fd.filename %fd.containername %fd.containerdirectory",
        FormatOptions::default(),
    );
}

#[test]
fn process_fields() {
    let format = "%evt.num %proc.pid %proc.ppid %proc.name %proc.exe %proc.pname %proc.aname[1] %proc.aname[2] %proc.apid[1] %proc.args %proc.cmdline %proc.exeline %proc.cwd %proc.nthreads %proc.nchilds %proc.fdopencount %proc.fdlimit %proc.loginshellid %proc.sname %proc.is_container_healthcheck %thread.tid %thread.ismain %thread.vmsize %thread.vmrss";
    // An exec tells the working directory of a process that the file's list lacks; and the parent
    // of a thread is that of its process.
    let but = &[
        ("www.google.com  1 ", "www.google.com /home/ubuntu/ 1 "),
        ("www.google.com  2 ", "www.google.com /home/ubuntu/ 2 "),
        ("curl curl curl bash sshd", "curl curl bash bash sshd"),
        // Stock skips the mmap calls that the filter drops, and so misses what they tell.
        (" 1 1024 3200 systemd false 17497 true 508 4", " 1 1024 3200 systemd false 17497 true 93240 5144"),
    ];
    check_but("21.txt", CURL, "evt.type=clone or evt.type=execve", format, FormatOptions::default(), but);
}

#[test]
fn buffer_forms() {
    let http = "evt.buffer contains HTTP";
    check("22.txt", CURL, http, DEFAULT, buffers(BufferFormat::Ascii));
    check("23.txt", CURL, http, DEFAULT, buffers(BufferFormat::HexAscii));
    check("24.txt", CURL, http, DEFAULT, buffers(BufferFormat::Base64));
    check(
        "26.txt",
        CURL,
        "evt.type=execve or (evt.type=recvfrom and evt.dir=<)",
        DEFAULT,
        FormatOptions::default(),
    );
}

#[test]
fn json_lines() {
    check("27.txt", CURL, SOME, DEFAULT, json(BufferFormat::Dotted));
    check(
        "28.txt",
        CURL,
        SOME,
        "%evt.num %proc.name %evt.type %evt.rawtime %evt.latency %evt.failed %fd.sport %evt.reltime %proc.pid %evt.buffer",
        json(BufferFormat::Dotted),
    );
    check(
        "29.txt",
        CURL,
        SOME,
        "*%evt.num %fd.name %fd.sport %evt.arg.data %evt.rawres %fd.sip",
        json(BufferFormat::Dotted),
    );
    check("30.txt", CURL, "evt.buffer contains HTTP", DEFAULT, json(BufferFormat::Ascii));
}

#[test]
fn categories_of_generic_calls() {
    let expected = std::fs::read_to_string(data("stock-029/categories.txt")).unwrap();
    let format = "%evt.num %evt.category %evt.type";
    let ours = print("../stock-029/categories.scap", "", format, FormatOptions::default(), true);
    for (ours, expected) in ours.lines().zip(expected.lines()) {
        // Stock knows no category for some calls, and names some by numbers that have moved.
        if !expected.contains(" unknown ") {
            assert_eq!(
                ours.split(' ').take(2).collect::<Vec<_>>(),
                expected.split(' ').take(2).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn latencies_for_people() {
    check(
        "latencies.txt",
        "../stock-029/latencies.scap",
        "",
        "%evt.num %evt.latency.human",
        FormatOptions::default(),
    );
}
