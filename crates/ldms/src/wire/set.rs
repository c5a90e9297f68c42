//! The image of a metric set, as remote reads fetch it: a description (meta) and after it the values (data).
//!
//! Both parts are in the byte order of the sampler's host, which the description names; only little-endian sets
//! are read here. Only what a manager and the simulator need is interpreted: names, sizes, owner, generation
//! numbers, time of the sample, and 64-bit counters.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::cursor::c_str;
use super::{LDMS_VERSION, Reader, WireError};

/// Bytes of the fixed part of the description, before the dictionary.
const META_FIXED: usize = 140;
/// Bytes the original counts for it (its alignment included).
const META_COUNTED: usize = 144;
/// Bytes of the header of the values.
pub const DATA_HEADER: usize = 96;
/// Bytes of the fixed part of a metric's description, before its name.
const METRIC_FIXED: usize = 27;
const METRIC_COUNTED: usize = 28;
const DIGEST_LEN: usize = 32;
const FLAG_LITTLE_ENDIAN: u8 = 2;
const TYPE_U64: u8 = 8;
const METRIC_IS_DATA: u8 = 1;
const METRIC_IS_META: u8 = 2;
const TRANSACTION_END: u32 = 2;

/// Whom a set belongs to and who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, such as 0o777.
    pub perm: u32,
}

/// What the description of a set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Name of the daemon that sampled it.
    pub producer: String,
    /// Name of the set.
    pub instance: String,
    /// Name of its schema.
    pub schema: String,
    /// Hash of the schema.
    pub digest: [u8; DIGEST_LEN],
    /// Generation of the description; changes when the description does.
    pub generation: u64,
    /// Number of metrics.
    pub cardinality: u32,
    /// Bytes of the description.
    pub meta_size: u32,
    /// Bytes of the values.
    pub data_size: u32,
    /// Bytes of its heap (for lists), part of the values.
    pub heap_size: u32,
    /// How many copies of the values the set keeps.
    pub array_cardinality: u32,
    /// Owner.
    pub owner: Owner,
}

/// What the header of the values says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken, in microseconds since the epoch.
    pub time_us: u64,
    /// How long taking it took, in microseconds.
    pub duration_us: u64,
    /// Whether it is complete (a sampler marks it while it writes).
    pub consistent: bool,
    /// Changes with every sample.
    pub generation: u64,
    /// Generation of the description the values belong to.
    pub meta_generation: u64,
}

impl Meta {
    /// Reads a description.
    ///
    /// # Errors
    /// When it is cut short, or of a big-endian host.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "set description");
        let producer = c_str(reader.take(64)?, "producer name")?.to_owned();
        let generation = reader.u64_le()?;
        reader.four()?;
        if reader.four()?[0] & FLAG_LITTLE_ENDIAN == 0 {
            return Err(WireError::Malformed("byte order of a set"));
        }
        let cardinality = reader.u32_le()?;
        let (meta_size, data_size) = (reader.u32_le()?, reader.u32_le()?);
        let owner = Owner { uid: reader.u32_le()?, gid: reader.u32_le()?, perm: reader.u32_le()? };
        let (array_cardinality, heap_size) = (reader.u32_le()?, reader.u32_le()?);
        let dictionary = (cardinality as usize).checked_mul(4).ok_or(WireError::Malformed("set"))?;
        let mut reader = Reader::new(bytes, "set description");
        reader.take(META_FIXED)?;
        reader.take(dictionary)?;
        let len = reader.u8()?;
        let instance = c_str(reader.take(len.into())?, "set name")?.to_owned();
        let len = reader.u8()?;
        let schema_field = reader.take(len.into())?;
        let schema = c_str(schema_field, "schema name")?.to_owned();
        let mut digest = [0; DIGEST_LEN];
        if let Some(found) = schema_field.get(schema.len() + 1..schema.len() + 1 + DIGEST_LEN) {
            digest.copy_from_slice(found);
        }
        Ok(Self {
            producer,
            instance,
            schema,
            digest,
            generation,
            cardinality,
            meta_size,
            data_size,
            heap_size,
            array_cardinality,
            owner,
        })
    }
}

impl Sample {
    /// Reads the header of the values.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "set values");
        let time_us = micros(&mut reader)?;
        let duration_us = micros(&mut reader)?;
        let consistent = reader.u32_le()? == TRANSACTION_END;
        reader.u32_le()?;
        let generation = reader.u64_le()?;
        reader.u64_le()?;
        Ok(Self { time_us, duration_us, consistent, generation, meta_generation: reader.u64_le()? })
    }
}

fn micros(reader: &mut Reader<'_>) -> Result<u64, WireError> {
    Ok(u64::from(reader.u32_le()?) * 1_000_000 + u64::from(reader.u32_le()?))
}

/// The value of the 64-bit counter `name` of a set.
///
/// # Errors
/// When the bytes contradict themselves.
pub fn counter(meta: &[u8], data: &[u8], name: &str) -> Result<Option<u64>, WireError> {
    let cardinality = Meta::decode(meta)?.cardinality as usize;
    let mut dictionary = Reader::new(&meta[META_FIXED..], "set dictionary");
    for _ in 0..cardinality {
        let at = dictionary.u32_le()? as usize;
        let mut reader = Reader::new(meta.get(at..).unwrap_or_default(), "metric description");
        reader.take(8)?;
        let offset = reader.u32_le()? as usize;
        reader.take(12)?;
        let (kind, flags, len) = (reader.u8()?, reader.u8()?, reader.u8()?);
        if c_str(reader.take(len.into())?, "metric name")? != name || kind != TYPE_U64 {
            continue;
        }
        let part = if flags & METRIC_IS_META == 0 { data } else { meta };
        return Reader::new(part.get(offset..).unwrap_or_default(), "metric value").u64_le().map(Some);
    }
    Ok(None)
}

/// A metric of a set that [`Layout`] builds: a 64-bit counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name; at most 200 bytes.
    pub name: String,
    /// Whether it belongs to the description (and stays as it is) rather than to the values.
    pub fixed: bool,
}

/// The description of a set of counters, laid out as the original does, and how to write its values.
#[derive(Debug, Clone)]
pub struct Layout {
    meta: Bytes,
    data_metrics: usize,
}

impl Layout {
    /// Lays out a set. `fixed` gives the values of the metrics that belong to the description, in order.
    ///
    /// Names longer than the wire has room for (254 bytes; 64 for the producer) are cut.
    #[must_use]
    pub fn new(
        producer: &str,
        instance: &str,
        schema: &str,
        owner: Owner,
        metrics: &[Metric],
        fixed: &[u64],
    ) -> Self {
        let digest: [u8; DIGEST_LEN] = {
            let mut hash = Sha256::new();
            for metric in metrics {
                hash.update(metric.name.as_bytes());
                hash.update([0, TYPE_U64]);
            }
            hash.finalize().into()
        };
        let instance = cut(instance, 250);
        let schema = cut(schema, 210);
        let described = |metric: &Metric| round8(METRIC_COUNTED + cut(&metric.name, 200).len() + 1);
        let data_metrics = metrics.iter().filter(|metric| !metric.fixed).count();
        let fixed_metrics = metrics.len() - data_metrics;
        let counted: usize = metrics.iter().map(|metric| 4 + described(metric)).sum();
        let counted = META_COUNTED + counted + 8 * fixed_metrics;
        let meta_size = round8(counted + schema.len() + 2 + DIGEST_LEN + instance.len() + 2);
        let data_size = DATA_HEADER + 8 * data_metrics;

        let names = META_FIXED + 4 * metrics.len();
        let first = round8(names + 1 + instance.len() + 1 + 1 + schema.len() + 1 + DIGEST_LEN + 1);
        let mut meta = BytesMut::with_capacity(meta_size);
        put_padded(&mut meta, cut(producer, 63), 64);
        meta.put_u64_le(1);
        meta.put_slice(&LDMS_VERSION);
        meta.put_slice(&[FLAG_LITTLE_ENDIAN, 0, 0, 0]);
        for number in [metrics.len(), meta_size, data_size] {
            meta.put_u32_le(small(number));
        }
        for number in [owner.uid, owner.gid, owner.perm, 1, 0] {
            meta.put_u32_le(number);
        }
        meta.put_bytes(0, 28);
        let mut at = first;
        for metric in metrics {
            meta.put_u32_le(small(at));
            at += described(metric);
        }
        let mut fixed_at = round8(at);
        put_name(&mut meta, instance.as_bytes(), instance.len() + 1);
        put_name(&mut meta, schema.as_bytes(), schema.len() + 1 + DIGEST_LEN + 1);
        let digest_at = meta.len() - DIGEST_LEN - 1;
        meta[digest_at..digest_at + DIGEST_LEN].copy_from_slice(&digest);
        meta.put_bytes(0, first.saturating_sub(meta.len()));
        let mut data_at = DATA_HEADER;
        for metric in metrics {
            let start = meta.len();
            let name = cut(&metric.name, 200);
            let value_at = if metric.fixed { &mut fixed_at } else { &mut data_at };
            meta.put_u64_le(0);
            meta.put_u32_le(small(*value_at));
            meta.put_u32_le(1);
            meta.put_u64_le(0);
            meta.put_u8(TYPE_U64);
            meta.put_u8(if metric.fixed { METRIC_IS_META } else { METRIC_IS_DATA });
            meta.put_u8(u8::try_from(name.len() + 1).unwrap_or(u8::MAX));
            debug_assert_eq!(meta.len() - start, METRIC_FIXED);
            put_padded(&mut meta, name, described(metric) - METRIC_FIXED);
            *value_at += 8;
        }
        meta.put_bytes(0, round8(meta.len()) - meta.len());
        for index in 0..fixed_metrics {
            meta.put_u64_le(fixed.get(index).copied().unwrap_or(0));
        }
        meta.put_bytes(0, meta_size.saturating_sub(meta.len()));
        Self { meta: meta.freeze(), data_metrics }
    }

    /// The description.
    #[must_use]
    pub fn meta(&self) -> &Bytes {
        &self.meta
    }

    /// The bytes of the values.
    #[must_use]
    pub fn data_size(&self) -> usize {
        DATA_HEADER + 8 * self.data_metrics
    }

    /// Writes the values of a sample; missing ones are 0.
    #[must_use]
    pub fn data(&self, sample: &Sample, values: &[u64]) -> Bytes {
        let mut data = BytesMut::with_capacity(self.data_size());
        for time in [sample.time_us, sample.duration_us] {
            data.put_u32_le(u32::try_from(time / 1_000_000).unwrap_or(u32::MAX));
            data.put_u32_le(u32::try_from(time % 1_000_000).unwrap_or(0));
        }
        data.put_u32_le(if sample.consistent { TRANSACTION_END } else { 0 });
        data.put_u32_le(small(self.meta.len()));
        data.put_u64_le(sample.generation);
        data.put_u64_le(self.data_size() as u64);
        data.put_u64_le(sample.meta_generation);
        data.put_bytes(0, DATA_HEADER - data.len());
        for index in 0..self.data_metrics {
            data.put_u64_le(values.get(index).copied().unwrap_or(0));
        }
        data.freeze()
    }
}

fn round8(number: usize) -> usize {
    number.div_ceil(8) * 8
}

/// Sizes here are those of names and metrics of one set, far below 4 GiB.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// At most `max` bytes of `text`, whole characters only.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn put_padded(out: &mut BytesMut, text: &str, len: usize) {
    out.put_slice(text.as_bytes());
    out.put_bytes(0, len - text.len());
}

/// A length and a name padded with NULs to it.
fn put_name(out: &mut BytesMut, name: &[u8], len: usize) {
    out.put_u8(u8::try_from(len).unwrap_or(u8::MAX));
    out.put_slice(name);
    out.put_bytes(0, len - name.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let metric = |name: &str, fixed| Metric { name: name.to_owned(), fixed };
        let metrics = [metric("component_id", true), metric("job_id", false), metric("MemFree", false)];
        let owner = Owner { uid: 3, gid: 4, perm: 0o640 };
        Layout::new("node-1", "node-1/meminfo", "meminfo", owner, &metrics, &[42])
    }

    #[test]
    fn a_set_that_is_laid_out_reads_back() {
        let layout = layout();
        let meta = Meta::decode(layout.meta()).unwrap();
        assert_eq!(meta.producer, "node-1");
        assert_eq!(meta.instance, "node-1/meminfo");
        assert_eq!(meta.schema, "meminfo");
        assert_eq!(meta.owner, Owner { uid: 3, gid: 4, perm: 0o640 });
        assert_eq!(meta.meta_size as usize, layout.meta().len());
        assert_eq!(meta.data_size as usize, layout.data_size());
        assert_eq!((meta.cardinality, meta.array_cardinality, meta.generation), (3, 1, 1));
        let sample = Sample {
            time_us: 1_795_344_935_457_782,
            duration_us: 12,
            consistent: true,
            generation: 7,
            meta_generation: 1,
        };
        let data = layout.data(&sample, &[0, 99]);
        assert_eq!(Sample::decode(&data).unwrap(), sample);
        assert_eq!(counter(layout.meta(), &data, "component_id").unwrap(), Some(42));
        assert_eq!(counter(layout.meta(), &data, "MemFree").unwrap(), Some(99));
        assert_eq!(counter(layout.meta(), &data, "absent").unwrap(), None);
    }

    #[test]
    fn a_description_cut_anywhere_is_an_error_and_never_a_panic() {
        let layout = layout();
        for len in 0..META_FIXED {
            assert!(Meta::decode(&layout.meta()[..len]).is_err());
        }
        for len in 0..layout.meta().len() {
            let _ = counter(&layout.meta()[..len], &[], "MemFree");
        }
    }

    #[test]
    fn overlong_names_are_cut_to_what_the_wire_has_room_for() {
        let long = "x".repeat(400);
        let owner = Owner { uid: 0, gid: 0, perm: 0o777 };
        let metrics = [Metric { name: long.clone(), fixed: false }];
        let layout = Layout::new(&long, &long, &long, owner, &metrics, &[]);
        let meta = Meta::decode(layout.meta()).unwrap();
        assert_eq!((meta.producer.len(), meta.instance.len(), meta.schema.len()), (63, 250, 210));
        assert_eq!(meta.meta_size as usize, layout.meta().len());
    }
}
