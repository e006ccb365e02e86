//! Reading requests and writing responses.

use std::io::{self, BufRead, Read, Write};

/// Longest line of a head.
const MAX_LINE: u64 = 8 << 10;
const MAX_HEADERS: usize = 100;
pub const MAX_BODY: usize = 8 << 20;

#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub body: Vec<u8>,
    pub keep_alive: bool,
}

/// Why there is no request, and what to tell the client.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    Bad { status: u16, message: &'static str },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn bad<T>(status: u16, message: &'static str) -> Result<T, ReadError> {
    Err(ReadError::Bad { status, message })
}

impl Request {
    /// Reads the next request; `None` if the client has closed the connection.
    /// `output` takes the interim answer that some clients wait for before the body.
    pub fn read(
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> Result<Option<Self>, ReadError> {
        let Some(first) = line(input)? else {
            return Ok(None);
        };
        let parts: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = parts[..] else {
            return bad(400, "malformed request line");
        };
        let mut keep_alive = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return bad(505, "unsupported HTTP version"),
        };
        let (mut length, mut expects) = (None, false);
        for count in 0.. {
            let Some(header) = line(input)? else {
                return bad(400, "the head has no end");
            };
            if header.is_empty() {
                break;
            }
            if count == MAX_HEADERS {
                return bad(431, "too many headers");
            }
            let Some((name, value)) = header.split_once(':') else {
                return bad(400, "malformed header");
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => match value.parse::<usize>() {
                    Ok(n) if length.is_none_or(|other| other == n) => length = Some(n),
                    _ => return bad(400, "bad Content-Length"),
                },
                "transfer-encoding" => return bad(501, "transfer encodings are not supported"),
                "connection" if value.eq_ignore_ascii_case("close") => keep_alive = false,
                "connection" if value.eq_ignore_ascii_case("keep-alive") => keep_alive = true,
                "expect" => expects = value.eq_ignore_ascii_case("100-continue"),
                _ => {}
            }
        }
        let length = length.unwrap_or(0);
        if length > MAX_BODY {
            return bad(413, "the body is too large");
        }
        if expects {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            output.flush()?;
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let path = target.split('?').next().unwrap_or_default();
        Ok(Some(Self {
            method: method.into(),
            path: path.into(),
            body,
            keep_alive,
        }))
    }
}

fn line(input: &mut impl BufRead) -> Result<Option<String>, ReadError> {
    let mut bytes = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return bad(431, "a line of the head is too long or cut off");
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    match String::from_utf8(bytes) {
        Ok(line) => Ok(Some(line)),
        Err(_) => bad(400, "the head is not UTF-8"),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// A response of known length.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub allow: Option<&'static str>,
    pub body: String,
}

impl Response {
    pub fn write(&self, output: &mut impl Write, keep_alive: bool) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len()
        );
        if let Some(allow) = self.allow {
            head += &format!("Allow: {allow}\r\n");
        }
        if !keep_alive {
            head += "Connection: close\r\n";
        }
        output.write_all(format!("{head}\r\n{}", self.body).as_bytes())?;
        output.flush()
    }
}

/// Server-sent events; the end of the connection is the end of the response.
pub struct EventStream<'a, W: Write>(&'a mut W);

impl<'a, W: Write> EventStream<'a, W> {
    pub fn start(output: &'a mut W) -> io::Result<Self> {
        output.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
              Cache-Control: no-cache\r\nConnection: close\r\n\r\n",
        )?;
        Ok(Self(output))
    }

    pub fn send(&mut self, data: &str) -> io::Result<()> {
        write!(self.0, "data: {data}\n\n")?;
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Request>, ReadError> {
        Request::read(&mut text.as_bytes(), &mut io::sink())
    }

    fn status(text: &str) -> u16 {
        match read(text) {
            Err(ReadError::Bad { status, .. }) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests() {
        let text = "POST /a?b=c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.0\n\n";
        let mut input = text.as_bytes();
        let first = Request::read(&mut input, &mut io::sink()).unwrap().unwrap();
        assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/a"));
        assert_eq!(
            (first.body.as_slice(), first.keep_alive),
            (&b"hi"[..], true)
        );
        let second = Request::read(&mut input, &mut io::sink()).unwrap().unwrap();
        assert!(!second.keep_alive);
        assert!(read("").unwrap().is_none());
    }

    #[test]
    fn interim_answer() {
        let text = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
        let mut output = Vec::new();
        Request::read(&mut text.as_bytes(), &mut output).unwrap();
        assert!(output.starts_with(b"HTTP/1.1 100"));
    }

    #[test]
    fn bad_requests() {
        assert_eq!(status("GET /\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/3\r\n\r\n"), 505);
        assert_eq!(status("GET / HTTP/1.1\r\nnonsense\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
        assert_eq!(
            status("GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
            413
        );
        assert_eq!(
            status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            501
        );
        assert_eq!(
            status(&format!("GET /{} HTTP/1.1", "x".repeat(10_000))),
            431
        );
        let headers = "A: b\r\n".repeat(200);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{headers}\r\n")), 431);
        assert!(matches!(
            read("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"),
            Err(ReadError::Io(_))
        ));
    }
}
