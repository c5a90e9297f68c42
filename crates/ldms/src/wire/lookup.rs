//! The message inside a rendezvous frame that answers a lookup: which set is offered.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::c_str;
use super::{Reader, WireError};
use crate::limits;

const KIND_LOOKUP: u32 = 1;
const KIND_PUSH: u32 = 2;

/// The message of a rendezvous frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendezvous {
    /// A set for the one who looked it up.
    Lookup(LookupOffer),
    /// A set the sender wants to have pushed.
    Push {
        /// The set, as the receiver numbered it in its offer.
        lookup_set_id: u64,
        /// The set, as pushes shall name it.
        push_set_id: u64,
        /// 1 on request, 3 on every change.
        flags: u32,
    },
}

/// A set that may be read from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupOffer {
    /// Transaction number of the lookup.
    pub xid: u64,
    /// The set, as the sender numbers it.
    pub set_id: u64,
    /// Whether more sets follow for this lookup.
    pub more: bool,
    /// Bytes of the description.
    pub meta_len: u32,
    /// Bytes of the values.
    pub data_len: u32,
    /// Number of metrics.
    pub cardinality: u32,
    /// How many copies of the values the set keeps.
    pub array_cardinality: u32,
    /// Name of the schema.
    pub schema: String,
    /// Name of the set.
    pub instance: String,
    /// What else is known of the set, such as `updt_hint_us`.
    pub info: Vec<(String, String)>,
}

impl Rendezvous {
    /// Reads the message.
    ///
    /// # Errors
    /// When it is not one the protocol allows.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "rendezvous");
        let xid = reader.u64_le()?;
        let kind = reader.u32()?;
        // The length of a lookup offer is in host order and that of a push in network order; the frame has it.
        reader.u32()?;
        match kind {
            KIND_LOOKUP => {
                let set_id = reader.u64_le()?;
                let more = reader.u32()? != 0;
                let (meta_len, data_len, cardinality) = (reader.u32()?, reader.u32()?, reader.u32()?);
                reader.u32()?;
                let array_cardinality = reader.u32()?;
                let schema = name(&mut reader)?.unwrap_or_default();
                let instance = name(&mut reader)?.unwrap_or_default();
                if instance.len() > limits::MAX_SET_NAME {
                    return Err(WireError::Malformed("set name"));
                }
                let mut info = Vec::new();
                while let Some(key) = name(&mut reader)? {
                    info.push((key, name(&mut reader)?.unwrap_or_default()));
                }
                Ok(Self::Lookup(LookupOffer {
                    xid,
                    set_id,
                    more,
                    meta_len,
                    data_len,
                    cardinality,
                    array_cardinality,
                    schema,
                    instance,
                    info,
                }))
            }
            KIND_PUSH => Ok(Self::Push {
                lookup_set_id: reader.u64_le()?,
                push_set_id: reader.u64_le()?,
                flags: reader.u32()?,
            }),
            _ => Err(WireError::Malformed("rendezvous")),
        }
    }

    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Lookup(offer) => {
                out.put_u64_le(offer.xid);
                out.put_u32(KIND_LOOKUP);
                out.put_u32_le(0);
                out.put_u64_le(offer.set_id);
                out.put_u32(offer.more.into());
                for number in [offer.meta_len, offer.data_len, offer.cardinality, 0, offer.array_cardinality]
                {
                    out.put_u32(number);
                }
                put_name(&mut out, &offer.schema);
                put_name(&mut out, &offer.instance);
                for (key, value) in &offer.info {
                    put_name(&mut out, key);
                    put_name(&mut out, value);
                }
                out.put_u8(0);
                // A receiver of 4.5 looks for profiling times behind the list; none are given.
                out.put_u8(0);
                let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
                out[12..16].copy_from_slice(&len.to_le_bytes());
            }
            Self::Push { lookup_set_id, push_set_id, flags } => {
                out.put_u64_le(0);
                out.put_u32(KIND_PUSH);
                out.put_u32(36);
                out.put_u64_le(*lookup_set_id);
                out.put_u64_le(*push_set_id);
                out.put_u32(*flags);
            }
        }
        out.freeze()
    }
}

/// A length byte and so many bytes of NUL-terminated text; `None` at the length 0 that ends the list.
fn name(reader: &mut Reader<'_>) -> Result<Option<String>, WireError> {
    let len = reader.u8()?;
    if len == 0 {
        return Ok(None);
    }
    Ok(Some(c_str(reader.take(len.into())?, "set information")?.to_owned()))
}

fn put_name(out: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(254)];
    out.put_u8(u8::try_from(text.len() + 1).unwrap_or(u8::MAX));
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}
