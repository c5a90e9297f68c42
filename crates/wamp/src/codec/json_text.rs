//! Bytes inside JSON: a string of NUL and the Base64 of the bytes (WAMP spec, "Binary support in JSON").

use data_encoding::BASE64;

pub(crate) fn bytes_as_json_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(1 + BASE64.encode_len(bytes.len()));
    text.push('\0');
    BASE64.encode_append(bytes, &mut text);
    text
}

/// The bytes that `text` stands for. A NUL that no valid Base64 follows is text like any other.
pub(crate) fn json_text_as_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.strip_prefix('\0')?.as_bytes()).ok()
}
