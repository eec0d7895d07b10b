//! [`Fault`]: what a server does instead of what it should.

use std::io::{Read, Write, copy, sink};
use std::time::Duration;

/// Pause between the bytes of those that are slow.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a chunk of those that flood.
const CHUNK: usize = 0x10000;

/// Instead of an answer of HTTP/1.1.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Takes the question and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Begins the body, and then a byte at a time, for ever.
    Trickle,
    /// Headers a byte at a time, for ever.
    SlowHeaders,
    /// Headers without end.
    LongHeaders,
    /// A body without end, and without an end of a line.
    Flood,
    /// A body without end, of lines such as this.
    Lines(Vec<u8>),
    /// Answers this.
    Answer(Vec<u8>),
    /// These bytes, which need be no HTTP.
    Raw(Vec<u8>),
}

impl Fault {
    /// Does it.
    ///
    /// # Errors
    /// When the client goes away.
    pub fn play(&self, stream: &mut (impl Read + Write)) -> std::io::Result<()> {
        match self {
            Fault::Status(status) => refuse(stream, *status, "for this test"),
            Fault::Answer(body) => respond(stream, body),
            Fault::Raw(bytes) => stream.write_all(bytes),
            Fault::HangUp => Ok(()),
            Fault::Silence => copy(stream, &mut sink()).map(|_| ()),
            Fault::Trickle => {
                begin_chunks(stream)?;
                loop {
                    stream.write_all(b"1\r\n[\r\n")?;
                    std::thread::sleep(PAUSE);
                }
            }
            Fault::SlowHeaders => {
                for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
                    stream.write_all(&[*byte])?;
                    std::thread::sleep(PAUSE);
                }
                Ok(())
            }
            Fault::LongHeaders => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    stream.write_all(b"X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")?;
                }
            }
            Fault::Flood => flood(stream, &[b'['; CHUNK]),
            Fault::Lines(line) => {
                let lines = [&line[..], b"\n"].concat();
                flood(stream, &lines.repeat((CHUNK / lines.len()).max(1)))
            }
        }
    }
}

fn flood(stream: &mut impl Write, data: &[u8]) -> std::io::Result<()> {
    begin_chunks(stream)?;
    let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    loop {
        stream.write_all(&chunk)?;
    }
}

/// Begins an answer whose length is not known.
pub(crate) fn begin_chunks(stream: &mut impl Write) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

pub(crate) fn respond(stream: &mut impl Write, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

/// Refuses as an API server does.
pub(crate) fn refuse(stream: &mut impl Write, status: u16, message: &str) -> std::io::Result<()> {
    let body = serde_json::json!({"kind": "Status", "code": status, "message": message, "metadata": {}});
    let body = body.to_string();
    write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
