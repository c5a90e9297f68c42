//! Outgoing WebSocket frames, made once and shared by all their receivers.
//!
//! A server's frames are not masked (RFC 6455, 5.1), so the same bytes serve every receiver of the same subprotocol:
//! an event is encoded once, however many are subscribed.

use bytes::Bytes;

use crate::{Message, Subprotocol};

/// The longest header of a frame that is not masked: two bytes and a length of eight.
const MAX_HEADER: usize = 10;
/// What the head of a message takes beside its payload, roughly; more is allocated where it is not enough.
const HEAD: usize = 192;

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// The longest reason of a close frame: 125 bytes less the code (RFC 6455, 5.5).
const MAX_CLOSE_REASON: usize = 123;

/// Why a WebSocket ends (RFC 6455, 7.4.1).
pub(super) mod close_code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    pub(crate) const INVALID_DATA: u16 = 1007;
    pub(crate) const TOO_BIG: u16 = 1009;
}

/// One WAMP message in a frame.
pub(super) fn message(subprotocol: Subprotocol, message: &Message) -> Bytes {
    let opcode = if subprotocol.is_text() { TEXT } else { BINARY };
    let mut out = Vec::with_capacity(MAX_HEADER + HEAD + payload_size(message));
    out.resize(MAX_HEADER, 0);
    if subprotocol.batched {
        subprotocol.encode(message, &mut out);
    } else {
        subprotocol.serializer.encode(message, &mut out);
    }
    finish(opcode, out)
}

fn payload_size(message: &Message) -> usize {
    match message {
        Message::Event { payload, .. }
        | Message::Invocation { payload, .. }
        | Message::Result { payload, .. }
        | Message::Error { payload, .. } => payload.size_hint(),
        _ => 0,
    }
}

pub(super) fn ping(payload: &[u8; 12]) -> Bytes {
    control(PING, payload)
}

/// A close frame; a reason that is too long is cut.
pub(super) fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(MAX_CLOSE_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    control(CLOSE, &payload)
}

fn control(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = vec![0; MAX_HEADER];
    out.extend_from_slice(payload);
    finish(opcode, out)
}

/// Puts the header in front of the payload, which begins at [`MAX_HEADER`].
fn finish(opcode: u8, mut out: Vec<u8>) -> Bytes {
    const FINAL: u8 = 0x80;
    let len = out.len() - MAX_HEADER;
    let start = match len {
        0..=125 => {
            out[MAX_HEADER - 1] = len as u8;
            MAX_HEADER - 2
        }
        126..=0xffff => {
            out[MAX_HEADER - 3] = 126;
            out[MAX_HEADER - 2..MAX_HEADER].copy_from_slice(&(len as u16).to_be_bytes());
            MAX_HEADER - 4
        }
        _ => {
            out[1] = 127;
            out[2..MAX_HEADER].copy_from_slice(&(len as u64).to_be_bytes());
            0
        }
    };
    out[start] = FINAL | opcode;
    Bytes::from(out).slice(start..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketContext};
    use tokio_tungstenite::tungstenite::{self, protocol::CloseFrame};

    /// What a WebSocket client makes of the bytes.
    fn read_back(bytes: &[u8]) -> tungstenite::Message {
        let mut stream = std::io::Cursor::new(bytes.to_vec());
        WebSocketContext::new(Role::Client, None).read(&mut stream).unwrap()
    }

    #[test]
    fn frames_of_every_length_are_read_back_by_a_client() {
        for len in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x2_0001] {
            let mut out = vec![0; MAX_HEADER];
            out.resize(MAX_HEADER + len, b'x');
            let message = read_back(&finish(BINARY, out));
            assert_eq!(message, tungstenite::Message::binary(vec![b'x'; len]));
        }
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = close(close_code::PROTOCOL_ERROR, &"ä".repeat(100));
        let tungstenite::Message::Close(Some(CloseFrame { code, reason })) = read_back(&frame) else {
            panic!("not a close frame");
        };
        assert_eq!((u16::from(code), reason.as_str()), (1002, "ä".repeat(61).as_str()));
    }
}
