//! How much may go through the gateway to one server.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// What is counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Whose {
    /// What one person, or one machine, sends, through all their apps.
    Person,
    /// What goes through under one approval.
    Approval,
    /// What everybody sends.
    Everybody,
}

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Most {
    /// Messages within a span.
    Calls(u64, Duration),
    /// Messages that are not answered yet.
    AtOnce(u64),
    /// Bytes that go out within a span, in the answers.
    Bytes(u64, Duration),
}

/// One limit, written `person calls 60/1m`, `everybody at-once 20`, `approval bytes 50MiB/1h`, or with a tool at the end,
/// `person calls 5/1d tool wipe`: then it is about calls of this tool only.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallLimit {
    /// What is counted together.
    pub whose: Whose,
    /// How much of it.
    pub most: Most,
    /// Of which tool only.
    pub tool: Option<String>,
}

/// How it is written, for messages and documents.
pub const CALL_LIMIT_FORM: &str = "person|approval|everybody, then calls N/SPAN, at-once N or bytes N/SPAN, and maybe tool NAME: 'person calls 60/1m'";

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
/// The longest span in which anything is counted.
const LONGEST: Duration = Duration::from_secs(86_400);
/// More than anybody counts to.
const CEILING: u64 = 1 << 50;

impl CallLimit {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} is no limit: {why}; expected {CALL_LIMIT_FORM}");
        let mut words = text.split_ascii_whitespace();
        let whose = match words.next() {
            Some("person") => Whose::Person,
            Some("approval") => Whose::Approval,
            Some("everybody") => Whose::Everybody,
            _ => return Err(bad("it does not say whose calls are counted")),
        };
        let what = words.next().unwrap_or_default();
        let amount = words.next().ok_or_else(|| bad("it does not say how many"))?;
        let most = match what {
            "at-once" => Most::AtOnce(number(amount).ok_or_else(|| bad("how many is a number"))?),
            "calls" | "bytes" => {
                let (count, span) =
                    amount.split_once('/').ok_or_else(|| bad("it does not say within which span"))?;
                let span = duration::parse(span).map_err(|why| bad(&why))?;
                if span.is_zero() || span > LONGEST {
                    return Err(bad("a span is between 1s and 1d"));
                }
                if what == "calls" {
                    Most::Calls(number(count).ok_or_else(|| bad("how many is a number"))?, span)
                } else {
                    Most::Bytes(size(count).ok_or_else(|| bad("bytes are a number, or one with MiB"))?, span)
                }
            }
            _ => return Err(bad("it limits calls, at-once or bytes")),
        };
        let tool = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("tool"), Some(name), None) if name.len() <= 128 => Some(name.to_owned()),
            _ => return Err(bad("nothing but tool NAME follows")),
        };
        Ok(Self { whose, most, tool })
    }

    /// Whether it is about a message that calls this tool, or none.
    #[must_use]
    pub fn is_about(&self, tool: Option<&str>) -> bool {
        self.tool.as_deref().is_none_or(|mine| tool == Some(mine))
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=CEILING).contains(number))
}

fn size(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (count, unit) = unit.unwrap_or((text, 1));
    number(count)?.checked_mul(unit).filter(|size| *size <= CEILING)
}

impl TryFrom<String> for CallLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<CallLimit> for String {
    fn from(limit: CallLimit) -> Self {
        limit.to_string()
    }
}

impl fmt::Display for CallLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.whose {
            Whose::Person => "person",
            Whose::Approval => "approval",
            Whose::Everybody => "everybody",
        };
        match self.most {
            Most::Calls(most, span) => write!(f, "{whose} calls {most}/{}", duration::format(span))?,
            Most::AtOnce(most) => write!(f, "{whose} at-once {most}")?,
            Most::Bytes(most, span) => {
                let whole = UNITS.iter().rev().find(|(_, unit)| most.is_multiple_of(*unit));
                let (count, unit) = whole.map_or((most, ""), |(name, unit)| (most / unit, *name));
                write!(f, "{whose} bytes {count}{unit}/{}", duration::format(span))?;
            }
        }
        self.tool.as_ref().map_or(Ok(()), |tool| write!(f, " tool {tool}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for (text, written) in [
            ("person calls 60/1m", "person calls 60/1m"),
            ("  everybody   at-once 20 ", "everybody at-once 20"),
            ("approval bytes 50MiB/1h", "approval bytes 50MiB/1h"),
            ("person bytes 1048576/60s tool dump", "person bytes 1MiB/1m tool dump"),
            ("person bytes 1500/1d", "person bytes 1500/1d"),
            ("everybody calls 5/24h tool wipe", "everybody calls 5/1d tool wipe"),
        ] {
            let limit = CallLimit::parse(text).unwrap();
            assert_eq!(limit.to_string(), written);
            assert_eq!(CallLimit::parse(written).unwrap(), limit);
        }
    }

    #[test]
    fn what_is_none_says_what_was_expected() {
        for bad in [
            "",
            "person",
            "person calls",
            "person calls 60",
            "person calls 0/1m",
            "person calls -1/1m",
            "person calls +1/1m",
            "person calls 60/0s",
            "person calls 60/2d",
            "person calls 60/minute",
            "person at-once 5/1m",
            "person at-once 1MiB",
            "person bytes 5MB/1h",
            "person bytes 99999999999GiB/1h",
            "nobody calls 60/1m",
            "person looks 60/1m",
            "person calls 60/1m tool",
            "person calls 60/1m tool a b",
            "person calls 60/1m a",
        ] {
            let why = CallLimit::parse(bad).unwrap_err();
            assert!(why.contains("expected"), "{bad}: {why}");
        }
    }

    #[test]
    fn a_limit_of_a_tool_is_about_nothing_else() {
        let limit = CallLimit::parse("person calls 5/1h tool wipe").unwrap();
        assert!(limit.is_about(Some("wipe")));
        assert!(!limit.is_about(Some("wipe2")) && !limit.is_about(None));
        assert!(CallLimit::parse("person calls 5/1h").unwrap().is_about(None));
    }
}
