//! The commands: formats, options and filters, one list each.

/// Options and formats of listings.
#[rustfmt::skip]
const OPTIONS: &[&[&str]] = &[
    &[],
    &["-v"],
    &["-A"], &["-b"], &["-x"], &["-X"],
    &["-vA"], &["-vX", "evt.is_io=true"],
    &["-ta"], &["-t", "r"], &["-t", "d"], &["-t", "D"], &["-t", "h"],
    &["-t", "D", "evt.type=open"], &["-d", "-t", "D", "evt.type=open"],
    &["-pc"], &["-pcontainer"], &["-pk"], &["-pkubernetes"], &["-pm"], &["-pp"],
    &["-j"], &["-jA"], &["-jb"], &["-jx"], &["-jX"], &["-j", "-pc"], &["-j", "-pk"],
    &["-R"], &["-R", "-p", "*%evt.num %evt.type %fd.name"], &["-R", "fd.name contains :http"],
    &["-S", "-q"], &["-S", "-q", "evt.dir=<"],
    &["-q"],
    &["-n", "200"], &["-n", "900"], &["-n", "7", "evt.type=close"],
    &["-M", "3"], &["-M", "6"],
    &["-D"], &["-D", "evt.type=open"],
    &["-d", "evt.type=open"], &["-d", "fd.name contains lib"],
    &["-P", "-q"],
    &["-s", "10"], &["-E"], &["--unbuffered", "-n", "300"],
    &["-p", "%evt.num"], &["-p%evt.num%evt.type"], &["--print=%evt.num %evt.type"],
    &["-p", "%evt.numx"],
    &["-p", "*%6evt.num|%10proc.name|%10evt.time|%3evt.cpu|%2evt.dir"],
    &["-p", "%evt.num\\t%proc.name\\n\\e[01;31m%evt.type\\e[00m\\\\ \\q"],
    &["-p", "%evt.num %evt.type %fd.name %evt.arg.data"],
    &["-p", "*%evt.num %evt.type %fd.name %evt.arg.data"],
    &["-p", "%evt.num %evt.buffer"], &["-A", "-p", "%evt.num %evt.buffer"],
    &["-X", "-p", "%evt.num %evt.buffer"], &["-b", "-p", "%evt.num %evt.arg.data"],
    &["-j", "-p", "%evt.num %evt.res %evt.rawres %evt.latency %evt.failed %evt.is_io %proc.pid"],
    &["-j", "-p", "*%evt.num %evt.type %fd.name %evt.arg.data %evt.rawres %evt.buffer"],
    &["-j", "-p", "%evt.num %evt.type %fd.name"],
    &["-t", "r", "-p", "%evt.num %evt.outputtime %evt.time"],
    &["-t", "d", "-p", "%evt.num %evt.outputtime", "evt.dir=<"],
];

/// Filters, with the default line.
#[rustfmt::skip]
const FILTERS: &[&str] = &[
    "evt.type=open",
    "evt.type in (open, openat, close) and evt.dir=<",
    "fd.type=ipv6",
    "fd.type in (file, directory) and evt.dir=>",
    "proc.name=curl",
    "proc.name contains c and evt.failed=true",
    "evt.num<300 and evt.num>210",
    "fd.name startswith /etc",
    "fd.name contains lib or fd.name endswith .conf",
    "not fd.type exists",
    "evt.rawres<0",
    "evt.latency>10000",
    "evt.is_io_read=true",
    "evt.is_io_write=true and evt.dir=<",
    "evt.buffer contains GET",
    "evt.arg.flags contains O_RDONLY",
    "fd.port=80 or fd.port=53",
    "proc.pid=17497 and thread.tid!=17497",
    "evt.category=net",
    "evt.io_dir=write",
    "evt.type=execve or evt.type=clone",
    "fd.l4proto=udp",
    "proc.args contains google",
    "evt.res=ENOENT",
    "container.id!=host",
];

/// All commands.
pub(crate) fn all() -> Vec<Vec<&'static str>> {
    let options = OPTIONS.iter().map(|words| words.to_vec());
    options.chain(FILTERS.iter().map(|filter| vec![*filter])).collect()
}
