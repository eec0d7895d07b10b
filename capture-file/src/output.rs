//! [`Output`]: the thread that encodes frames and writes them, and the file behind it.
//!
//! The queue in front is bounded, so that a slow disk holds up its producer instead of eating
//! memory. After a fault the thread goes on taking frames and drops them: nobody waits for a
//! dead file, and the fault is told at the next call.

use crate::FileError;
use crate::encoder::FrameEncoder;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Where the bytes go.
pub(crate) enum Target {
    /// A regular file: cut back to its last whole frame when a write fails.
    File(File),
    /// Everything else.
    Stream(Box<dyn Write + Send>),
}

impl Target {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::File(file) => file.write_all(bytes),
            Target::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Takes away what a failed write left behind the first `len` bytes.
    fn cut_back(&mut self, len: u64) {
        if let Target::File(file) = self {
            // The file is at fault already; a reader copes with the torn tail if this fails too.
            let _ = file.set_len(len);
        }
    }
}

#[derive(Default)]
struct Shared {
    file_bytes: AtomicU64,
    queued: AtomicUsize,
    failed: AtomicBool,
    fault: Mutex<Option<FileError>>,
}

pub(crate) struct Output {
    file: String,
    depth: usize,
    frames: Option<SyncSender<Vec<u8>>>,
    spares: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    pub(crate) fn start(
        file: String,
        target: Target,
        encoder: FrameEncoder,
        depth: usize,
    ) -> Result<Self, FileError> {
        let (frames, incoming) = sync_channel(depth);
        let (give_back, spares) = channel();
        let shared = Arc::new(Shared::default());
        let worker = Worker { file: file.clone(), target, encoder, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("capture-write".into())
            .spawn(move || worker.run(&incoming, &give_back))
            .map_err(|source| FileError::Thread { file: file.clone(), what: "encoding", source })?;
        Ok(Output { file, depth, frames: Some(frames), spares, shared, thread: Some(thread) })
    }

    /// Hands over a frame; waits while the queue is full. Gives back an empty buffer.
    pub(crate) fn send(&mut self, frame: Vec<u8>) -> Result<Vec<u8>, FileError> {
        self.check()?;
        let Some(frames) = &self.frames else { return Err(self.closed()) };
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        frames.send(frame).map_err(|_| self.closed())?;
        Ok(self.spares.try_recv().unwrap_or_default())
    }

    /// Whether [`Output::send`] would not wait.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) < self.depth
    }

    /// Bytes in the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.shared.file_bytes.load(Ordering::Relaxed)
    }

    /// Tells the fault if there was one, once; afterwards that the file is closed.
    pub(crate) fn check(&self) -> Result<(), FileError> {
        if !self.shared.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let fault = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(fault.unwrap_or_else(|| self.closed()))
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&mut self) -> Result<(), FileError> {
        self.frames = None;
        let Some(thread) = self.thread.take() else { return Err(self.closed()) };
        if thread.join().is_err() {
            let source = io::Error::other("it panicked");
            return Err(FileError::Thread { file: self.file.clone(), what: "encoding", source });
        }
        self.check()
    }

    fn closed(&self) -> FileError {
        FileError::Closed { file: self.file.clone() }
    }
}

struct Worker {
    file: String,
    target: Target,
    encoder: FrameEncoder,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self, frames: &Receiver<Vec<u8>>, spares: &Sender<Vec<u8>>) {
        let mut scratch = Vec::new();
        let mut healthy = true;
        while let Ok(mut raw) = frames.recv() {
            if healthy {
                let result = match self.encoder.frame(&raw, &mut scratch) {
                    // An index would learn here where the frame stands and what it holds.
                    Ok(bytes) => put(&mut self.target, bytes, &self.shared),
                    Err(e) => Err(e),
                };
                healthy = self.note(result);
            }
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            raw.clear();
            // The writer may be gone; then the memory is simply freed.
            let _ = spares.send(raw);
        }
        if healthy {
            let result = match self.encoder.end(&mut scratch) {
                Ok(bytes) => put(&mut self.target, bytes, &self.shared),
                Err(e) => Err(e),
            };
            self.note(result);
        }
    }

    /// Keeps a fault for the writer; answers whether there was none.
    fn note(&mut self, result: io::Result<()>) -> bool {
        let Err(source) = result else { return true };
        let written_bytes = self.shared.file_bytes.load(Ordering::Relaxed);
        self.target.cut_back(written_bytes);
        let fault = FileError::Write { file: self.file.clone(), written_bytes, source };
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.shared.failed.store(true, Ordering::Release);
        false
    }
}

fn put(target: &mut Target, bytes: &[u8], shared: &Shared) -> io::Result<()> {
    if !bytes.is_empty() {
        target.write_all(bytes)?;
        shared.file_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
