//! The codecs against bytes that Python's cbor2 6.3, msgpack 1.2 and json (3.11) have written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use campanile_wamp::{Dict, Limits, Serializer, Value};

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn decode(serializer: Serializer, bytes: &[u8]) -> Value {
    serializer.decode_value(bytes, &Limits::default()).unwrap()
}

fn cbor(hex: &str) -> Value {
    decode(Serializer::Cbor, &unhex(hex))
}

fn msgpack(hex: &str) -> Value {
    decode(Serializer::MsgPack, &unhex(hex))
}

fn json(text: &str) -> Value {
    decode(Serializer::Json, text.as_bytes())
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

fn one_of_everything() -> Vec<Value> {
    let integers = [1, -1, 24, -25, 255, 256, 65536, 1 << 32, i64::MAX].map(Value::Int);
    let mut values = Vec::from(integers);
    values.extend([1 << 63, u64::MAX].map(Value::UInt));
    values.push(Value::Int(i64::MIN));
    values.extend([1.0, 0.1, -0.0, 1e300].map(Value::Float));
    values.extend([Value::Null, Value::Bool(true), Value::Bool(false)]);
    values.extend(["", "äöü €", &"x".repeat(40)].map(Value::from));
    values.push(Value::Bytes(vec![0, 255]));
    values.extend([list([]), Value::Dict(Dict::new())]);
    values.push(Dict::new().with("a", Dict::new().with("b", list([1.into(), 2.into()]))).into());
    values
}

const ALL_CBOR: &str = "981a01201818381818ff1901001a000100001b00000001000000001b7fffffffffffffff1b80000000000000001\
    bffffffffffffffff3b7ffffffffffffffffb3ff0000000000000fb3fb999999999999afb8000000000000000fb7e37e43c8800759cf6f5\
    f4606ac3a4c3b6c3bc20e282ac7828787878787878787878787878787878787878787878787878787878787878787878787878787878784\
    200ff80a0a16161a16162820102";
const ALL_MSGPACK: &str = "dc001a01ff18e7ccffcd0100ce00010000cf0000000100000000cf7fffffffffffffffcf8000000000000000cf\
    ffffffffffffffffd38000000000000000cb3ff0000000000000cb3fb999999999999acb8000000000000000cb7e37e43c8800759cc0c3c\
    2a0aac3a4c3b6c3bc20e282acd92878787878787878787878787878787878787878787878787878787878787878787878787878787878c4\
    0200ff908081a16181a162920102";

#[test]
fn what_python_writes_is_read_and_written_byte_for_byte() {
    let everything = list(one_of_everything());
    for (serializer, hex) in [(Serializer::Cbor, ALL_CBOR), (Serializer::MsgPack, ALL_MSGPACK)] {
        let bytes = unhex(hex);
        assert_eq!(decode(serializer, &bytes), everything, "{serializer:?}");
        let mut written = Vec::new();
        serializer.encode_value(&everything, &mut written);
        assert_eq!(written, bytes, "{serializer:?}");
    }
    let text = concat!(
        r#"[1,-1,24,-25,255,256,65536,4294967296,9223372036854775807,9223372036854775808,18446744073709551615,"#,
        r#"-9223372036854775808,1.0,0.1,-0.0,1e+300,null,true,false,"","\u00e4\u00f6\u00fc \u20ac","#,
        r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","\u0000AP8=",[],{},{"a":{"b":[1,2]}}]"#
    );
    assert_eq!(json(text), everything);
    let mut written = Vec::new();
    Serializer::Json.encode_value(&everything, &mut written);
    let plain = text.replace(r"\u00e4\u00f6\u00fc \u20ac", "äöü €").replace("1e+300", "1e300");
    assert_eq!(String::from_utf8(written).unwrap(), plain);
}

#[test]
fn cbor_floats_of_every_size_are_read() {
    let floats = cbor("86f93800f97e00f97c00f97bfffb3e7ad7f29abcaf48fa47c35000");
    let Value::List(floats) = floats else { panic!("{floats:?}") };
    let floats: Vec<f64> = floats.iter().map(|float| float.as_f64().unwrap()).collect();
    assert_eq!(floats[0], 0.5);
    assert!(floats[1].is_nan());
    assert_eq!(floats[2..], [f64::INFINITY, 65504.0, 1e-7, 100000.0]);
    assert_eq!(cbor("f90001"), Value::Float(2f64.powi(-24)), "the smallest half");
    assert_eq!(cbor("f9c400"), Value::Float(-4.0));
    assert_eq!(cbor("f9fc00"), Value::Float(f64::NEG_INFINITY));
}

#[test]
fn cbor_tags_become_what_they_mean_or_are_left_out() {
    for (python, hex, value) in [
        ("2**64", "c249010000000000000000", Value::Float(18446744073709551616.0)),
        ("-2**64", "3bffffffffffffffff", Value::Float(-18446744073709551616.0)),
        ("-2**64-1", "c349010000000000000000", Value::Float(-18446744073709551617.0)),
        ("2**100", "c24d10000000000000000000000000", Value::Float(2f64.powi(100))),
        ("a small bignum", "c24105", Value::Int(5)),
        ("a small negative bignum", "c34105", Value::Int(-6)),
        ("Decimal('1.5')", "c482200f", Value::Float(1.5)),
        ("Decimal('-273.15')", "c48221396ab2", Value::Float(-273.15)),
        ("bigfloat 1.5", "c5822003", Value::Float(1.5)),
        ("Fraction(1, 4)", "d81e820104", Value::Float(0.25)),
        ("{1, 2}", "d90102820102", list([1.into(), 2.into()])),
        ("UUID(int=5)", "d8255000000000000000000000000000000005", {
            let mut bytes = vec![0; 16];
            bytes[15] = 5;
            Value::Bytes(bytes)
        }),
        ("datetime", "c074323032362d31312d32325431303a30303a30305a", "2026-11-22T10:00:00Z".into()),
        ("date", "d903ec6a323032362d31312d3232", "2026-11-22".into()),
        ("1+2j", "d9a7f882fb3ff0000000000000fb4000000000000000", list([1.0.into(), 2.0.into()])),
        ("undefined", "f7", Value::Null),
        ("CBORSimpleValue(99)", "f863", Value::Null),
        ("self-described CBOR", "d9d9f701", Value::Int(1)),
    ] {
        assert_eq!(cbor(hex), value, "{python}");
    }
    assert!(
        Serializer::Cbor.decode_value(&unhex("d81d00"), &Limits::default()).is_err(),
        "a shared reference"
    );
}

#[test]
fn cbor_of_indefinite_length_is_read() {
    assert_eq!(cbor("9f019f02ff03ff"), list([1.into(), list([2.into()]), 3.into()]));
    assert_eq!(cbor("bf616101ff"), Dict::new().with("a", 1).into());
    assert_eq!(cbor("7f6261626163ff"), "abc".into());
    assert_eq!(cbor("5f42010240ff"), Value::Bytes(vec![1, 2]));
    for endless in ["9f01", "bf6161", "7f626162", "7f4161ff", "7f7fff"] {
        assert!(Serializer::Cbor.decode_value(&unhex(endless), &Limits::default()).is_err(), "{endless}");
    }
}

#[test]
fn keys_that_are_no_text_become_what_pythons_json_makes_of_them() {
    let cbor = cbor("a2016161fb40040000000000006162");
    assert_eq!(cbor, Dict::new().with("1", "a").with("2.5", "b").into());
    assert_eq!(self::cbor("a2f501f602"), Dict::new().with("true", 1).with("null", 2).into());
    assert_eq!(msgpack("8101a161"), Dict::new().with("1", "a").into());
    for (serializer, hex) in [(Serializer::Cbor, "a18001"), (Serializer::MsgPack, "819001")] {
        assert!(serializer.decode_value(&unhex(hex), &Limits::default()).is_err(), "a list as a key");
    }
}

#[test]
fn msgpack_extensions_become_seconds_or_bytes() {
    assert_eq!(msgpack("d6ff6b02bd20"), Value::Float(1795341600.0));
    assert_eq!(msgpack("d7ff7735940000000001"), Value::Float(1.5));
    assert_eq!(msgpack("c70305616263"), Value::Bytes(b"abc".to_vec()));
}

#[test]
fn what_pythons_json_writes_beyond_the_standard_is_read() {
    let Value::List(odd) =
        json(r#"[NaN, Infinity, -Infinity, 1180591620717411303424, "\ud800", "\ud83d\ude00"]"#)
    else {
        panic!("not a list")
    };
    assert!(odd[0].as_f64().is_some_and(f64::is_nan));
    assert_eq!(odd[1..3], [Value::Float(f64::INFINITY), Value::Float(f64::NEG_INFINITY)]);
    assert_eq!(odd[3], Value::Float(2f64.powi(70)));
    assert_eq!(odd[4..], ["\u{fffd}".into(), "😀".into()]);
}
