//! What a daemon does with peers that break the rules, asked on bare sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use bytes::{Bytes, BytesMut};
use campanile_ldms::client::Endpoint;
use campanile_ldms::limits::MAX_RECORD;
use campanile_ldms::wire::connect::ConnectMessage;
use campanile_ldms::wire::frame::{self, Body, Frame};
use campanile_ldms::wire::ids::{AttrId, RequestId};
use campanile_ldms::wire::record::{Assembler, Attribute, Message as Record};
use campanile_ldms::wire::xprt::Message;
use campanile_ldms::wire::{LDMS_VERSION, ZAP_VERSION, errno};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{PATIENCE, Site};

struct Raw {
    stream: TcpStream,
    input: BytesMut,
    assembler: Assembler,
}

impl Raw {
    async fn open(endpoint: &Endpoint) -> Self {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.unwrap();
        Self { stream, input: BytesMut::new(), assembler: Assembler::default() }
    }

    /// A connection behind its handshake, without authentication.
    async fn greeted(endpoint: &Endpoint) -> Self {
        let mut raw = Self::open(endpoint).await;
        raw.connect(ZAP_VERSION, LDMS_VERSION, "none").await;
        assert!(matches!(raw.frame().await, Some(Frame { body: Body::Accepted(_), .. })));
        raw.send(Body::AckAccepted(Bytes::new())).await;
        raw
    }

    async fn connect(&mut self, zap: [u8; 4], ldms: [u8; 4], auth: &str) {
        let data = ConnectMessage { version: ldms, auth: auth.to_owned(), rail: None }.encode();
        self.send(Body::Connect { version: zap, data }).await;
    }

    async fn send(&mut self, body: Body) {
        let mut bytes = BytesMut::new();
        frame::encode(&Frame { xid: 1, ctxt: 0, body }, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn record(&mut self, data: Bytes) {
        self.send(Body::SendRecv(Message::Send { xid: 0, data }.encode())).await;
    }

    /// The next frame; nothing when the daemon has closed.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = frame::decode(&mut self.input).unwrap() {
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.unwrap();
            if matches!(read, Ok(0) | Err(_)) {
                return None;
            }
        }
    }

    async fn answer(&mut self) -> Record {
        loop {
            let Some(Frame { body: Body::SendRecv(data), .. }) = self.frame().await else {
                panic!("no answer");
            };
            if let Message::Send { data, .. } = Message::decode(&data).unwrap()
                && let Some(message) = self.assembler.feed(&data).unwrap()
            {
                return message;
            }
        }
    }
}

pub(crate) async fn other_versions_and_garbage_are_refused(site: &Site) {
    let endpoint = site.start("d").await;
    let mut raw = Raw::open(&endpoint).await;
    raw.connect(ZAP_VERSION, [4, 9, 0, 0], "none").await;
    let Some(Frame { body: Body::Rejected(reason), .. }) = raw.frame().await else {
        panic!("a foreign version was not rejected");
    };
    assert_eq!(&reason[..], b"Version mismatch\0");
    let mut raw = Raw::open(&endpoint).await;
    raw.connect([9, 9, 0, 0], LDMS_VERSION, "none").await;
    assert_eq!(raw.frame().await, None, "a foreign zap version");
    let mut raw = Raw::open(&endpoint).await;
    raw.stream.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n................").await.unwrap();
    assert_eq!(raw.frame().await, None, "garbage");
    // The daemon is none the worse for it.
    let client = super::connect(&endpoint).await;
    assert_eq!(super::tell(&client, "daemon_status").await.0, 0);
}

pub(crate) async fn bad_records_are_answered_and_the_connection_goes_on(site: &Site) {
    let endpoint = site.start("d").await;
    let mut raw = Raw::greeted(&endpoint).await;
    let mut unmarked = BytesMut::new();
    for word in [0, 1, 3, 77, RequestId::DAEMON_STATUS.0, 28, 0_u32] {
        unmarked.extend_from_slice(&word.to_be_bytes());
    }
    raw.record(unmarked.freeze()).await;
    let answer = raw.answer().await;
    assert_eq!((answer.msg_no, answer.code), (u32::MAX, errno::EINVAL));
    // A record that is longer than the daemon takes: it says how long one may be, in its own byte order.
    let mut record = BytesMut::new();
    for word in [u32::MAX, 1, 3, 77, RequestId::DAEMON_STATUS.0, u32::try_from(MAX_RECORD).unwrap() + 1, 0] {
        record.extend_from_slice(&word.to_be_bytes());
    }
    raw.record(record.freeze()).await;
    let answer = raw.answer().await;
    assert_eq!((answer.msg_no, answer.code), (77, errno::E2BIG));
    let limit = &answer.attribute(AttrId::REC_LEN).unwrap().raw;
    assert_eq!(limit[..4], 1_048_516_u32.to_le_bytes());
    // A request nobody knows.
    let unknown = Record::request(78, RequestId(0x7fff), vec![]).encode(MAX_RECORD);
    raw.record(unknown[0].clone()).await;
    let answer = raw.answer().await;
    assert_eq!((answer.msg_no, answer.code), (78, errno::ENOSYS));
    // A number in use: the first record of a message, twice.
    let name = Attribute::text(AttrId::NAME, &"x".repeat(200));
    let halves = Record::request(79, RequestId::GREETING, vec![name]).encode(128);
    raw.record(halves[0].clone()).await;
    raw.record(halves[0].clone()).await;
    let answer = raw.answer().await;
    assert_eq!((answer.msg_no, answer.code), (79, errno::EADDRINUSE));
    let good = Record::request(80, RequestId::DAEMON_STATUS, vec![]).encode(MAX_RECORD);
    raw.record(good[0].clone()).await;
    assert_eq!(raw.answer().await.code, 0);
}
