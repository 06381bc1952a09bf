//! An event stream, cut into its events (HTML Living Standard §9.2): each goes on as soon as it is whole.

use bytes::{Bytes, BytesMut};

use crate::types::policy::MAX_UPSTREAM_MESSAGE;

/// Collects bytes until an event is whole.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Up to where no end was found.
    searched: usize,
}

/// An event is larger than any message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLarge;

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.buffer.len() + bytes.len() > MAX_UPSTREAM_MESSAGE {
            return Err(TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole event with the empty line that ends it. What is left when the stream ends is no event.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let from = self.searched.saturating_sub(3);
        let rest = self.buffer.get(from..)?;
        let ends = |at: usize| {
            let rest = rest.get(at..).unwrap_or_default();
            [&b"\n\n"[..], b"\n\r\n", b"\r\r"].iter().find(|end| rest.starts_with(end)).map(|end| end.len())
        };
        let found = (0..rest.len()).find_map(|at| ends(at).map(|length| from + at + length));
        if let Some(end) = found {
            self.searched = 0;
            return Some(self.buffer.split_to(end).freeze());
        }
        self.searched = self.buffer.len();
        if self.buffer.is_empty() {
            // Nothing is held while nothing comes.
            self.buffer = BytesMut::new();
        }
        None
    }
}

/// The data of an event, its lines joined; nothing where it has none.
pub(super) fn data(event: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(event).ok()?;
    let lines = text.split(['\n', '\r']);
    let data: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    (!data.is_empty()).then(|| data.join("\n"))
}

/// The same event with other data.
pub(super) fn with_data(event: &[u8], data: &str) -> Bytes {
    let text = String::from_utf8_lossy(event);
    let mut out = String::with_capacity(data.len() + 64);
    for line in text.split(['\n', '\r']).filter(|line| !line.is_empty() && !line.starts_with("data:")) {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("data: ");
    out.push_str(data);
    out.push_str("\n\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_arrive() {
        let text = b"id: 1\ndata: a\n\ndata: b\r\n\r\n: c\n\nevent: x\ndata: d\ndata: e\n\ndata: half";
        for size in 1..text.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                frames.push(chunk).unwrap();
                while let Some(event) = frames.next() {
                    found.push(data(&event));
                }
            }
            let expected = [Some("a"), Some("b"), None, Some("d\ne")];
            assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "in chunks of {size}");
        }
    }

    #[test]
    fn an_event_keeps_all_but_its_data() {
        let changed = with_data(b"id: 1\r\nevent: message\r\ndata: {}\r\n\r\n", "{\"a\":1}");
        assert_eq!(&changed[..], b"id: 1\nevent: message\ndata: {\"a\":1}\n\n");
    }
}
