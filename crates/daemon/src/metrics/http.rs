//! As much of HTTP/1.1 (RFC 9112) as a scraper, a probe and a browser need: GET, one answer, closed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::clock;

/// Bytes of a request: what common servers take; a browser sends less than 2 kB.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// How long a client may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is answered.
pub(super) struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    pub(super) fn ok(content_type: &'static str, body: String) -> Self {
        Self { status: "200 OK", content_type, body }
    }

    pub(super) fn unavailable(content_type: &'static str, body: String) -> Self {
        Self { status: "503 Service Unavailable", content_type, body }
    }

    pub(super) fn not_found(body: &str) -> Self {
        Self { status: "404 Not Found", content_type: TEXT, body: body.to_owned() }
    }
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Reads one request, answers it by its path, and closes the connection.
pub(super) fn serve(mut stream: TcpStream, answer: impl FnOnce(&str) -> Answer) -> io::Result<()> {
    let deadline = clock::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = read(&mut stream, deadline)?;
    let (answer, has_body) = match understand(&request) {
        Ok((method, path)) if method == "GET" || method == "HEAD" => (answer(&path), method == "GET"),
        Ok(_) => (refusal("405 Method Not Allowed", "only GET and HEAD are answered here\n"), true),
        Err(problem) => (refusal("400 Bad Request", problem), true),
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'self' 'unsafe-inline'; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    stream.write_all(head.as_bytes())?;
    if has_body {
        stream.write_all(answer.body.as_bytes())?;
    }
    stream.flush()
}

fn refusal(status: &'static str, body: &str) -> Answer {
    Answer { status, content_type: TEXT, body: body.to_owned() }
}

/// Reads up to the empty line that ends a request without a body, or as much as there may be.
fn read(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while request.len() < REQUEST_BYTES_MAX && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        // Of the whole, not of each piece: or a client that sends a byte now and then stays for good.
        let left = deadline.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        request.extend(buffer.get(..length).unwrap_or_default());
    }
    Ok(request)
}

/// Reads method and path, without a query.
fn understand(request: &[u8]) -> Result<(String, String), &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the request does not end, or is too long\n"),
        Err(_) => return Err("this is no request of HTTP/1.1\n"),
    }
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err("the request asks for nothing\n");
    };
    let path = target.split('?').next().unwrap_or_default();
    Ok((method.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    fn ask(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        client.write_all(request).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // What a hostile client does to its own connection is nobody else's business.
        let _ = serve(stream, |path| Answer::ok(TEXT, format!("you asked for {path}")));
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_path_is_answered_without_its_query() {
        let text = ask(b"GET /metrics?now HTTP/1.1\r\nHost: here\r\n\r\n");

        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nyou asked for /metrics"), "{text}");
        assert!(text.contains("\r\nContent-Length: 22\r\n"), "{text}");
    }

    #[test]
    fn a_head_has_no_body() {
        let text = ask(b"HEAD / HTTP/1.1\r\n\r\n");

        assert!(text.ends_with("\r\n\r\n") && text.contains("Content-Length: 15\r\n"), "{text}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; REQUEST_BYTES_MAX]].concat();
        for request in [&b"\xff\x00\xfe\r\n\r\n"[..], b"GET / HTTP/1.1\r\n", b"", &long] {
            let text = ask(request);
            // A reset may overtake the refusal of what was not read to its end.
            assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{text}");
        }
    }

    #[test]
    fn nothing_is_changed_by_asking() {
        assert!(ask(b"POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    }
}
