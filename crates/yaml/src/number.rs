//! Integers and floats from their YAML 1.1 spelling.

use crate::value::Value;

/// Python refuses to read longer decimal integers, and so do we.
const MAX_DECIMAL_DIGITS: usize = 4300;

/// Reads an integer: decimal, `0b`, `0x`, octal with a leading `0`, or in base 60 with colons; `_` may separate digits.
pub(crate) fn parse_int(text: &str) -> Result<Value, String> {
    let plain = text.replace('_', "");
    let negative = plain.starts_with('-');
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let value = if digits == "0" {
        Natural::default()
    } else if let Some(bits) = digits.strip_prefix("0b") {
        Natural::parse(bits, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        Natural::parse(hex, 16)?
    } else if digits.starts_with('0') {
        Natural::parse(digits, 8)?
    } else {
        let mut value = Natural::default();
        for place in digits.split(':') {
            if place.len() > MAX_DECIMAL_DIGITS {
                return Err(format!("more than {MAX_DECIMAL_DIGITS} digits"));
            }
            if value.is_zero() {
                value = Natural::parse(place, 10)?;
            } else {
                let place = place.parse().map_err(|_| not_a_number(text))?;
                value.multiply_add(60, place);
            }
        }
        value
    };
    Ok(value.signed(negative))
}

/// Reads a float: decimal, `.inf`, `.nan`, or in base 60 with colons; `_` may separate digits.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    match digits {
        ".inf" => return Ok(sign * f64::INFINITY),
        ".nan" => return Ok(f64::NAN),
        _ => {}
    }
    let decimal = |part: &str| part.trim().parse::<f64>().map_err(|_| not_a_number(text));
    if !digits.contains(':') {
        return Ok(sign * decimal(digits)?);
    }
    let mut value = 0.0;
    let mut weight = Natural::one();
    for place in digits.rsplit(':') {
        let weight_as_float = decimal(&weight.to_decimal())?;
        if weight_as_float.is_infinite() {
            return Err("too large".to_owned());
        }
        value += decimal(place)? * weight_as_float;
        weight.multiply_add(60, 0);
    }
    Ok(sign * value)
}

fn not_a_number(text: &str) -> String {
    format!("{text:?} is not a number")
}

/// A natural number of any size, in base 10⁹, the lowest place first.
#[derive(Default)]
struct Natural(Vec<u32>);

impl Natural {
    const BASE: u64 = 1_000_000_000;

    fn one() -> Self {
        Self(vec![1])
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn parse(digits: &str, radix: u32) -> Result<Self, String> {
        // As many digits at a time as a u32 holds, so that long numbers take a reasonable time.
        let at_once = match radix {
            2 => 30,
            8 => 10,
            16 => 7,
            _ => 9,
        };
        if digits.is_empty() {
            return Err("no digits".to_owned());
        }
        if digits.len() > MAX_DIGITS {
            return Err(format!("more than {MAX_DIGITS} digits"));
        }
        let mut value = Self::default();
        for chunk in digits.as_bytes().chunks(at_once) {
            let mut number = 0;
            for byte in chunk {
                let digit = char::from(*byte).to_digit(radix).ok_or_else(|| not_a_number(digits))?;
                number = number * radix + digit;
            }
            value.multiply_add(radix.pow(u32::try_from(chunk.len()).unwrap_or(0)), number);
        }
        Ok(value)
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for place in &mut self.0 {
            let product = u64::from(*place) * u64::from(factor) + carry;
            *place = (product % Self::BASE) as u32;
            carry = product / Self::BASE;
        }
        while carry > 0 {
            self.0.push((carry % Self::BASE) as u32);
            carry /= Self::BASE;
        }
    }

    fn to_decimal(&self) -> String {
        let Some((highest, rest)) = self.0.split_last() else { return "0".to_owned() };
        let mut text = highest.to_string();
        for place in rest.iter().rev() {
            text.push_str(&format!("{place:09}"));
        }
        text
    }

    fn signed(&self, negative: bool) -> Value {
        let mut text = self.to_decimal();
        if negative && !self.is_zero() {
            text.insert(0, '-');
        }
        text.parse().map_or(Value::BigInt(text), Value::Int)
    }
}

/// No one writes longer numbers; reading them takes time in the square of their length.
const MAX_DIGITS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::{parse_float, parse_int};
    use crate::value::Value;

    #[test]
    fn integers_are_read_in_every_base() {
        let int = |text: &str| parse_int(text).unwrap();
        assert_eq!(int("010"), Value::Int(8));
        assert_eq!(int("-0x_fF"), Value::Int(-255));
        assert_eq!(int("0b1_01"), Value::Int(5));
        assert_eq!(int("1_000"), Value::Int(1000));
        assert_eq!(int("-190:20:30"), Value::Int(-685_230));
        assert_eq!(int("-9223372036854775808"), Value::Int(i64::MIN));
        assert_eq!(int("9223372036854775808"), Value::BigInt("9223372036854775808".to_owned()));
        assert_eq!(int("0xffffffffffffffffffff"), Value::BigInt("1208925819614629174706175".to_owned()));
        for text in ["0x_", "0b", "1:x", "", "12a", "08"] {
            assert!(parse_int(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn floats_are_read_in_every_spelling() {
        assert_eq!(parse_float("1_0.5e+3"), Ok(10_500.0));
        assert_eq!(parse_float("-1:20.5"), Ok(-80.5));
        assert_eq!(parse_float("-.INF"), Ok(f64::NEG_INFINITY));
        assert!(parse_float(".NaN").unwrap().is_nan());
        assert!(parse_float("one").is_err());
    }
}
