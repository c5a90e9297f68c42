//! A minimal HTTP client for the router's bridge, made of nothing but a socket.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long connecting and each read may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One HTTP/1.1 request to a port of this machine on a connection of its own: the status code, the head and
/// the body of the answer. `Err` says why there was none (connection refused, timeout).
pub fn http_request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, String, Vec<u8>), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answer = TcpStream::connect_timeout(&address, TIMEOUT).and_then(|mut stream| {
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.map_err(|error| error.to_string())?;
    split(&answer).ok_or_else(|| format!("no HTTP answer: {:?}", String::from_utf8_lossy(&answer)))
}

/// Calls a procedure through the HTTP bridge at `/call`, as the Python OCS client does: the one result, or
/// the text of what went wrong (an unreachable router, or the WAMP error with its arguments).
pub fn bridge_call(port: u16, procedure: &str, args: Value) -> Result<Value, String> {
    let body = json!({"procedure": procedure, "args": args, "kwargs": {}}).to_string();
    let (status, _, body) =
        http_request(port, "POST", "/call", &[("Content-Type", "application/json")], body.as_bytes())?;
    let text = String::from_utf8_lossy(&body);
    let reply: Value = serde_json::from_str(&text).map_err(|_| format!("status {status}: {text}"))?;
    match reply.get("error") {
        Some(error) => Err(format!("{error} {}", reply["args"])),
        None => Ok(reply["args"][0].clone()),
    }
}

fn split(answer: &[u8]) -> Option<(u16, String, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer[end + 4..].to_vec();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((status, head, if chunked { unchunk(&body)? } else { body }))
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_a_length_and_in_chunks_are_read() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(split(plain).unwrap().2, b"hi");
        let chunks = b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let (status, _, body) = split(chunks).unwrap();
        assert_eq!((status, body.as_slice()), (404, b"abcd".as_slice()));
    }
}
