//! Lua that means harm, or is merely broken: a clear error with its place, an exit code, no crash and
//! no hang.

use crate::support::{capture, run};
use capture_tests::data_dir;
use std::time::{Duration, Instant};

/// What a chisel starts with.
const HEAD: &str = "description = 'd' short_description = 's' category = 'c' args = {}\n";

/// Runs a chisel with this text; the answer is stdout, stderr and the exit code.
fn chisel(text: &str, options: &[&str]) -> (String, String, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("evil.lua"), format!("{HEAD}{text}")).expect("writes");
    let file = data_dir().join("captures/curl_google.scap");
    let file = file.to_str().expect("is text");
    let words = [options, &["-r", file, "-c", "evil.lua"]].concat();
    let started = Instant::now();
    let output = run(capture(), folder.path(), &words);
    assert!(started.elapsed() < Duration::from_secs(20), "{text}: {:?}", started.elapsed());
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (utf8(&output.stdout), utf8(&output.stderr), output.status.code())
}

/// It fails with code 1, in one line that has all of `parts`.
fn fails(text: &str, options: &[&str], parts: &[&str]) {
    let (_, stderr, code) = chisel(text, options);
    assert_eq!(code, Some(1), "{text}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{text}: no {part:?} in {stderr:?}");
    }
    assert!(!stderr.contains("panicked") && !stderr.contains("stack traceback"), "{text}: {stderr}");
}

#[test]
fn endless_loops_end() {
    let short = &["--lua-time", "0.3"];
    let warm = "local n = 0 for i = 1, 1e6 do n = n + i end ";
    for body in [
        "while true do end",
        "for i = 1, 1e6 do end while true do local x = 1 end",
        "repeat until false",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end f()",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "for _ in function() return 1 end do end",
        "while true do print('x') end",
    ] {
        for (callback, answer) in [("on_event", ""), ("on_init", "return true"), ("on_capture_end", "")] {
            let text = format!("function {callback}() {warm} {body} {answer} end");
            let text =
                if body.starts_with("local function") { text.replace(" return true ", " ") } else { text };
            fails(&text, short, &["evil.lua:2: ", "it ran for more than 0.3 s", callback]);
        }
    }
    fails("while true do end", short, &["Failed to load chisel evil", "evil.lua:2: "]);
}

#[test]
fn endless_calls_without_instructions_end() {
    let text = "function on_event() string.find(string.rep('a', 400), string.rep('.-', 12) .. 'b') end";
    fails(text, &["--lua-time", "0.3"], &["evil", "on_event", "cannot be interrupted"]);
}

#[test]
fn memory_bombs_end() {
    let small = &["--lua-memory", "32"];
    for body in [
        "local t = {} while true do t[#t + 1] = {1, 2, 3} end",
        "local s = 'x' while true do s = s .. s end",
        "string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = string.rep('x', 1e6) local t = {} for i = 1, 1e6 do t[i] = s .. i end",
    ] {
        fails(
            &format!("function on_event() {body} end"),
            small,
            &["evil chisel error in on_event()", "not enough memory"],
        );
    }
    let caught =
        "function on_event() pcall(string.rep, 'x', 1e9) end function on_capture_end() print('fine') end";
    assert_eq!(chisel(caught, small).0, "fine\n");
}

#[test]
fn an_error_in_each_callback_has_its_place() {
    for (text, parts) in [
        ("x = = 1", &["Failed to load chisel evil", "evil.lua:2: "][..]),
        ("error('boom')", &["Failed to load chisel evil", "evil.lua:2: boom"]),
        ("args = 1", &["args table missing"]),
        ("args = {{name = {}}}", &["Failed to load chisel evil", "args: a table"]),
        ("function on_init() error('boom') end", &["on_init(): ", "evil.lua:2: boom"]),
        ("function on_init() return 1 end", &["wrong init() return value"]),
        ("function on_init() return false end", &["init() for chisel evil failed."]),
        ("function on_capture_start() local x = nil; x() end", &["on_capture_start(): ", "evil.lua:2: "]),
        ("function on_capture_start() end", &["wrong capture_start() return value"]),
        ("function on_event() error('boom') end", &["on_event(): ", "evil.lua:2: boom"]),
        ("function on_event() error({}) end", &["on_event(): "]),
        ("function on_event() error() end", &["on_event(): "]),
        (
            "function on_init() chisel.set_interval_s(1) return true end function on_interval() error('boom') end",
            &["on_interval(): ", "evil.lua:2: boom"],
        ),
        (
            "function on_init() chisel.set_interval_s(1) return true end function on_interval() return false end",
            &["execution terminated by the evil chisel"],
        ),
        ("function on_capture_end() error('boom') end", &["on_capture_end(): ", "evil.lua:2: boom"]),
        (
            "function on_event() local function f() return 1 + f() end f() end",
            &["on_event(): ", "stack overflow"],
        ),
    ] {
        fails(text, &[], parts);
    }
}

#[test]
fn wrong_calls_of_the_api_say_what_is_wrong() {
    for call in [
        "chisel.request_field()",
        "chisel.request_field({})",
        "chisel.request_field('no.such')",
        "chisel.request_field('fd.name x')",
        "chisel.set_filter()",
        "chisel.set_filter({})",
        "chisel.set_filter('no.such=1')",
        "chisel.set_event_formatter('%no.such')",
        "chisel.set_event_formatter({})",
        "chisel.set_interval_s('x')",
        "chisel.set_interval_ns(-1)",
        "chisel.set_precise_interval_ns({})",
        "chisel.set_interval_s(0/0)",
        "chisel.exec()",
        "chisel.exec('x', {})",
        "evt.field({})",
        "evt.field('x')",
        "evt.field(f)",
        "evt.get_num()",
        "evt.get_ts()",
        "evt.get_type()",
        "evt.get_cpuid()",
        "sysdig.set_filter({})",
        "sysdig.set_filter('proc.name=')",
        "sysdig.set_snaplen({})",
        "sysdig.set_snaplen(-1)",
        "sysdig.set_output_format('no')",
        "sysdig.set_output_format({})",
        "sysdig.make_ts({}, 1)",
        "sysdig.add_ts('x', '1')",
        "sysdig.subtract_ts({}, '1')",
        "sysdig.get_machine_info()",
        "sysdig.get_thread_table()",
        "sysdig.get_thread_table({})",
        "sysdig.get_container_table()",
        "sysdig.run_app({})",
        "sysdig.log('x')",
        "sysdig.log('x', 'y')",
        "sysdig.udp_setpeername('x', 1)",
        "sysdig.udp_setpeername('8.8.8.8', 53)",
        "sysdig.udp_setpeername('127.0.0.1', 'x')",
        "sysdig.udp_send('x')",
        "os.execute('true')",
        "io.popen('true')",
        "io.open('/etc/passwd')",
        "io.open('x', 'w')",
        "io.open({})",
        "io.open('../x', 'r')",
        "io.lines('/etc/passwd')",
        "dofile('/etc/passwd')",
        "os.remove('x')",
        "os.rename('x', 'y')",
        "os.getenv('HOME')",
        "os.tmpname()",
        "io.write({})",
        "io.stdout:write({})",
        "require('no.such.module')",
        "require('ffi')",
        "require('jit')",
        "loadstring({})",
        "for i = 1, 1e5 do chisel.request_field('evt.num') end",
        "assert(loadstring(string.char(27) .. 'LJ'))",
    ] {
        let text = format!("function on_init() f = chisel.request_field('evt.num') {call} return true end");
        fails(&text, &[], &["evil chisel error in on_init()", "evil.lua:2: "]);
    }
    let gone = "print(ffi, jit, newproxy, string.dump, debug.getinfo, debug.sethook)";
    assert_eq!(chisel(gone, &[]).0, "nil\tnil\tnil\tnil\tnil\tnil\n");
}

#[test]
fn what_a_chisel_may_do_works() {
    for (body, expected) in [
        (
            "print(evt.field(nil), evt.field(0), 1534527348514615000, 17497, 0.5, true, nil)",
            "nil\tnil\t1.5345273485146e+18\t17497\t0.5\ttrue\tnil\n",
        ),
        ("io.write('a', 1, 2.5, '\\n') io.stdout:write('b\\n') io.flush()", "a12.5\nb\n"),
        (
            "print(sysdig.make_ts(1, 2), sysdig.add_ts('1', '2'), sysdig.subtract_ts('18446744073709551615', '1'))",
            "1000000002\t3\t18446744073709551614\n",
        ),
        ("print(type(os.time()), os.date('!%Y', 0), pcall(require, 'lpeg'))", "number\t1970\tfalse\t"),
        ("table.insert({}, 0, 'x') print(string.format('%d %u', 1.5, 2.7), ('x y'):match('%g'))", "1 2\tx\n"),
        (
            "print(sysdig.get_filter(), sysdig.is_live(), sysdig.is_tty(), sysdig.get_terminal_info().width)",
            "\tfalse\tfalse\t-1\n",
        ),
        ("print(string.format('%q', string.rep('x', 3)), #string.rep('x', 1e7))", "\"xxx\"\t10000000\n"),
    ] {
        let text = format!("function on_init() {body} return true end");
        let (stdout, stderr, code) = chisel(&text, &[]);
        assert_eq!(code, Some(0), "{body}: {stderr}");
        assert!(stdout.starts_with(expected), "{body}: {stdout:?}");
    }
    let (stdout, _, code) = chisel("print('x') pcall(os.exit, 3)", &[]);
    assert_eq!((&*stdout, code), ("", Some(3)));
    let all =
        "function on_init() print(pcall(io.open, '/etc/hostname')) os.execute('echo hi') return true end";
    let (stdout, stderr, code) = chisel(all, &["--lua-unsafe"]);
    assert!(code == Some(0) && stdout.ends_with("hi\n"), "{stdout} {stderr}");
}

#[test]
fn huge_text_is_no_trouble() {
    let text = "function on_event() n = (n or 0) + 1 if n < 20 then io.write(string.rep('x', 1e7)) end end";
    let (stdout, stderr, code) = chisel(text, &[]);
    assert_eq!((stdout.len(), code), (190_000_000, Some(0)), "{stderr}");
    fails(
        "function on_init() chisel.set_filter('proc.name=' .. string.rep('x', 1e7)) return true end",
        &[],
        &["on_init"],
    );
    fails(
        "function on_init() chisel.request_field(string.rep('x', 1e5)) return true end",
        &[],
        &["nonexistent field"],
    );
}
