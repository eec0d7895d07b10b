//! DNS messages (RFC 1035), as far as telling who asked what needs them.
//!
//! Buffers are cut at the snaplen, so a message may end anywhere: what is there is used.

use capture_engine::render::address::{push_v4, push_v6};
use std::net::{Ipv4Addr, Ipv6Addr};

const HEADER_BYTES: usize = 12;
/// Names are at most 255 bytes; a chain of pointers that makes more is a trap.
const NAME_MAX: usize = 255;
const POINTERS_MAX: usize = 16;
/// More is no message of a resolver.
const ANSWERS_MAX: u16 = 512;
/// Addresses of an answer that are told.
const SHOWN_MAX: usize = 8;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
#[rustfmt::skip]
const TYPES: &[(u16, &str)] = &[
    (TYPE_A, "A"), (2, "NS"), (TYPE_CNAME, "CNAME"), (6, "SOA"), (12, "PTR"), (15, "MX"), (16, "TXT"),
    (TYPE_AAAA, "AAAA"), (33, "SRV"), (35, "NAPTR"), (43, "DS"), (46, "RRSIG"), (48, "DNSKEY"), (64, "SVCB"),
    (65, "HTTPS"), (255, "ANY"), (257, "CAA"),
];
#[rustfmt::skip]
const RCODES: &[&str] = &[
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

/// A question or its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    /// Of an answer: whether it is incomplete and asks for TCP.
    pub(super) is_truncated: bool,
    pub(super) rcode: u8,
    /// The name in small letters, without the final dot.
    pub(super) name: String,
    /// Type of the question; 0 where the buffer ends before it.
    pub(super) qtype: u16,
    /// Addresses and canonical names of the answer, as far as the buffer goes.
    pub(super) answers: Vec<String>,
    /// Records of the answer by its header.
    pub(super) records: u16,
}

/// Name of a type of records.
pub(super) fn type_name(qtype: u16) -> String {
    match TYPES.iter().find(|(number, _)| *number == qtype) {
        Some((_, name)) => (*name).to_owned(),
        None if qtype == 0 => "?".to_owned(),
        None => format!("TYPE{qtype}"),
    }
}

/// Name of a result.
pub(super) fn rcode_name(rcode: u8) -> String {
    RCODES.get(usize::from(rcode)).map_or_else(|| format!("RCODE{rcode}"), |name| (*name).to_owned())
}

impl Message {
    /// Reads a message; `None` where the bytes are none.
    pub(super) fn read(data: &[u8]) -> Option<Message> {
        let word = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
        let flags = word(2)?;
        let (questions, records) = (word(4)?, word(6)?);
        let is_answer = flags & 0x8000 != 0;
        let is_query = flags & 0x7800 == 0;
        // A question has no records, except for those that speak of the sender.
        let fits =
            questions == 1 && records <= ANSWERS_MAX && (is_answer || (records == 0 && flags & 0xf == 0));
        if !is_query || !fits || flags & 0x40 != 0 {
            return None;
        }
        let mut reader = Reader { data, at: HEADER_BYTES };
        let (name, is_whole) = reader.name()?;
        let qtype = if is_whole { reader.word().unwrap_or(0) } else { 0 };
        let mut answers = Vec::new();
        if is_answer && qtype != 0 && reader.word().is_some() {
            for _ in 0..records {
                match reader.record() {
                    Some(Some(text)) if answers.len() < SHOWN_MAX => answers.push(text),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        Some(Message {
            id: word(0)?,
            is_answer,
            is_truncated: flags & 0x200 != 0,
            rcode: (flags & 0xf) as u8,
            name,
            qtype,
            answers,
            records,
        })
    }

    /// Reads what is sent over TCP, where the length comes first, maybe on its own.
    pub(super) fn read_stream(data: &[u8]) -> Option<Message> {
        const LENGTH_BYTES: usize = 2;
        let behind = data.get(LENGTH_BYTES..)?;
        let length = usize::from(u16::from_be_bytes([data[0], data[1]]));
        if length >= HEADER_BYTES
            && length >= behind.len()
            && let Some(message) = Message::read(behind)
        {
            return Some(message);
        }
        Message::read(data)
    }
}

struct Reader<'d> {
    data: &'d [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Option<u16> {
        let bytes = self.data.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name, and whether it is there to its end.
    fn name(&mut self) -> Option<(String, bool)> {
        let mut name = String::new();
        let (mut at, mut pointers, mut end) = (self.at, 0, None);
        loop {
            let Some(&length) = self.data.get(at) else {
                self.at = self.data.len();
                return (!name.is_empty()).then_some((name, false));
            };
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some((name, true));
                }
                0xc0.. => {
                    pointers += 1;
                    if pointers > POINTERS_MAX {
                        return None;
                    }
                    let low = *self.data.get(at + 1)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                1..64 => {
                    let label = &self.data[at + 1..self.data.len().min(at + 1 + usize::from(length))];
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // Names are bytes; what is none of the usual is shown as it is in zone files.
                    for &byte in label {
                        match byte {
                            b'.' | b'\\' => name.extend(['\\', char::from(byte)]),
                            0x21..0x7f => name.push(char::from(byte.to_ascii_lowercase())),
                            _ => name.push_str(&format!("\\{byte:03}")),
                        }
                    }
                    if name.len() > 4 * NAME_MAX {
                        return None;
                    }
                    if label.len() < usize::from(length) {
                        self.at = self.data.len();
                        return Some((name, false));
                    }
                    at += 1 + usize::from(length);
                }
                64..0xc0 => return None,
            }
        }
    }

    /// A record: the text of an address or canonical name, nothing for others; `None` where the
    /// buffer ends.
    fn record(&mut self) -> Option<Option<String>> {
        let (_, true) = self.name()? else { return None };
        let kind = self.word()?;
        // Class and time to live.
        self.at += 6;
        let length = usize::from(self.word()?);
        let start = self.at;
        let bytes = self.data.get(start..start + length)?;
        let mut text = Vec::new();
        match kind {
            TYPE_A => push_v4(&mut text, Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
            TYPE_AAAA => push_v6(&mut text, Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
            TYPE_CNAME => text.extend_from_slice(self.name()?.0.as_bytes()),
            _ => {}
        }
        self.at = start + length;
        Some((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u16, records: u16, rest: &[u8]) -> Vec<u8> {
        let mut data = vec![0x12, 0x34];
        data.extend(flags.to_be_bytes());
        data.extend([0, 1]);
        data.extend(records.to_be_bytes());
        data.extend([0; 4]);
        data.extend_from_slice(rest);
        data
    }

    const QUESTION: &[u8] = b"\x05Nginx\x04prod\0\0\x01\0\x01";

    #[test]
    fn questions_and_answers() {
        let question = Message::read(&message(0x0100, 0, QUESTION)).unwrap();
        assert_eq!((question.id, &question.name[..], question.qtype), (0x1234, "nginx.prod", 1));
        assert!(!question.is_answer);
        let mut rest = QUESTION.to_vec();
        rest.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x06\x03web\xc0\x12");
        rest.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x35");
        let answer = Message::read(&message(0x8180, 2, &rest)).unwrap();
        assert!(answer.is_answer);
        assert_eq!(answer.answers, ["web.prod", "10.0.0.53"]);
        let denied = Message::read(&message(0x8183, 0, QUESTION)).unwrap();
        assert_eq!(rcode_name(denied.rcode), "NXDOMAIN");
    }

    #[test]
    fn cut_messages_tell_what_they_have() {
        let cut = message(0x0100, 0, b"\x05nginx\x04pr");
        let question = Message::read(&cut).unwrap();
        assert_eq!((&question.name[..], question.qtype), ("nginx.pr", 0));
        assert_eq!(Message::read(&cut[..11]), None);
        let whole = message(0x8180, 3, QUESTION);
        assert_eq!(Message::read(&whole).unwrap().answers, [""; 0]);
    }

    #[test]
    fn over_tcp_the_length_comes_first() {
        let data = message(0x0100, 0, QUESTION);
        let mut framed = (data.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&data);
        assert_eq!(Message::read_stream(&framed).unwrap().name, "nginx.prod");
        assert_eq!(Message::read_stream(&data).unwrap().name, "nginx.prod");
        assert_eq!(Message::read_stream(b"\0"), None);
    }

    #[test]
    fn hostile_bytes_are_no_message() {
        // A pointer to itself, a reserved label, and every cut of a good message.
        assert_eq!(Message::read(&message(0x0100, 0, b"\xc0\x0c\0\x01")), None);
        assert_eq!(Message::read(&message(0x0100, 0, b"\x80abc")), None);
        let mut rest = QUESTION.to_vec();
        rest.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\xff\xff\x0a\0\0\x35");
        let data = message(0x8180, 400, &rest);
        for end in 0..data.len() {
            let _ = Message::read(&data[..end]);
            let _ = Message::read_stream(&data[..end]);
        }
        assert_eq!(Message::read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), None);
        let odd = Message::read(&message(0x0100, 0, b"\x03a.\x1b\0\0\x01\0\x01")).unwrap();
        assert_eq!(odd.name, "a\\.\\027");
    }
}
