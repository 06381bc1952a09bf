//! Where the body of an answer begins and how it is framed (RFC 9112 §6.3, §7.1). The HTTP library reads answers; this is
//! read beside it, so that an event stream can go on without it.

use memchr::{memchr2, memmem};

use super::upstream_mcp::Broken;

/// Longest head that is looked at.
const LONGEST_HEAD: usize = 16 * 1024;
/// Most bytes of extensions of one chunk, and of trailers.
const MOST_ASIDE: u16 = 16 * 1024;

/// What has been read of an answer so far.
#[derive(Debug)]
pub(super) enum Watch {
    /// A part of its head.
    Head(Vec<u8>),
    /// Its body is an event stream; of its data, so many bytes have come.
    Events(Framing, u64),
    /// It is something else, or framed in another way than these.
    Other,
}

impl Watch {
    /// Before the first byte.
    pub(super) const fn new() -> Self {
        Self::Head(Vec::new())
    }

    /// Whether a byte has been read.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self, Self::Head(head) if head.is_empty())
    }

    /// Takes note of what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        loop {
            match self {
                Self::Other => return,
                Self::Events(framing, count) => {
                    loop {
                        match framing.next(&mut bytes) {
                            Ok(Some(data)) => *count += data.len() as u64,
                            Ok(None) => return,
                            Err(Broken) => break,
                        }
                    }
                    *self = Self::Other;
                    return;
                }
                Self::Head(head) => {
                    let seen = head.len();
                    if seen == 0 && bytes.is_empty() {
                        return;
                    }
                    head.extend_from_slice(bytes.get(..LONGEST_HEAD.min(bytes.len())).unwrap_or_default());
                    let Some(end) = memmem::find(head, b"\r\n\r\n").map(|at| at + 4) else {
                        if head.len() >= LONGEST_HEAD {
                            *self = Self::Other;
                        }
                        return;
                    };
                    bytes = bytes.get(end - seen..).unwrap_or_default();
                    *self = head.get(..end).map_or(Self::Other, Self::after);
                }
            }
        }
    }

    /// What comes after this head.
    fn after(head: &[u8]) -> Self {
        let Some(lines) = std::str::from_utf8(head).ok().and_then(|text| text.strip_suffix("\r\n\r\n"))
        else {
            return Self::Other;
        };
        let mut lines = lines.split("\r\n");
        let Some(status) = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")) else {
            return Self::Other;
        };
        if status.starts_with('1') && !status.starts_with("101") {
            return Self::new();
        }
        let (mut framing, mut is_events) = (Framing::UntilClose, false);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { return Self::Other };
            let value = value.trim();
            // A line that goes on, or an end of line that is half of one: others may read it differently.
            if line.starts_with([' ', '\t']) || memchr2(b'\r', b'\n', line.as_bytes()).is_some() {
                return Self::Other;
            }
            if name.eq_ignore_ascii_case("content-length") {
                return Self::Other;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") || matches!(framing, Framing::Chunked(_)) {
                    return Self::Other;
                }
                framing = Framing::Chunked(Chunks::default());
            } else if name.eq_ignore_ascii_case("content-type") {
                let kind = value.split(';').next().unwrap_or_default().trim();
                is_events = kind.eq_ignore_ascii_case("text/event-stream");
            }
        }
        if status.starts_with("200") && is_events { Self::Events(framing, 0) } else { Self::Other }
    }
}

/// How the rest of a body is framed.
#[derive(Clone, Debug)]
pub(super) enum Framing {
    /// It ends with the connection.
    UntilClose,
    /// In chunks.
    Chunked(Chunks),
}

impl Framing {
    /// The next piece of data in `input`, which moves past it.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Broken> {
        match self {
            Self::UntilClose => {
                let all = std::mem::take(input);
                Ok((!all.is_empty()).then_some(all))
            }
            Self::Chunked(chunks) => chunks.next(input),
        }
    }

    /// Whether nothing more can come. `closed` says that the connection has ended.
    pub(super) const fn is_over(&self, closed: bool) -> bool {
        match self {
            Self::UntilClose => closed,
            Self::Chunked(chunks) => matches!(chunks.at, At::Over),
        }
    }
}

/// A place in a chunked body.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk, or what its size says so far.
    left: u64,
    /// Digits of the size.
    digits: u8,
    aside: u16,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLf,
    Line,
    Trailer,
    TrailerEnd,
    LastEnd,
    Over,
}

impl Chunks {
    fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Broken> {
        loop {
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            if matches!(self.at, At::Data) {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at(length);
                *input = rest;
                self.left -= length as u64;
                if self.left == 0 {
                    self.at = At::DataEnd;
                }
                return Ok(Some(data));
            }
            *input = rest;
            self.at = match (self.at, byte) {
                (At::Size, b'\r') if self.digits > 0 => At::SizeEnd,
                (At::Size, b';' | b' ' | b'\t') if self.digits > 0 => At::Extension,
                (At::Size, digit) if self.digits < 16 => {
                    let digit = char::from(digit).to_digit(16).ok_or(Broken)?;
                    self.left = (self.left << 4) | u64::from(digit);
                    self.digits += 1;
                    At::Size
                }
                (At::Extension, b'\r') => At::SizeEnd,
                (At::Extension, byte) if byte != b'\n' => self.aside(At::Extension)?,
                (At::SizeEnd, b'\n') => {
                    (self.digits, self.aside) = (0, 0);
                    if self.left == 0 { At::Line } else { At::Data }
                }
                (At::DataEnd, b'\r') => At::DataEndLf,
                (At::DataEndLf, b'\n') => At::Size,
                (At::Line, b'\r') => At::LastEnd,
                (At::Trailer, b'\r') => At::TrailerEnd,
                (At::Line | At::Trailer, byte) if byte != b'\n' => self.aside(At::Trailer)?,
                (At::TrailerEnd, b'\n') => At::Line,
                (At::LastEnd, b'\n') => At::Over,
                _ => return Err(Broken),
            };
        }
    }

    fn aside(&mut self, next: At) -> Result<At, Broken> {
        self.aside += 1;
        if self.aside > MOST_ASIDE { Err(Broken) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";

    fn read(text: &str, size: usize) -> Watch {
        let mut watch = Watch::new();
        text.as_bytes().chunks(size).for_each(|part| watch.read(part));
        watch
    }

    #[test]
    fn an_event_stream_is_recognised_however_it_arrives() {
        let chunked = format!("{HEAD}transfer-encoding: Chunked\r\n\r\n5\r\nabcde\r\n1e;x=\"y\"\r\nfgh");
        let early = format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{HEAD}\r\n: open\n\n");
        for (text, count) in [(chunked, 8), (early, 8)] {
            for size in 1..text.len() {
                let watch = read(&text, size);
                assert!(
                    matches!(watch, Watch::Events(_, found) if found == count),
                    "{watch:?} in parts of {size}"
                );
            }
        }
    }

    #[test]
    fn everything_else_is_left_to_the_library() {
        for rest in [
            "content-length: 20\r\n\r\n",
            "transfer-encoding: gzip, chunked\r\n\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "x: y\r\n z: folded\r\n\r\n",
            "x: y\nz: half\r\n\r\n",
            "no header\r\n\r\n",
            "content-type: application/json\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\nx\r\n",
        ] {
            assert!(matches!(read(&format!("{HEAD}{rest}"), 7), Watch::Other), "{rest:?}");
        }
        for head in [
            HEAD.replace("200", "500"),
            HEAD.replace("200", "101"),
            HEAD.replace("1.1", "1.0"),
            HEAD.replace("event", "xvent"),
        ] {
            assert!(matches!(read(&format!("{head}\r\n"), 1000), Watch::Other), "{head:?}");
        }
        assert!(matches!(
            read(&format!("{HEAD}x: {}\r\n\r\n", "a".repeat(2 * LONGEST_HEAD)), 1000),
            Watch::Other
        ));
    }

    fn data(text: &str, size: usize) -> Result<(String, bool), Broken> {
        let (mut framing, mut out) = (Framing::Chunked(Chunks::default()), Vec::new());
        for mut part in text.as_bytes().chunks(size) {
            while let Some(data) = framing.next(&mut part)? {
                out.extend_from_slice(data);
            }
        }
        Ok((String::from_utf8(out).unwrap(), framing.is_over(true)))
    }

    #[test]
    fn chunks_are_data_again() {
        let text = "3\r\nabc\r\n00b ; x\r\nhello world\r\n0\r\nx: trailer\r\ny: z\r\n\r\n";
        for size in 1..text.len() {
            assert_eq!(data(text, size).unwrap(), ("abchello world".to_owned(), true), "in parts of {size}");
        }
        assert_eq!(data("3\r\nab", 1).unwrap(), ("ab".to_owned(), false));
        for text in [
            "\r\n",
            "3\nabc",
            "3\r\nabcd\r\n",
            "-3\r\nabc",
            "0\r\n\r\nmore",
            "11111111111111111\r\nabc",
            "3;\n",
            "0\r\nx\n",
        ] {
            assert!(data(text, 3).is_err(), "{text:?}");
        }
        assert!(data(&format!("3;{}", "x".repeat(20_000)), 100).is_err());
    }
}
