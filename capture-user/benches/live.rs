//! `cargo xtask bench live`: what capturing adds to a system call, in one paired run.
//!
//! One process, one looping thread pinned to a CPU of its own. The variants (bare, an empty exit
//! program, one that reads the clock, capture without and with enter records) take turns for a few
//! milliseconds each, many times, so that a noisy machine hits all alike; a consumer on another CPU
//! drains the rings as a capture would. A round compares each variant with the bare calls beside it;
//! printed per call are the medians over the rounds: what a variant adds to the bare call, and that
//! as a multiple of e, what the empty program adds.

use anyhow::{Context, Result, bail};
use capture_user::live::{Collector, Item, LiveOptions, Part, ProbeOptions};
use std::{
    fs::File,
    os::fd::{AsRawFd, RawFd},
    path::PathBuf,
    sync::mpsc,
    time::Instant,
};

/// Measured calls and the limits, in multiples of e, without and with enter records.
const CALLS: [Call; 5] = [
    Call { name: "getppid", kind: Kind::Getppid, limits: Some((2.1, 3.1)) },
    Call { name: "close(-1)", kind: Kind::Close, limits: Some((2.1, 3.1)) },
    Call { name: "read 1 B", kind: Kind::Read, limits: None },
    Call { name: "write 80 B", kind: Kind::Write(80), limits: Some((3.9, 4.8)) },
    Call { name: "write 1 KB", kind: Kind::Write(1024), limits: None },
];

const VARIANTS: [(&str, &[Part]); 5] = [
    ("bare", &[]),
    ("empty tp_btf exit", &[Part::Empty]),
    ("the same, clock read", &[Part::Clock]),
    ("capture --no-enter", &[Part::Exit]),
    ("capture", &[Part::Exit, Part::Enter]),
];

/// ns per call of each variant.
type Round = [f64; VARIANTS.len()];

/// The first variant that has a limit.
const LIMITED_FROM: usize = 3;
const ROUNDS: usize = 48;
const BATCHES: usize = 12;
const PER_BATCH: u32 = 500;

#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    kind: Kind,
    limits: Option<(f64, f64)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Getppid,
    Close,
    Read,
    Write(usize),
}

/// Runs the benchmark; `--check` fails when a limit is broken, `--probe FILE` measures another
/// object than the built-in one.
fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let check = args.iter().any(|a| a == "--check");
    let object = args.iter().position(|a| a == "--probe").and_then(|i| args.get(i + 1)).map(PathBuf::from);
    // Snaplen above the largest write, so that 1 KB is copied whole.
    let parts = vec![Part::Exit, Part::Enter, Part::Empty, Part::Clock];
    let probe = ProbeOptions {
        snaplen: 8192,
        exclude_self: false,
        parts: parts.clone(),
        object,
        ..ProbeOptions::default()
    };
    let mut collector = Collector::open(&LiveOptions { probe }).context("loading the probe")?;
    for part in parts {
        collector.probe().detach(part)?;
    }
    let looper = Looper::start()?;
    pin(0);
    let mut broken = Vec::new();
    println!("ns per call, median of {ROUNDS} rounds; e = what an empty exit program adds");
    for call in CALLS {
        let rounds = measure(&mut collector, &looper, call.kind)?;
        broken.extend(report(&call, &rounds));
    }
    if check && !broken.is_empty() {
        bail!("over the limit: {}", broken.join(", "));
    }
    Ok(())
}

/// ns per call of each variant, by rounds.
fn measure(collector: &mut Collector, looper: &Looper, kind: Kind) -> Result<Vec<Round>> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut round = [0.0; VARIANTS.len()];
        for ((_, parts), ns) in VARIANTS.iter().zip(&mut round) {
            for part in *parts {
                collector.probe().attach(*part)?;
            }
            looper.work.send(kind)?;
            let batches = loop {
                let pause = collector.drain(&mut |item: Item<'_>| {
                    std::hint::black_box(&item);
                })?;
                // The pace of a real capture: a consumer that polls without a pause takes the
                // rings' cache lines away from the producer.
                std::thread::sleep(pause);
                match looper.done.try_recv() {
                    Ok(batches) => break batches,
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(e) => return Err(e).context("the looping thread died"),
                }
            };
            // Its best quarter: an interrupted batch says nothing of the calls.
            *ns = quantile(batches, 0.25);
            for part in *parts {
                collector.probe().detach(*part)?;
            }
        }
        rounds.push(round);
    }
    Ok(rounds)
}

/// The value below which this share of them lies.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * share) as usize]
}

/// Prints one call's table; returns the broken limits.
fn report(call: &Call, rounds: &[Round]) -> Vec<String> {
    let median = |of: &dyn Fn(&Round) -> f64| quantile(rounds.iter().map(of).collect(), 0.5);
    let bare = median(&|round| round[0]);
    let added = |variant: usize| median(&|round| round[variant] - round[0]);
    let e = added(1);
    println!("\n{:<12} e = {e:.0} ns", call.name);
    let limits = call.limits.map_or([None, None], |(exit, both)| [Some(exit), Some(both)]);
    let mut broken = Vec::new();
    for (i, (name, _)) in VARIANTS.iter().enumerate() {
        let added = added(i);
        let multiple = added / e;
        let limit = i.checked_sub(LIMITED_FROM).and_then(|at| limits[at]);
        let verdict = match limit {
            Some(limit) if multiple > limit => {
                broken.push(format!("{} {name}: {multiple:.2} e, limit {limit}", call.name));
                format!("  limit {limit} BROKEN")
            }
            Some(limit) => format!("  limit {limit}"),
            None => String::new(),
        };
        println!("  {name:<21} {:7.1}  +{added:6.1}  {multiple:5.2} e{verdict}", bare + added);
    }
    broken
}

/// The thread that makes the calls.
struct Looper {
    work: mpsc::Sender<Kind>,
    done: mpsc::Receiver<Vec<f64>>,
}

impl Looper {
    fn start() -> Result<Self> {
        let (work, todo) = mpsc::channel();
        let (results, done) = mpsc::channel();
        let null = File::options().write(true).open("/dev/null")?;
        let zero = File::open("/dev/zero")?;
        std::thread::spawn(move || {
            pin(1);
            let mut buffer = vec![7u8; 8192];
            let (null, zero) = (null.as_raw_fd(), zero.as_raw_fd());
            while let Ok(kind) = todo.recv() {
                batch(kind, null, zero, &mut buffer);
                let times = (0..BATCHES).map(|_| batch(kind, null, zero, &mut buffer)).collect();
                if results.send(times).is_err() {
                    break;
                }
            }
        });
        Ok(Self { work, done })
    }
}

/// ns per call of one batch.
#[expect(unsafe_code, reason = "the measured calls are raw ones, without a wrapper's cost")]
fn batch(kind: Kind, null: RawFd, zero: RawFd, buffer: &mut [u8]) -> f64 {
    let started = Instant::now();
    for _ in 0..PER_BATCH {
        // SAFETY: the buffer is larger than any length here; -1 is no descriptor.
        unsafe {
            match kind {
                Kind::Getppid => libc::syscall(libc::SYS_getppid),
                Kind::Close => libc::syscall(libc::SYS_close, -1),
                Kind::Read => libc::syscall(libc::SYS_read, zero, buffer.as_mut_ptr(), 1),
                Kind::Write(len) => libc::syscall(libc::SYS_write, null, buffer.as_ptr(), len),
            };
        }
    }
    started.elapsed().as_nanos() as f64 / f64::from(PER_BATCH)
}

/// Pins the calling thread to a CPU and raises its priority as far as allowed; on a machine with
/// one CPU both threads share it.
#[expect(unsafe_code, reason = "sched_setaffinity has no safe form in std")]
fn pin(cpu: usize) {
    // SAFETY: a zeroed set is an empty one; the calls take its address and size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
        libc::setpriority(libc::PRIO_PROCESS, 0, -20);
    }
}
