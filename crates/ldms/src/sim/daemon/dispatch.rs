//! From records to handlers and back: messages, permissions, the counter of changes, answers.

use bytes::{BufMut, Bytes, BytesMut};

use super::answer::{Answer, Handled, refuse};
use super::figures::Op;
use super::object::allows;
use super::{Advertisement, ConnId, Daemon, Output, Timer};
use crate::auth::Peer;
use crate::limits;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::{Attribute, Header, Message as Record};
use crate::wire::xprt::Message;
use crate::wire::{WireError, errno};

impl Daemon {
    /// A transport message has come.
    pub(super) fn message(&mut self, id: ConnId, message: Message) {
        match message {
            Message::Send { data, .. } => self.record(id, &data),
            Message::Dir { xid, flags } => self.serve_dir(id, xid, flags),
            Message::DirCancel { xid } => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.peer_dir = None;
                }
                self.send(id, &Message::DirCancelReply { xid, rc: 0 });
            }
            Message::Lookup { xid, flags, path } => self.serve_lookup(id, xid, flags, &path),
            Message::SetDelete { xid, name } => {
                self.remote_set_deleted(id, &name);
                let received = (self.now_us / 1_000_000, self.now_us % 1_000_000 * 1000);
                self.send(id, &Message::SetDeleteReply { xid, rc: 0, received });
            }
            Message::CancelPush { set_id } => self.cancel_push(id, set_id),
            Message::DirReply { xid, rc, changed, kind, json, .. } => {
                self.directory_came(id, xid, rc, changed, kind, &json);
            }
            Message::LookupReply { xid, rc } => self.lookup_failed(xid, rc),
            Message::Push { set_id, flags, offset, data } => self.pushed(id, set_id, flags, offset, &data),
            // Message service, quotas, notifications: accepted and dropped.
            Message::OtherRequest { .. }
            | Message::OtherReply { .. }
            | Message::DirCancelReply { .. }
            | Message::SetDeleteReply { .. }
            | Message::Auth { .. } => {}
        }
    }

    /// Sends a transport message; it leaves with the next [`Self::flush`].
    pub(super) fn send(&mut self, id: ConnId, message: &Message) {
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) {
            link.send(message);
        }
    }

    /// A record has come.
    fn record(&mut self, id: ConnId, data: &Bytes) {
        self.figures.count(Op::Receive);
        let header = match Header::decode(data) {
            Ok(header) => header,
            Err(WireError::NoMarker) => {
                let text = "Config request is missing record marker";
                self.error_record(id, u32::MAX, errno::EINVAL, text);
                return;
            }
            Err(_) => return,
        };
        let longest = self.faults.max_record.unwrap_or(u32::try_from(limits::MAX_RECORD).unwrap_or(u32::MAX));
        if header.len > longest {
            self.too_big(id, header.msg_no, longest);
            return;
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let number = conn.number;
        match conn.assembler.feed(data) {
            Ok(None) => {}
            Ok(Some(message)) if message.response => {
                self.log(|| format!("processing response {}:{number}", message.msg_no));
                self.answered(id, &message);
            }
            Ok(Some(message)) => {
                let terminated = |attribute: &Attribute| attribute.raw.last().is_none_or(|last| *last == 0);
                if message.attributes.iter().all(terminated) {
                    self.request(id, number, &message);
                } else {
                    self.error_record(id, header.msg_no, 0, "LDMSD received a bad request.");
                }
            }
            Err(WireError::DuplicateMessage(msg_no)) => {
                let text = format!("Duplicate message number {msg_no}:{number}received");
                self.error_record(id, msg_no, errno::EADDRINUSE, &text);
            }
            Err(WireError::UnknownMessage(msg_no)) => {
                let text = format!("The message no {msg_no} was not found.");
                self.error_record(id, msg_no, errno::ENOENT, &text);
            }
            Err(_) => self.error_record(id, header.msg_no, 0, "LDMSD received a bad request."),
        }
    }

    fn request(&mut self, id: ConnId, number: u64, message: &Record) {
        self.requests += 1;
        let request = RequestId(message.code);
        let name = request.trace_name();
        self.log(|| format!("processing message {}:{number} {name}", message.msg_no));
        self.log(|| format!("handling req {name}"));
        let peer = self.conns.get(&id).map_or(Peer::ROOT, |conn| conn.peer);
        let answer = match self.faults.refusal(request) {
            Some((errcode, text)) => Err(refuse(errcode, text)),
            None => self.carry_out(Some(id), peer, message),
        };
        self.reply(id, message.msg_no, answer);
        if self.over {
            self.flush(id);
            self.put(Output::Exit);
        }
    }

    /// Checks permissions, carries a request out, and counts it when it changes the configuration.
    pub(super) fn carry_out(&mut self, conn: Option<ConnId>, peer: Peer, message: &Record) -> Handled {
        let request = RequestId(message.code);
        let Some(access) = request.access() else {
            return Err(refuse(errno::ENOSYS, "The request is not implemented"));
        };
        let execute = if access.all { 0o111 } else { 0o110 };
        if !allows(peer, 0o111, self.options.uid, self.options.gid, execute) {
            return Err(refuse(errno::EPERM, "Operation not permitted."));
        }
        let answer = self.route(conn, peer, request, message)?;
        if access.modifies && answer != Answer::Deferred {
            self.cfg_cntr += 1;
        }
        Ok(answer)
    }

    fn route(&mut self, conn: Option<ConnId>, peer: Peer, id: RequestId, message: &Record) -> Handled {
        match id.0 {
            0x10d..=0x116 => self.advertising_request(conn, peer, id, message),
            0x100..=0x10c => self.producer_request(peer, id, message),
            0x200..=0x20a => self.store_request(peer, id, message),
            0x300..=0x30b => self.updater_request(peer, id, message),
            0x500..=0x509 | 0x607 => self.plugin_request(id, message),
            _ => self.daemon_request(conn, peer, id, message),
        }
    }

    /// Sends the answer to a request.
    pub(super) fn reply(&mut self, id: ConnId, msg_no: u32, answer: Handled) {
        let (errcode, attributes) = match answer {
            Ok(Answer::Deferred) => return,
            Ok(answer) => (0, answer.attributes()),
            Err(refused) => (refused.errcode, Answer::Text(refused.text).attributes()),
        };
        if self.faults.mute {
            return;
        }
        let records = Record::response(msg_no, errcode, attributes).encode(limits::MAX_RECORD);
        match self.faults.late_us {
            0 => self.put_records(id, records),
            late_us => self.after(late_us, Timer::Late { conn: id, records }),
        }
    }

    pub(super) fn put_records(&mut self, id: ConnId, records: Vec<Bytes>) {
        for data in records {
            self.figures.count(Op::Send);
            self.send(id, &Message::Send { xid: 0, data });
        }
        self.flush(id);
    }

    /// The answer to what is no request. Its text has no NUL at the end, as ldmsd sends it.
    fn error_record(&mut self, id: ConnId, msg_no: u32, errcode: u32, text: &str) {
        let attribute = Attribute { id: AttrId::STRING, raw: Bytes::copy_from_slice(text.as_bytes()) };
        let records = Record::response(msg_no, errcode, vec![attribute]).encode(limits::MAX_RECORD);
        self.put_records(id, records);
    }

    /// The answer to a record that is too long: how long one may be, in the byte order of the host.
    fn too_big(&mut self, id: ConnId, msg_no: u32, longest: u32) {
        let mut raw = BytesMut::new();
        raw.put_u32_le(longest);
        let attribute = Attribute { id: AttrId::REC_LEN, raw: raw.freeze() };
        let records = Record::response(msg_no, errno::E2BIG, vec![attribute]).encode(limits::MAX_RECORD);
        self.put_records(id, records);
    }

    /// Sends an advertisement.
    pub(super) fn ask(&mut self, id: ConnId, attributes: Vec<Attribute>, sent: Advertisement) {
        let msg_no = self.next_msg_no;
        self.next_msg_no = self.next_msg_no.wrapping_add(1);
        self.sent.insert(msg_no, sent);
        let records = Record::request(msg_no, RequestId::ADVERTISE, attributes).encode(limits::MAX_RECORD);
        self.put_records(id, records);
    }

    fn answered(&mut self, id: ConnId, message: &Record) {
        if let Some(Advertisement { producer }) = self.sent.remove(&message.msg_no) {
            self.advertisement_answered(id, &producer, message.code);
        }
    }
}
