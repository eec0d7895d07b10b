//! What comparisons mean, row by row: the worked examples of the stock tools on hand-made events.

mod support;

use support::{Event, Owned, matches, refused};

fn addr(text: &str) -> Owned {
    Owned::Ip(text.parse().expect("an address"))
}

/// A read of `cat`, as in the synthetic capture of the stock runs.
fn read() -> Event {
    Event::new("read", '<')
        .with("evt.num", 5_u64)
        .with("evt.time", "22:13:20.000005000")
        .with("evt.rawtime", 1_700_000_000_010_000_001_u64)
        .with("evt.latency", 1_000_000_u64)
        .with("evt.around[1700000000010000000]", 2_000_000_u64)
        .with("evt.buffer", &b"hello world"[..])
        .with("evt.arg[res]", "11")
        .with("evt.rawarg[res]", 11_i64)
        .with("evt.arg[fd]", "/etc/passwd")
        .with("evt.arg[flags]", "O_RDONLY|O_CLOEXEC")
        .with("evt.rawarg[flags]", 1_i64)
        .with("evt.res", "SUCCESS")
        .with("evt.failed", false)
        .with("proc.name", "cat")
        .with("proc.exepath", "/usr/bin/cat")
        .with("proc.pid", 101_i64)
        .with("proc.aname", vec!["bash", "init"])
        .with("proc.aname[0]", "cat")
        .with("proc.aname[1]", "bash")
        .with("proc.apid[1]", 100_i64)
        .with("proc.env", "A=b HOME=/home/alice")
        .with("proc.env[HOME]", "/home/alice")
        .with("proc.arglist", vec!["/etc/passwd", "-n"])
        .with("fd.name", "/etc/passwd")
        .with("fd.num", 3_i64)
        .with("fd.flags", 5_u64)
        .with("user.uid", 1000_u64)
        .with("thread.cpu", 1.5)
        .with("thread.cgroup[cpu]", "/user.slice")
        .with("k8s.pod.label[app.kubernetes.io/name]", "shop")
}

/// A connected IPv4 socket.
fn connect() -> Event {
    let both = || Owned::List(vec![addr("10.0.0.5"), addr("93.184.216.34")]);
    Event::new("connect", '<')
        .with("fd.ip", both())
        .with("fd.net", both())
        .with("fd.cip", addr("10.0.0.5"))
        .with("fd.sip", addr("93.184.216.34"))
        .with("fd.snet", addr("93.184.216.34"))
        .with("fd.port", vec![40000_u64, 80])
        .with("fd.sport", 80_u64)
        .with("fd.is_server", false)
}

#[test]
fn text_and_buffers() {
    check(
        &read(),
        &[
            ("proc.name=cat", true),
            ("proc.name='c\\x61t'", true),
            ("proc.name=c\\x61t", true),
            ("proc.name=CAT", false),
            ("proc.name icontains CA", true),
            ("proc.name=c*t", false),
            ("proc.name glob c*t", true),
            ("proc.name iglob C?T", true),
            ("proc.name glob '[bc]a*'", true),
            ("fd.name glob '/etc*d'", true),
            ("fd.name glob *passwd", true),
            ("fd.name glob *ssw*", true),
            ("fd.name glob /etc/*", true),
            ("fd.name glob /etc", false),
            ("proc.name regex '^c.*t$'", true),
            ("proc.name regex ca", false),
            ("proc.name<d", true),
            ("proc.name>=cat", true),
            ("evt.time > 20", true),
            ("fd.name pmatch (/etc)", true),
            ("fd.name pmatch (/et)", false),
            ("fd.name pmatch (/etc/passwd/x)", false),
            ("fd.name pmatch (/e*/passwd)", true),
            ("evt.buffer contains \"lo wo\"", true),
            ("evt.buffer bcontains 6f20776f", true),
            ("evt.buffer bstartswith 68656C", true),
            ("evt.buffer startswith hello", true),
            ("evt.buffer='hello world'", true),
            ("evt.buffer contains HELLO", false),
            ("fd.name=<NA>", false),
            ("proc.env contains A=b", true),
        ],
    );
}

#[test]
fn numbers_times_and_flags() {
    check(
        &read(),
        &[
            ("evt.num=5 ", true),
            ("evt.num='5'", true),
            ("evt.num=0x5", true),
            ("evt.num=-1", false),
            ("evt.num>-1", true),
            ("evt.num in (4, 5)", true),
            ("evt.num intersects (5)", true),
            ("evt.latency=1ms", true),
            ("evt.latency>=1000us and evt.latency<1.5ms", true),
            ("evt.rawtime>1700000000010000000", true),
            ("evt.rawtime>=2023-11-14T22:13:20Z", true),
            ("evt.rawtime>2023-11-15", false),
            ("evt.around[1700000000010000000]=2", true),
            ("evt.around[1700000000010000000]=1", false),
            ("thread.cpu>1", true),
            ("thread.cpu=1.5", true),
            ("fd.flags=O_RDONLY|O_CREAT", true),
            ("fd.flags=O_RDONLY", false),
            ("fd.flags in (O_WRONLY, 5)", true),
            ("evt.failed=false", true),
            ("evt.failed!=false", false),
            ("evt.failed in (true, false)", true),
            ("evt.type in (read)", true),
            ("evt.type!=read", false),
            ("evt.dir=<", true),
            ("evt.dir=>", false),
        ],
    );
}

#[test]
fn absent_values_and_arguments() {
    check(
        &read(),
        &[
            ("fd.sport=80", false),
            ("fd.sport!=80", false),
            ("not fd.sport=80", true),
            ("not fd.sport!=80", true),
            ("fd.sport exists", false),
            ("fd.ip!=1.1.1.1", false),
            ("not not fd.name exists", true),
            ("evt.arg.res=11", true),
            ("evt.arg[res]=11", true),
            ("evt.rawarg.res>10", true),
            ("evt.arg.flags contains O_RDONLY", true),
            ("evt.arg.flags=1", false),
            ("evt.rawarg.flags=1", true),
            ("evt.arg.name=x", false),
            ("proc.env[HOME]=/home/alice", true),
            ("thread.cgroup.cpu=/user.slice", true),
            ("k8s.pod.label.app.kubernetes.io/name=shop", true),
            ("k8s.pod.label[app.kubernetes.io/name]=shop", true),
            ("proc.aname=init", true),
            ("proc.aname=cat", false),
            ("proc.aname[0]=cat", true),
            ("proc.aname[1]=bash", true),
            ("proc.aname[2] exists", false),
            ("proc.apid[1]=100", true),
            ("proc.aname!=bash", false),
            ("proc.aname!=zsh", true),
        ],
    );
}

#[test]
fn addresses_and_ports() {
    check(
        &connect(),
        &[
            ("fd.ip=93.184.216.34", true),
            ("fd.ip=10.0.0.5", true),
            ("fd.ip=127.0.0.1", false),
            ("fd.ip!=127.0.0.1", true),
            ("fd.ip!=10.0.0.5", false),
            ("fd.ip=::1", false),
            ("fd.ip exists", true),
            ("fd.ip in (1.1.1.1, 10.0.0.5)", true),
            ("fd.sip in (93.184.216.34, 1.1.1.1)", true),
            ("fd.port=80", true),
            ("fd.port=http", true),
            ("fd.port!=80", false),
            ("fd.port>1000", true),
            ("fd.port<100", true),
            ("fd.sport in (https, http)", true),
            ("fd.net=93.184.0.0/16", true),
            ("fd.net in (1.0.0.0/8, 10.0.0.0/8)", true),
            ("fd.net!=10.0.0.0/8", false),
            ("fd.net=0.0.0.0/0", true),
            ("fd.net=2001:db8::/32", false),
            ("fd.snet=10.0.0.0/8", false),
            ("fd.is_server=false", true),
        ],
    );
    let six = Event::new("connect", '<').with("fd.net", vec![addr("2001:db8::3"), addr("2001:db8::4")]);
    check(
        &six,
        &[
            ("fd.net=2001:db8::", true),
            ("fd.net=2001:db8::/64", true),
            ("fd.net=2001:db8:1::/48", false),
            ("fd.net=0.0.0.0/0", false),
        ],
    );
}

#[test]
fn lists_modifiers_and_transformers() {
    check(
        &read(),
        &[
            ("proc.name == anyof (curl, cat)", true),
            ("proc.name contains anyof (ur, at)", true),
            ("proc.name contains any (ur, at)", true),
            ("proc.name contains oneof (c, a)", false),
            ("proc.name contains oneof (x, a)", true),
            ("proc.name contains allof (c, a, t)", true),
            ("proc.name != allof (curl, wget)", true),
            ("proc.name != allof (curl, cat)", false),
            ("proc.name = allof ()", false),
            ("proc.arglist in (/etc/passwd, -n, -x)", true),
            ("proc.arglist in (/etc/passwd)", false),
            ("proc.arglist intersects (-n, -z)", true),
            ("proc.arglist exists", true),
            ("len(proc.arglist)=2", true),
            ("getopt(proc.arglist, 'n')[n] exists", false),
            ("toupper(proc.name)=CAT", true),
            ("len(tolower(proc.name))=3", true),
            ("basename(proc.exepath)=cat", true),
            ("basename(proc.exepath)=val(proc.name)", true),
            ("proc.name=basename(proc.exepath)", true),
            ("proc.exepath endswith val(proc.name)", true),
            ("proc.exepath=val(proc.name)", false),
            ("concat(proc.name,'x')='catx'", true),
            ("join('/', (proc.name, evt.type))='cat/read'", true),
            ("proc.name in (curl, val(proc.name))", true),
            ("b64(proc.env) exists", false),
            ("tolower(fd.directory)=x", false),
        ],
    );
}

#[test]
fn precedence() {
    check(
        &read(),
        &[
            ("evt.type=read or evt.type=open and proc.name=x", true),
            ("(evt.type=read or evt.type=open) and proc.name=x", false),
            ("not proc.name=x and proc.name=cat", true),
            ("not(proc.name=x)and(proc.name=cat)", true),
            ("(proc.name=cat)or(evt.dir=>)", true),
            ("  proc.name = cat\n and\tfd.num=3  ", true),
            ("evt.type = open or not evt.type = open", true),
        ],
    );
}

#[test]
fn refusals_say_why() {
    for (filter, reason) in [
        ("proc.name=curl AND evt.type=open", "lower case"),
        ("!evt.type=open", "write `not`"),
        ("proc.name=a && proc.name=b", "write `and`"),
        ("fd.num contains 3", "`contains` does not work on `fd.num`, which is a number; it takes = != <"),
        ("evt.type startswith op", "does not work on `evt.type`"),
        ("evt.type=opne", "did you mean `open`?"),
        ("evt.arg.flgas=1", "did you mean `flags`?"),
        ("evt.arg=1", "needs an argument"),
        ("fd.name[3]=1", "takes no argument"),
        ("fd.is_server=1", "write true or false"),
        ("fd.ip=notanip", "an IP address"),
        ("fd.ip=10.0.0.0/8", "an IP"),
        ("fd.net=10.0.0.0", "write address/bits"),
        ("fd.port=nosuchservice", "a port number or a known service"),
        ("evt.num=1.5", "a valid number"),
        ("evt.latency>10min", "a duration"),
        ("evt.buffer bcontains 4g", "hexadecimal"),
        ("proc.name regex '('", "bad pattern"),
        ("proc.name regex 'a)(b'", "bad pattern"),
        ("proc.name='curl", "never closed"),
        ("proc.name='a\\x4'", "two hexadecimal digits"),
        ("proc.name='a\\x00'", "NUL"),
        ("proc.name='a\0'", "NUL"),
        ("proc.name=a\0", "NUL"),
        ("tolwer(proc.name)=a", "did you mean `tolower`?"),
        ("tolower(fd.num)=a", "`fd.num` is a number"),
        ("len()=1", "is used as len(field)"),
        ("tolower(fd.ip)=a", "cannot be applied to `fd.ip`"),
        ("proc.name=val(fd.num)", "they cannot be compared"),
        ("val(proc.name)=a", "on the right side only"),
        ("fd.ip=val(fd.sip)", "cannot be compared with another field"),
        ("proc.name in (cat bash)", "expected"),
        ("proc", "neither a check nor a known macro; a check looks like `proc.name = value`"),
        ("(proc.name=a", "still open"),
    ] {
        let error = refused(filter);
        assert!(error.contains(reason), "{filter}:\n{error}");
    }
}

fn check(event: &Event, rows: &[(&str, bool)]) {
    for (filter, want) in rows {
        assert_eq!(matches(filter, event), *want, "{filter}");
    }
}
