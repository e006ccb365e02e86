//! A client for etcd's JSON gateway (etcd documentation, "gRPC gateway"): put and get, over plain HTTP.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The endpoint that ETCD_ENDPOINTS names first, as HOST:PORT.
pub fn endpoint() -> String {
    let named = dynamo_config::value_or("ETCD_ENDPOINTS", "http://127.0.0.1:2379");
    let first = named.split(',').next().unwrap_or_default().trim();
    first
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_string()
}

/// Store a value under a key.
pub fn put(endpoint: &str, key: &str, value: &str) -> Result<()> {
    let body = format!(
        r#"{{"key":"{}","value":"{}"}}"#,
        encode(key.as_bytes()),
        encode(value.as_bytes())
    );
    post(endpoint, "/v3/kv/put", &body).map(|_| ())
}

/// Return the value of a key, if it has one.
pub fn get(endpoint: &str, key: &str) -> Result<Option<String>> {
    let answer = post(
        endpoint,
        "/v3/kv/range",
        &format!(r#"{{"key":"{}"}}"#, encode(key.as_bytes())),
    )?;
    let value = answer
        .split(r#""value":""#)
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    Ok(value.map(|text| String::from_utf8_lossy(&decode(text)).into_owned()))
}

fn post(endpoint: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(endpoint)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {endpoint}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_string()),
        _ => Err(Error::new(ErrorKind::InvalidData, answer)),
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for value in text
        .bytes()
        .filter_map(|letter| LETTERS.iter().position(|each| *each == letter))
    {
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["", "a", "ab", "abc", "a key/with ünicode"] {
            assert_eq!(decode(&encode(text.as_bytes())), text.as_bytes());
        }
        assert_eq!(encode(b"foo"), "Zm9v");
    }
}
