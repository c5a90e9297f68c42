//! The task that holds one connection.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::{mpsc, oneshot};

use super::connect::with_sources;
use super::{Command, Endpoint, RequestError};
use crate::api::{Request, Response};
use crate::limits;
use crate::link::{Event, Link};
use crate::wire::dir::{self, DirEntry};
use crate::wire::ids::AttrId;
use crate::wire::record::{Assembler, Message as Record};
use crate::wire::xprt::Message;
use crate::wire::{WireError, errno};

/// Read at a time, in bytes.
const READ_BYTES: usize = 16 * 1024;

type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

struct Pending {
    request: Request,
    reply: Reply<Response>,
    /// Whether it has been sent again in smaller records.
    resent: bool,
}

struct Directory {
    entries: Vec<DirEntry>,
    bytes: usize,
    reply: Reply<Vec<DirEntry>>,
}

/// The connection without its socket: what is under way on it.
pub(super) struct Conversation {
    endpoint: Endpoint,
    link: Link,
    assembler: Assembler,
    pending: HashMap<u32, Pending>,
    directories: HashMap<u64, Directory>,
    next_msg_no: u32,
    next_xid: u64,
}

impl Conversation {
    pub(super) fn new(endpoint: Endpoint, link: Link) -> Self {
        Self {
            endpoint,
            link,
            assembler: Assembler::default(),
            pending: HashMap::new(),
            directories: HashMap::new(),
            next_msg_no: 1,
            next_xid: 1,
        }
    }

    /// Runs until the connection is gone or nobody holds the client any more; says why it ended.
    pub(super) async fn run(
        mut self,
        mut stream: TcpStream,
        mut commands: mpsc::Receiver<Command>,
        max_in_flight: usize,
    ) -> String {
        let reason = self.serve(&mut stream, &mut commands, max_in_flight).await;
        drop(stream);
        commands.close();
        let gone = || RequestError::Closed { endpoint: self.endpoint.clone(), reason: reason.clone() };
        for (_, pending) in self.pending.drain() {
            let _ = pending.reply.send(Err(gone()));
        }
        for (_, directory) in self.directories.drain() {
            let _ = directory.reply.send(Err(gone()));
        }
        while let Some(command) = commands.recv().await {
            match command {
                Command::Request { reply, .. } => drop(reply.send(Err(gone()))),
                Command::Directory { reply } => drop(reply.send(Err(gone()))),
            }
        }
        reason
    }

    async fn serve(
        &mut self,
        stream: &mut TcpStream,
        commands: &mut mpsc::Receiver<Command>,
        max_in_flight: usize,
    ) -> String {
        let (mut reader, mut writer) = stream.split();
        let mut output = BytesMut::new();
        loop {
            // What came together with the handshake is looked at before the socket is.
            loop {
                match self.link.poll() {
                    Ok(Some(event)) => self.handle(event),
                    Ok(None) => break,
                    Err(error) => return with_sources(&error),
                }
            }
            self.link.rest();
            output.unsplit(self.link.take_output());
            let room = self.pending.len() + self.directories.len() < max_in_flight;
            tokio::select! {
                read = read(&mut reader, self.link.buffer()) => match read {
                    Ok(0) => return "the daemon closed it".to_owned(),
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                },
                written = writer.write_buf(&mut output), if !output.is_empty() => {
                    if let Err(error) = written {
                        return error.to_string();
                    }
                }
                command = commands.recv(), if room => match command {
                    Some(command) => self.start(command),
                    None => return "nobody uses it any more".to_owned(),
                },
            }
        }
    }

    /// Sends what a caller wants, unless the caller is gone already.
    fn start(&mut self, command: Command) {
        match command {
            Command::Request { request, reply } if !reply.is_closed() => {
                let pending = Pending { request, reply, resent: false };
                self.send(pending, limits::MAX_RECORD);
            }
            Command::Directory { reply } if !reply.is_closed() => {
                let xid = self.next_xid;
                self.next_xid += 1;
                self.link.send(&Message::Dir { xid, flags: 0 });
                self.directories.insert(xid, Directory { entries: Vec::new(), bytes: 0, reply });
            }
            _ => {}
        }
    }

    fn send(&mut self, pending: Pending, max_record: usize) {
        let msg_no = self.free_number();
        let message = Record::request(msg_no, pending.request.id, pending.request.attributes.clone());
        for data in message.encode(max_record) {
            self.link.send(&Message::Send { xid: 0, data });
        }
        self.pending.insert(msg_no, pending);
    }

    /// The next message number that no request under way has.
    fn free_number(&mut self) -> u32 {
        loop {
            let number = self.next_msg_no;
            self.next_msg_no = self.next_msg_no.wrapping_add(1);
            if !self.pending.contains_key(&number) {
                return number;
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Message(Message::Send { data, .. }) => match self.assembler.feed(&data) {
                Ok(Some(message)) if message.response => self.answer(message),
                // Requests of the daemon (it takes us for a peer) get no answer: there is nothing to offer.
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(endpoint = %self.endpoint, %error, "record of the daemon dropped");
                }
            },
            Event::Message(Message::DirReply { xid, rc, changed: false, more, json, .. }) => {
                if let Some(directory) = self.directories.remove(&xid)
                    && let Some(directory) = self.directory_part(directory, rc, more, &json)
                {
                    self.directories.insert(xid, directory);
                }
            }
            // Stream quota and the like: a controller has no part in it.
            _ => {}
        }
    }

    fn answer(&mut self, message: Record) {
        let Some(waiting) = self.pending.remove(&message.msg_no) else {
            return;
        };
        match smaller_records(&message) {
            Some(max_record) if !waiting.resent => {
                self.send(Pending { resent: true, ..waiting }, max_record);
            }
            _ => drop(waiting.reply.send(Ok(message.into()))),
        }
    }

    /// Takes one part of a directory; gives the directory back when more parts follow.
    fn directory_part(
        &self,
        mut directory: Directory,
        rc: u32,
        more: bool,
        json: &[u8],
    ) -> Option<Directory> {
        directory.bytes += json.len();
        let part = if rc != 0 {
            Err(errno::symbol(rc).map_or_else(|| format!("error {rc}"), str::to_owned))
        } else if directory.bytes > limits::MAX_DIRECTORY {
            let (len, max) = (directory.bytes, limits::MAX_DIRECTORY);
            Err(WireError::TooLong { what: "directory", len, max }.to_string())
        } else {
            dir::parse(json).map_err(|error| error.to_string())
        };
        match part {
            Ok(entries) => {
                directory.entries.extend(entries);
                if more {
                    return Some(directory);
                }
                let _ = directory.reply.send(Ok(directory.entries));
            }
            Err(reason) => {
                let endpoint = self.endpoint.clone();
                let _ = directory.reply.send(Err(RequestError::Unreadable { endpoint, verb: "dir", reason }));
            }
        }
        None
    }
}

/// Reads what is there; no memory waits for it, and what has come takes as much as it is long.
async fn read(reader: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut space = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *reader).poll_read(context, &mut space))?;
        buffer.extend_from_slice(space.filled());
        Poll::Ready(Ok(space.filled().len()))
    })
    .await
}

/// The longest record the daemon takes, when it says that ours was too long.
fn smaller_records(message: &Record) -> Option<usize> {
    const LEAST: usize = 256;
    if message.code != errno::E2BIG {
        return None;
    }
    let raw = &message.attribute(AttrId::REC_LEN)?.raw;
    // ldmsd leaves this number in the byte order of its host.
    let len = u32::from_le_bytes(raw.get(..4)?.try_into().ok()?) as usize;
    (LEAST..limits::MAX_RECORD).contains(&len).then_some(len)
}
