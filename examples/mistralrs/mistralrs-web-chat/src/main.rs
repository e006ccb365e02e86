//! A page to chat with the toy model. It talks to `POST /api/chat` in plain text.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use mistralrs::{Messages, Model, Role};

const PAGE: &str = include_str!("../static/index.html");
const MAX_LINE: u64 = 8 << 10;
const MAX_HEADERS: usize = 100;
const MAX_BODY: usize = 64 << 10;
const USAGE: &str = "\
Usage: mistralrs-web-chat [--port N]

  --port N   port to serve on (default 8081; 0 takes a free one)
  --version  print the version
  --help     print this text";

struct Reply {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

fn text(status: &'static str, body: impl Into<String>) -> Reply {
    Reply {
        status,
        content_type: "text/plain; charset=utf-8",
        body: body.into(),
    }
}

fn answer(model: &Model, method: &str, path: &str, body: &[u8]) -> Reply {
    match (method, path) {
        ("GET", "/") => Reply {
            status: "200 OK",
            content_type: "text/html; charset=utf-8",
            body: PAGE.into(),
        },
        ("GET", "/api/list_models") => text("200 OK", model.id()),
        ("POST", "/api/chat") => match std::str::from_utf8(body) {
            Ok(question) if !question.trim().is_empty() => {
                let messages = Messages::new().add(Role::User, question);
                text("200 OK", model.chat(&messages).text)
            }
            _ => text("400 Bad Request", "the question must be a text"),
        },
        (_, "/" | "/api/list_models" | "/api/chat") => {
            text("405 Method Not Allowed", "wrong method")
        }
        _ => text("404 Not Found", "no such page"),
    }
}

fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(MAX_LINE).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(line.trim_end().to_owned())
}

/// One request for each connection is enough for a page.
fn serve(model: &Model, stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut input = BufReader::new(stream);
    let first = line(&mut input)?;
    let mut length = Ok(0);
    for _ in 0..MAX_HEADERS {
        let header = line(&mut input)?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>();
            }
        }
    }
    let reply = match (length, first.split(' ').collect::<Vec<_>>().as_slice()) {
        (Ok(length), [method, path, _]) if length <= MAX_BODY => {
            let mut body = vec![0; length];
            input.read_exact(&mut body)?;
            answer(model, method, path, &body)
        }
        (Ok(MAX_BODY..), _) => text("413 Content Too Large", "the question is too long"),
        _ => text("400 Bad Request", "malformed request"),
    };
    let mut output = stream;
    write!(
        output,
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        reply.status,
        reply.content_type,
        reply.body.len(),
        reply.body
    )?;
    output.flush()
}

fn run(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let model = Arc::new(Model::builder("toy").build()?);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!(
        "mistralrs-web-chat listening on http://{}",
        listener.local_addr()?
    );
    for stream in listener.incoming() {
        let (stream, model) = (stream?, Arc::clone(&model));
        thread::spawn(move || {
            if let Err(error) = serve(&model, &stream) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

fn parse(args: &[&str]) -> Result<u16, String> {
    match args {
        [] => Ok(8081),
        ["--port", port] => port.parse().map_err(|_| format!("'{port}' is not a port")),
        _ => Err("unexpected arguments".into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["--version" | "-V"] => {
            println!("mistralrs-web-chat {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let port = match parse(&args) {
        Ok(port) => port,
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let model = Model::builder("toy").build().unwrap();
        for (method, path, body, status, part) in [
            ("GET", "/", "", "200", "<form"),
            ("GET", "/api/list_models", "", "200", "toy"),
            ("POST", "/api/chat", "Hello!", "200", "toy model"),
            ("POST", "/api/chat", " ", "400", "text"),
            ("GET", "/api/chat", "", "405", ""),
            ("GET", "/favicon.ico", "", "404", ""),
        ] {
            let reply = answer(&model, method, path, body.as_bytes());
            assert!(reply.status.starts_with(status), "{path}: {}", reply.status);
            assert!(reply.body.contains(part), "{path}: {}", reply.body);
        }
    }

    #[test]
    fn arguments() {
        assert_eq!(parse(&[]), Ok(8081));
        assert_eq!(parse(&["--port", "0"]), Ok(0));
        assert!(parse(&["--port"]).is_err());
        assert!(parse(&["--port", "x"]).is_err());
    }
}
