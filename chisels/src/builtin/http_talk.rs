//! HTTP/1 in what processes read and write: the requests and answers of each fd, for `httplog`,
//! `httptop` and `http`.
//!
//! A request is known by its first line at the beginning of a read or write, the answer by its status
//! line on the same fd. What lies between is not looked at, so bodies cost nothing.

use capture_common::EventFlags;
use capture_engine::EventView;
use capture_engine::fields::flags_of;
use std::collections::HashMap;

/// Requests without an answer that are remembered.
const OPEN_MAX: usize = 65_536;
/// Bytes of a buffer that are searched for headers.
const SEARCHED_BYTES: usize = 16_384;

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Whether the process read the request, that is, serves it.
    pub(super) serves: bool,
    pub(super) method: Vec<u8>,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    /// Time of the request, ns since the epoch.
    pub(super) request_ts_ns: u64,
    pub(super) status: u32,
    /// What the answer says of its length; 0 where it says nothing.
    pub(super) length_bytes: u64,
    /// Time of the answer.
    pub(super) answer_ts_ns: u64,
}

impl Exchange {
    /// Host and path.
    pub(super) fn url(&self) -> Vec<u8> {
        [&self.host[..], &self.path].concat()
    }
}

/// The open requests of all fds.
#[derive(Debug, Default)]
pub(super) struct HttpTalk {
    open: HashMap<(i64, i64), Exchange>,
}

impl HttpTalk {
    /// Takes an exit that moved data over a socket; answers with an exchange that it completes.
    pub(super) fn take(&mut self, event: &EventView<'_>) -> Option<Exchange> {
        let info = event.info.filter(|info| info.code.is_exit())?;
        let flags = flags_of(info);
        let reads = flags.contains(EventFlags::READS_FROM_FD);
        if !reads && !flags.contains(EventFlags::WRITES_TO_FD) {
            return None;
        }
        event.fd().filter(|fd| fd.is_ip() || fd.is_unix())?;
        event.raw.int(0).filter(|&moved| moved > 0)?;
        let data = event.param("data").filter(|data| !data.is_empty())?;
        let key = (event.thread()?.pid, event.fd_num()?);
        self.data(key, reads, data, event.raw.ts_ns)
    }

    /// The requests that have no answer so far, with the pid, by their time.
    pub(super) fn unanswered(&self) -> Vec<(i64, &Exchange)> {
        let mut open: Vec<(i64, &Exchange)> = self.open.iter().map(|((pid, _), open)| (*pid, open)).collect();
        open.sort_by_key(|(pid, open)| (open.request_ts_ns, *pid));
        open
    }

    fn data(&mut self, key: (i64, i64), reads: bool, data: &[u8], ts_ns: u64) -> Option<Exchange> {
        // What begins with a capital letter is rare among other data.
        if !data[0].is_ascii_uppercase() {
            return None;
        }
        if let Some((status, length_bytes)) = answer(data) {
            // An answer in the direction of its request is none.
            let open = self.open.remove(&key).filter(|open| open.serves != reads)?;
            return Some(Exchange { status, length_bytes, answer_ts_ns: ts_ns, ..open });
        }
        let (method, path) = request(data)?;
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
            self.open.clear();
        }
        let open = Exchange {
            serves: reads,
            method: method.to_vec(),
            host: header(data, b"host").unwrap_or_default().to_vec(),
            path: path.to_vec(),
            request_ts_ns: ts_ns,
            status: 0,
            length_bytes: 0,
            answer_ts_ns: 0,
        };
        self.open.insert(key, open);
        None
    }
}

const METHODS: &[&[u8]] =
    &[b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Method and target of a request.
fn request(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let method = &data[..data.iter().take(8).position(|&b| b == b' ')?];
    if !METHODS.contains(&method) {
        return None;
    }
    let rest = &data[method.len() + 1..];
    let end = rest.iter().position(|b| !b.is_ascii_graphic()).unwrap_or(rest.len());
    (end > 0).then(|| (method, &rest[..end]))
}

/// Status and length of an answer.
fn answer(data: &[u8]) -> Option<(u32, u64)> {
    let rest = data.strip_prefix(b"HTTP/")?;
    let version = rest.iter().take(4).position(|&b| b == b' ')?;
    let status = number(&rest[version + 1..])?;
    let length = header(data, b"content-length").and_then(number).unwrap_or(0);
    Some((u32::try_from(status).ok()?, length))
}

/// The number at the beginning of a text.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// The value of a header; it must be there in full.
fn header<'d>(data: &'d [u8], name: &[u8]) -> Option<&'d [u8]> {
    let data = &data[..data.len().min(SEARCHED_BYTES)];
    let mut lines = data.split_inclusive(|&b| b == b'\n').skip(1);
    lines.find_map(|line| {
        let value = line.get(name.len()..)?.strip_prefix(b":")?;
        let value = value.strip_suffix(b"\n")?;
        line[..name.len()].eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_meet_their_answers() {
        let mut talk = HttpTalk::default();
        let request = b"GET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nAccept: */*\r\n\r\n";
        assert_eq!(talk.data((1, 3), false, request, 100), None);
        assert_eq!(talk.data((1, 3), false, b"Body", 110), None);
        assert_eq!(talk.data((1, 4), true, b"HTTP/1.1 500 No\r\n\r\n", 120), None, "another fd");
        let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 12\r\n\r\n";
        let exchange = talk.data((1, 3), true, answer, 150).unwrap();
        assert_eq!(exchange.url(), b"example.com:80/a?b=c");
        assert_eq!((exchange.status, exchange.length_bytes), (204, 12));
        assert_eq!((exchange.request_ts_ns, exchange.answer_ts_ns, exchange.serves), (100, 150, false));
        assert_eq!(talk.data((1, 3), true, answer, 160), None, "answered already");
    }

    #[test]
    fn other_data_is_none() {
        for data in [&b"GETTING"[..], b"G", b"GET ", b"SELECT 1", b"HTTP/", b"HTTP/1.1 x", b"POST"] {
            let mut talk = HttpTalk::default();
            assert_eq!(talk.data((1, 3), true, data, 1), None);
            assert!(talk.open.is_empty(), "{data:?}");
        }
        assert_eq!(header(b"GET / HTTP/1.1\r\nHost: cut", b"host"), None);
    }
}
