//! HTTP/1.1 over a blocking socket with next to no work: requests are prebuilt bytes, answers are read by their length.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, as it lies in the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = std::str::from_utf8(self.head).ok()?.split("\r\n");
        lines.filter_map(|line| line.split_once(": ")).find_map(|(found, value)| (found == name).then_some(value))
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream, buffer: vec![0; 128 * 1_024] })
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(request)
    }

    /// Reads the answer.
    pub(crate) fn receive(&mut self) -> std::io::Result<Answer<'_>> {
        let mut filled = 0;
        let head_end = loop {
            let from = filled;
            filled += self.read(filled)?;
            if let Some(at) = find(&self.buffer[from.saturating_sub(3)..filled], b"\r\n\r\n") {
                break from.saturating_sub(3) + at + 4;
            }
        };
        let length = content_length(&self.buffer[..head_end]);
        if self.buffer.len() < head_end + length {
            self.buffer.resize(head_end + length, 0);
        }
        while filled < head_end + length {
            filled += self.read(filled)?;
        }
        let (head, rest) = self.buffer.split_at(head_end);
        let status = head[9..12].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        Ok(Answer { status, head, body: &rest[..length] })
    }

    /// Sends a request and reads the answer, which must have this status.
    pub(crate) fn exchange(&mut self, request: &[u8], status: u16) -> Answer<'_> {
        self.send(request).unwrap();
        let answer = self.receive().unwrap();
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(answer.body));
        answer
    }

    fn read(&mut self, from: usize) -> std::io::Result<usize> {
        let read = self.stream.read(&mut self.buffer[from..])?;
        if read == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }
}

/// Where a text begins in another.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// The length of the body; 0 where no header tells one, as for 204 and 304.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let Some(at) = find(head, NAME) else { return 0 };
    let digits = head[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// The bytes of a request. `headers` are whole lines without their ends.
pub(crate) fn request(method: &str, path: &str, headers: &[String], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
