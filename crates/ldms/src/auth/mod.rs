//! Authentication of the two ends of a connection, as four state machines.
//!
//! It starts on both sides right after the connection is accepted and is symmetric. A side that does not like what
//! it gets closes the connection without a word.
//!
//! * `none`: nothing is sent; the peer counts as root.
//! * `naive`: each side says who it is and is believed.
//! * `ovis`: both sides prove that they know a shared secret, and then count as root.
//! * `munge`: each side sends a credential that the other has checked by its munged.
//!
//! The machines do no I/O: what they need of munged they ask for with [`Step::Encode`] and [`Step::Decode`];
//! [`munge`] and [`secret`] are the parts that reach outside.

use core::net::SocketAddr;
use std::fmt;
use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha224};

use crate::wire::Reader;

pub mod config;
pub mod munge;
pub mod secret;

/// How to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Plugin `none`.
    None,
    /// Plugin `naive`: who to claim to be.
    Naive {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Plugin `ovis`: the secret both sides share.
    Ovis(Secret),
    /// Plugin `munge`.
    Munge {
        /// munged's socket, if not the usual one.
        socket: Option<PathBuf>,
    },
}

/// A shared secret; not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The user whom `naive` claims to be unless told otherwise (nobody).
pub const NAIVE_DEFAULT: u32 = 65534;

impl Auth {
    /// The name of the plugin on the wire.
    #[must_use]
    pub fn plugin(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Naive { .. } => "naive",
            Self::Ovis(_) => "ovis",
            Self::Munge { .. } => "munge",
        }
    }
}

/// Who the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Peer {
    /// Root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// What a machine wants done next, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this to the peer's machine.
    Send(Bytes),
    /// Have munged make a credential for these bytes; answer with [`Session::encoded`].
    Encode(Vec<u8>),
    /// Have munged check this credential; answer with [`Session::decoded`].
    Decode(Bytes),
    /// The peer is who it says.
    Done(Peer),
    /// The peer is refused, with the reason for the log (it is not told).
    Failed(String),
}

/// What munged says of a good credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Who had it made.
    pub peer: Peer,
    /// The bytes it was made for, where they are known (the munge tool does not give them).
    pub payload: Option<Vec<u8>>,
}

/// One authentication.
#[derive(Debug)]
pub struct Session {
    auth: Auth,
    state: State,
}

#[derive(Debug)]
enum State {
    Naive,
    Ovis { expected: String },
    Munge { peer: Option<SocketAddr> },
    Over,
}

const OVIS_CHALLENGE: u32 = 1;
const OVIS_REPLY: u32 = 2;

impl Session {
    /// Starts. `challenge` is a random number for `ovis`; `local` and `peer` are the addresses of the connection,
    /// which `munge` wants to see in the credentials.
    #[must_use]
    pub fn start(
        auth: Auth,
        challenge: u64,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    ) -> (Self, Vec<Step>) {
        let (state, step) = match &auth {
            Auth::None => (State::Over, Step::Done(Peer::ROOT)),
            Auth::Naive { uid, gid } => {
                let mut message = BytesMut::new();
                message.put_u32(*uid);
                message.put_u32(*gid);
                (State::Naive, Step::Send(message.freeze()))
            }
            Auth::Ovis(secret) => {
                let mut message = BytesMut::new();
                message.put_u32_le(OVIS_CHALLENGE);
                message.put_u64(challenge);
                (State::Ovis { expected: ovis_answer(challenge, secret) }, Step::Send(message.freeze()))
            }
            Auth::Munge { .. } => {
                let payload = local.map(sockaddr).unwrap_or_default();
                (State::Munge { peer }, Step::Encode(payload))
            }
        };
        (Self { auth, state }, vec![step])
    }

    /// Takes a message of the peer's machine.
    pub fn received(&mut self, message: &Bytes) -> Vec<Step> {
        let mut reader = Reader::new(message, "authentication message");
        match &self.state {
            State::Over => self.fail("a message after the end of the authentication"),
            State::Naive => match (reader.u32(), reader.u32()) {
                (Ok(uid), Ok(gid)) => self.done(Peer { uid, gid }),
                _ => self.fail("a naive message that is too short"),
            },
            State::Ovis { expected } => match (reader.u32_le(), &self.auth) {
                (Ok(OVIS_CHALLENGE), Auth::Ovis(secret)) => match reader.u64() {
                    Ok(challenge) => {
                        let mut answer = BytesMut::new();
                        answer.put_u32_le(OVIS_REPLY);
                        answer.put_slice(ovis_answer(challenge, secret).as_bytes());
                        answer.put_u8(0);
                        vec![Step::Send(answer.freeze())]
                    }
                    Err(_) => self.fail("an ovis challenge that is too short"),
                },
                (Ok(OVIS_REPLY), _) => {
                    let answer = reader.rest().strip_suffix(&[0]);
                    if answer.is_some_and(|answer| same(answer, expected.as_bytes())) {
                        self.done(Peer::ROOT)
                    } else {
                        self.fail("a wrong ovis answer: the secret words differ")
                    }
                }
                _ => self.fail("a malformed ovis message"),
            },
            State::Munge { .. } => vec![Step::Decode(message.clone())],
        }
    }

    /// Takes the credential that was asked for with [`Step::Encode`], or why there is none.
    pub fn encoded(&mut self, credential: Result<String, String>) -> Vec<Step> {
        match credential {
            Ok(credential) => {
                let mut message = BytesMut::from(credential.as_bytes());
                message.put_u8(0);
                vec![Step::Send(message.freeze())]
            }
            Err(reason) => self.fail(&reason),
        }
    }

    /// Takes what munged said of the credential of [`Step::Decode`].
    ///
    /// A credential made for another address than the connection's is accepted, as ldmsd 4.5 does (address
    /// translation changes addresses), but noted.
    pub fn decoded(&mut self, decoded: Result<Decoded, String>) -> Vec<Step> {
        match (decoded, &self.state) {
            (Ok(decoded), State::Munge { peer }) => {
                let expected = peer.map(sockaddr);
                if decoded.payload.is_some() && expected.is_some() && decoded.payload != expected {
                    tracing::info!(?peer, "munge credential was made for another address");
                }
                self.done(decoded.peer)
            }
            (Ok(_), _) => self.fail("a munge answer out of turn"),
            (Err(reason), _) => self.fail(&reason),
        }
    }

    fn done(&mut self, peer: Peer) -> Vec<Step> {
        self.state = State::Over;
        vec![Step::Done(peer)]
    }

    fn fail(&mut self, reason: &str) -> Vec<Step> {
        self.state = State::Over;
        vec![Step::Failed(reason.to_owned())]
    }
}

/// The answer to an ovis challenge: the hash of the number, in decimal, and the secret word.
fn ovis_answer(challenge: u64, secret: &Secret) -> String {
    let hash = Sha224::digest(format!("{challenge}{}", secret.0));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that does not tell where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// An address as the C library lays it out on Linux; IPv4 addresses in IPv6 form become plain ones.
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let mut bytes = Vec::with_capacity(28);
    match (address.ip().to_canonical(), address) {
        (core::net::IpAddr::V4(ip), _) => {
            bytes.put_u16_le(AF_INET);
            bytes.put_u16(address.port());
            bytes.put_slice(&ip.octets());
            bytes.put_bytes(0, 8);
        }
        (core::net::IpAddr::V6(ip), address) => {
            let (flow, scope) = match address {
                SocketAddr::V6(address) => (address.flowinfo(), address.scope_id()),
                SocketAddr::V4(_) => (0, 0),
            };
            bytes.put_u16_le(AF_INET6);
            bytes.put_u16(address.port());
            bytes.put_u32(flow);
            bytes.put_slice(&ip.octets());
            bytes.put_u32_le(scope);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ovis(word: &str) -> Auth {
        Auth::Ovis(Secret(word.to_owned()))
    }

    /// Runs both machines against each other; what each says of the other at the end.
    fn run(a: Auth, b: Auth) -> (Step, Step) {
        let (mut a, mut from_a) = Session::start(a, 123_456_789, None, None);
        let (mut b, mut from_b) = Session::start(b, u64::MAX, None, None);
        let mut ends = (None, None);
        while ends.0.is_none() || ends.1.is_none() {
            let mut next = (Vec::new(), Vec::new());
            for step in from_a.drain(..) {
                match step {
                    Step::Send(message) => next.1.extend(b.received(&message)),
                    end => ends.0 = Some(end),
                }
            }
            for step in from_b.drain(..) {
                match step {
                    Step::Send(message) => next.0.extend(a.received(&message)),
                    end => ends.1 = Some(end),
                }
            }
            assert!(
                !(next.0.is_empty() && next.1.is_empty()) || ends.0.is_some(),
                "the machines wait for ever"
            );
            from_a = next.0;
            from_b = next.1;
        }
        (ends.0.unwrap(), ends.1.unwrap())
    }

    #[test]
    fn the_plugins_that_need_no_helper_authenticate_both_ends() {
        let root = Step::Done(Peer::ROOT);
        assert_eq!(run(Auth::None, Auth::None), (root.clone(), root.clone()));
        assert_eq!(run(ovis("a secret"), ovis("a secret")), (root.clone(), root));
        let claims = (Auth::Naive { uid: 7, gid: 8 }, Auth::Naive { uid: 0, gid: 1 });
        let believed = (Step::Done(Peer { uid: 0, gid: 1 }), Step::Done(Peer { uid: 7, gid: 8 }));
        assert_eq!(run(claims.0, claims.1), believed);
    }

    #[test]
    fn different_secret_words_are_refused_by_both_ends() {
        let (a, b) = run(ovis("a secret"), ovis("another secret"));
        assert!(matches!(a, Step::Failed(_)) && matches!(b, Step::Failed(_)));
    }

    #[test]
    fn an_ovis_answer_is_the_sha224_of_challenge_and_word() {
        let answer = ovis_answer(1, &Secret("x".to_owned()));
        assert_eq!(answer.len(), 56);
        assert_eq!(answer, Sha224::digest(b"1x").iter().map(|b| format!("{b:02x}")).collect::<String>());
        assert_eq!(format!("{:?}", ovis("hidden")), "Ovis(Secret(…))");
    }

    #[test]
    fn malformed_messages_end_the_authentication() {
        for (auth, message) in [
            (Auth::Naive { uid: 0, gid: 0 }, &b"1234567"[..]),
            (ovis("secret word"), &b"\x01\0\0\0abc"[..]),
            (ovis("secret word"), &b"\x03\0\0\0abcdefgh"[..]),
            (ovis("secret word"), &b"\x02\0\0\0"[..]),
            (ovis("secret word"), &b""[..]),
            (Auth::None, &b"anything"[..]),
        ] {
            let (mut session, _) = Session::start(auth, 5, None, None);
            let steps = session.received(&Bytes::copy_from_slice(message));
            assert!(matches!(steps[..], [Step::Failed(_)]), "{message:?}");
        }
    }

    #[test]
    fn munge_credentials_are_made_for_the_address_as_the_c_library_lays_it_out() {
        let v4: SocketAddr = "127.0.0.1:411".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:411".parse().unwrap();
        let expected = [2, 0, 1, 155, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(sockaddr(v4), expected);
        assert_eq!(sockaddr(mapped), expected);
        assert_eq!(sockaddr("[::1]:411".parse().unwrap()).len(), 28);
        let (mut session, steps) = Session::start(Auth::Munge { socket: None }, 0, Some(v4), None);
        assert_eq!(steps, [Step::Encode(expected.to_vec())]);
        assert_eq!(session.encoded(Ok("MUNGE:x:".into())), [Step::Send(Bytes::from_static(b"MUNGE:x:\0"))]);
        assert!(matches!(session.received(&Bytes::from_static(b"MUNGE:y:\0"))[..], [Step::Decode(_)]));
        let peer = Peer { uid: 3, gid: 4 };
        assert_eq!(session.decoded(Ok(Decoded { peer, payload: None })), [Step::Done(peer)]);
    }
}
