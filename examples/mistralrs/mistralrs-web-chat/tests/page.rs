//! Asks the running program.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn page_and_chat() {
    let mut child = Running(
        Command::new(env!("CARGO_BIN_EXE_mistralrs-web-chat"))
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (_, addr) = line.trim().split_once("http://").unwrap();
    for (request, part) in [
        ("GET / HTTP/1.1\r\n\r\n", "Scale model chat"),
        (
            "POST /api/chat HTTP/1.1\r\ncontent-length: 6\r\n\r\nHello!",
            "toy model",
        ),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", "413"),
    ] {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(part), "{answer}");
    }
}
