//! The probe's iterators over threads and open files: what the kernel tells of all of them in two
//! readings, where /proc takes several calls for each.
//!
//! They are loaded and opened with the probe, while the rights for that are there; reading takes none.
//! Where the kernel refuses them there is a reason, and /proc.

use super::error::LiveError;
use super::iter_link::IterLink;
use super::offsets::Resolved;
use super::tasks::Thread;
use aya::Ebpf;
use aya::programs::{Iter, ProgramError, ProgramFd};
use capture_common::abi::{RECORD_MAX, RecordHeader, RecordView};
use capture_common::kernel_offsets::ABSENT;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Names of the programs in the object, and the kinds of iterators.
pub(super) const PROGRAMS: [(&str, &str); 3] =
    [("capture_iter_task", "task"), ("capture_iter_file", "task_file"), ("capture_iter_cpu", "task")];

/// Why the iterators are not tried at all.
pub(super) fn obstacle(resolved: &Resolved) -> Option<String> {
    let has_them = resolved.globals.iter().any(|&(name, value)| name == "IM_SEQ" && value != ABSENT);
    (!has_them).then(|| "this kernel has no BPF iterators".to_owned())
}

/// Bytes asked for at once; the kernel gives at most 32 KiB.
const CHUNK: usize = 64 << 10;
/// Readings in a row that may give nothing yet: the kernel takes a break after a million objects.
const EMPTY_MAX: u32 = 1000;

/// The iterators, opened. Those over threads and files are read once.
#[derive(Debug)]
pub struct Iterators {
    tasks: File,
    files: File,
    cpu: Option<IterLink>,
    /// The program over threads, for further readings.
    program: Option<ProgramFd>,
    /// This process's id as the kernel counts it.
    own_pid: u32,
}

fn threads(iterator: &IterLink) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    each_record(&mut iterator.open()?, &mut |record| threads.extend(Thread::of(record)))?;
    Ok(threads)
}

impl Iterators {
    /// Attaches and opens the programs, which are loaded.
    pub(super) fn open(ebpf: &Ebpf, own_pid: u32) -> Result<Iterators, ProgramError> {
        let program = |name: &str| -> Result<&ProgramFd, ProgramError> {
            let program: &Iter = ebpf.program(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
            program.fd()
        };
        let [tasks, files, cpu] = [program(PROGRAMS[0].0)?, program(PROGRAMS[1].0)?, program(PROGRAMS[2].0)?];
        let attach = |program: &ProgramFd| IterLink::attach(program.as_fd());
        Ok(Iterators {
            tasks: attach(tasks)?.open()?,
            files: attach(files)?.open()?,
            cpu: Some(attach(cpu)?),
            program: Some(tasks.try_clone()?),
            own_pid,
        })
    }

    /// The probe's object with these programs alone, for who wants nothing else of it.
    ///
    /// # Errors
    /// What is missing, or why this kernel has no iterators.
    pub fn load() -> Result<Iterators, LiveError> {
        let options = super::ProbeOptions {
            parts: Vec::new(),
            exclude_self: false,
            ring_bytes: Some(1 << 20),
            ..super::ProbeOptions::default()
        };
        let mut probe = super::Probe::load(&options)?;
        probe.take_iterators().map_err(|reason| LiveError::NoIterators { reason })
    }

    /// The iterator over the CPU time of threads; once.
    pub(super) fn take_cpu(&mut self) -> Option<IterLink> {
        self.cpu.take()
    }

    /// This process's id as the kernel counts it.
    pub(super) fn own_pid(&self) -> u32 {
        self.own_pid
    }

    /// All threads that this process's pid namespace has now.
    pub(super) fn threads_now(&self) -> io::Result<Vec<Thread>> {
        threads(&IterLink::attach(self.program()?)?)
    }

    /// The threads of one process, of which this is the pidfd; an error before Linux 6.1.
    pub(super) fn threads_of(&self, process: BorrowedFd<'_>) -> io::Result<Vec<Thread>> {
        threads(&IterLink::attach_to(self.program()?, process)?)
    }

    fn program(&self) -> io::Result<BorrowedFd<'_>> {
        self.program.as_ref().map(AsFd::as_fd).ok_or_else(|| io::Error::other("there is no program"))
    }

    /// Gives each thread's record to `each`.
    ///
    /// # Errors
    /// The system's, or that of a record that is none.
    pub(super) fn each_task(&mut self, each: &mut dyn FnMut(&RecordView<'_>)) -> io::Result<()> {
        each_record(&mut self.tasks, each)
    }

    /// Gives each open file's record to `each`.
    ///
    /// # Errors
    /// As of [`each_task`](Self::each_task).
    pub(super) fn each_file(&mut self, each: &mut dyn FnMut(&RecordView<'_>)) -> io::Result<()> {
        each_record(&mut self.files, each)
    }

    /// Their own fds, which are no part of the state.
    pub(super) fn own_fds(&self) -> [i64; 2] {
        [&self.tasks, &self.files].map(|file| i64::from(file.as_raw_fd()))
    }
}

/// Reads records to the end.
pub(super) fn each_record(file: &mut impl Read, each: &mut dyn FnMut(&RecordView<'_>)) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let (mut filled, mut empty) = (0, 0);
    loop {
        if filled == buffer.len() {
            buffer.resize(filled + CHUNK, 0);
        }
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == ErrorKind::WouldBlock && empty < EMPTY_MAX => {
                empty += 1;
                continue;
            }
            Err(e) => return Err(e),
        }
        empty = 0;
        let mut at = 0;
        while let Some(record) = first_record(&buffer[at..filled])? {
            each(&record);
            at += record.header.len as usize;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    match filled {
        0 => Ok(()),
        left => Err(io::Error::new(ErrorKind::InvalidData, format!("{left} bytes of a record at the end"))),
    }
}

/// The first record of what was read; `None` if it is not whole yet.
fn first_record(bytes: &[u8]) -> io::Result<Option<RecordView<'_>>> {
    let Some(header) = RecordHeader::read(bytes) else { return Ok(None) };
    let len = header.len as usize;
    if !(RecordHeader::LEN_BYTES..=RECORD_MAX).contains(&len) || !len.is_multiple_of(8) {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a record of {len} bytes")));
    }
    Ok(RecordView::parse(bytes))
}

#[cfg(test)]
impl Iterators {
    /// Iterators that tell what is in files, and no more.
    pub(super) fn of_files(tasks: File, files: File) -> Iterators {
        Iterators { tasks, files, cpu: None, program: None, own_pid: std::process::id() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(into.len());
            into[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn record(len: u32, tid: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[16..20].copy_from_slice(&tid.to_ne_bytes());
        bytes
    }

    #[test]
    fn records_are_found_however_they_come() {
        let bytes = [record(24, 1), record(4096, 2), record(32, 3)].concat();
        for step in [1, 7, 24, 5000, CHUNK] {
            let mut tids = Vec::new();
            each_record(&mut Slowly(&bytes, step), &mut |r| tids.push(r.header.tid)).unwrap();
            assert_eq!(tids, [1, 2, 3], "{step}");
        }
    }

    /// What is delivered of two whole records and what follows them, and the error.
    fn read_with(bad: &[u8], step: usize) -> (Vec<u32>, String) {
        let bytes = [&record(24, 1)[..], &record(48, 2), bad].concat();
        let mut tids = Vec::new();
        let read = each_record(&mut Slowly(&bytes, step), &mut |r| tids.push(r.header.tid));
        (tids, read.expect_err("damage").to_string())
    }

    #[test]
    fn damage_is_an_error_and_what_is_before_it_is_delivered() {
        let more = record(24, 4);
        for step in [1, 7, 24, CHUNK] {
            for cut in [1, 3, 4, 23, 24, 39] {
                let says = format!("{cut} bytes of a record at the end");
                assert_eq!(read_with(&record(40, 3)[..cut], step), (vec![1, 2], says), "{step}");
            }
            for len in [0, 1, 8, 16, 23, 25, 44, RECORD_MAX as u32 + 8, u32::MAX - 7, u32::MAX] {
                let mut bad = record(24, 3);
                bad[..4].copy_from_slice(&len.to_ne_bytes());
                let says = format!("a record of {len} bytes");
                assert_eq!(read_with(&[&bad[..], &more].concat(), step), (vec![1, 2], says), "{step}");
            }
        }
    }

    /// Gives what it has, then fails.
    struct Failing<'a>(&'a [u8], ErrorKind);

    impl Read for Failing<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(self.1.into()) } else { Read::read(&mut self.0, into) }
        }
    }

    #[test]
    fn a_reading_that_fails_delivers_what_it_gave() {
        let bytes = [record(24, 1), record(32, 2)].concat();
        // One that always has nothing yet is no endless loop.
        for kind in [ErrorKind::Other, ErrorKind::OutOfMemory, ErrorKind::WouldBlock] {
            let mut tids = Vec::new();
            let read = each_record(&mut Failing(&bytes, kind), &mut |r| tids.push(r.header.tid));
            assert_eq!((read.map_err(|e| e.kind()), tids), (Err(kind), vec![1, 2]));
        }
    }
}
