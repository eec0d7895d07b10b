//! Engines with an API of HTTP on a unix socket: docker, podman.

use crate::fault;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

/// Serves each connection on a thread of its own: one question, and what `answer` makes of its target.
///
/// # Panics
/// Where the socket cannot be made.
pub fn serve(socket: &Path, answer: impl Fn(&str, &mut UnixStream) + Send + Sync + 'static) {
    let listener = UnixListener::bind(socket).expect("the socket of the test");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                if let Some(target) = questions(&stream).next() {
                    answer(&target, &mut stream);
                }
            });
        }
    });
}

/// The targets that are asked for on a connection, one after another.
pub fn questions(stream: &UnixStream) -> impl Iterator<Item = String> + use<> {
    let mut lines = stream.try_clone().map(|stream| BufReader::new(stream).lines()).ok();
    std::iter::from_fn(move || {
        let lines = lines.as_mut()?;
        let first = lines.next()?.ok()?;
        let _ = lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count();
        Some(first.split(' ').nth(1).unwrap_or("").to_owned())
    })
}

/// Answers with this body.
pub fn respond(stream: &mut UnixStream, body: &[u8]) {
    let _ = fault::respond(stream, body);
}

/// Says that there is no such thing.
pub fn not_found(stream: &mut UnixStream) {
    let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
}

/// Keeps a stream of events open with nothing in it.
pub fn hold_open(stream: &mut UnixStream) {
    let _ = fault::begin_chunks(stream);
    let _ = stream.read(&mut [0; 16]);
}
