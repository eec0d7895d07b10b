//! sendmsg and recvmsg, one message or several.
//!
//! A call is one exit event. For sendmmsg and recvmmsg `res` is the call's result, the number of
//! messages; `size` is the sum of their bytes, `data` their payloads one after another up to the
//! snaplen, tuple and control data those of the first message that has them.

use super::call::Call;
use super::sockaddr::{push_received, push_sent};
use super::source::Src;
use capture_common::abi::{MsgInfo, tag};

/// The msghdr (or array of them).
const MSG_ARG: u8 = 1;

/// Bytes the message holds.
pub(super) const SIZE: Src = Src::Num(|c| c.msg().map_or(0, |m| m.total_len));
/// Bytes received: stored as the size, as stock does.
pub(super) const RECEIVED: Src = Src::Num(|c| c.ret.max(0) as u64);
/// Payload.
pub(super) const DATA: Src = Src::Bytes(|c, out| out.extend_from_slice(c.gathered()));
/// Tuple of sent data.
pub(super) const SENT_TUPLE: Src = Src::Bytes(|c, out| push_sent(c, MSG_ARG, out));
/// Tuple of received data.
pub(super) const RECEIVED_TUPLE: Src = Src::Bytes(|c, out| push_received(c, MSG_ARG, out));
/// Control data of a received message.
pub(super) const CONTROL: Src = Src::Bytes(push_control);
/// Bytes of all messages that were sent or received.
pub(super) const MANY_SIZE: Src = Src::Num(many_size);
/// Payloads of all messages.
pub(super) const MANY_DATA: Src = Src::Bytes(push_many_data);

fn push_control(c: &Call<'_>, out: &mut Vec<u8>) {
    if c.is_ok() {
        out.extend_from_slice(c.data_of(tag::CMSG).unwrap_or(&[]));
    }
}

fn many_size(c: &Call<'_>) -> u64 {
    let messages = c.sections.filter(|s| s.header.tag == tag::MSG);
    messages.filter_map(|s| MsgInfo::read(s.data)).map(|m| m.msg_len).fold(0, u64::saturating_add)
}

fn push_many_data(c: &Call<'_>, out: &mut Vec<u8>) {
    let mut room = c.snaplen;
    for section in c.sections.filter(|s| s.header.tag == tag::IOV) {
        let take = section.data.len().min(room);
        out.extend_from_slice(&section.data[..take]);
        room -= take;
    }
}
