//! A value as it was given: typed in the file, text in the environment.

use std::time::Duration;

use crate::types::duration;

/// A value for one key.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// From the file.
    File(&'a toml::Value),
    /// From the environment, or the default as it is documented.
    Text(&'a str),
}

impl<'a> Given<'a> {
    /// As text.
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::File(toml::Value::String(text)) => Ok(text),
            Self::File(other) => Err(format!("expected text in quotes, found {}", other.type_str())),
        }
    }

    /// As `true` or `false`.
    pub(super) fn flag(self) -> Result<bool, String> {
        match self {
            Self::File(toml::Value::Boolean(flag)) => Ok(*flag),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            other => Err(format!("expected true or false, found {}", other.shown())),
        }
    }

    /// As a span between `least` and `most`.
    pub(super) fn span(self, least: Duration, most: Duration) -> Result<Duration, String> {
        let span = duration::parse(self.text()?)?;
        if (least..=most).contains(&span) {
            return Ok(span);
        }
        let bounds = (duration::format(least), duration::format(most));
        Err(format!("expected {} to {}, found {}", bounds.0, bounds.1, duration::format(span)))
    }

    /// As a list: an array of texts in the file, separated by commas in the environment.
    pub(super) fn list(self) -> Result<Vec<&'a str>, String> {
        match self {
            Self::File(toml::Value::Array(items)) => {
                items.iter().map(|item| Given::File(item).text()).collect()
            }
            Self::File(other @ toml::Value::String(_)) => Given::Text(Given::File(other).text()?).list(),
            Self::Text(text) => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
            Self::File(other) => Err(format!("expected a list of texts, found {}", other.type_str())),
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::File(toml::Value::String(text)) => format!("{text:?}"),
            Self::File(other) => other.type_str().to_owned(),
        }
    }
}
