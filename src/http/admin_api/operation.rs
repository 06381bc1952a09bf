//! What an operation of the admin API is: one value, from which come its route, who may call it, what it reads and the
//! document that describes it.

use std::pin::Pin;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use crate::flow::core::{Caller, Core};
use crate::flow::cut::By;
use crate::types::admin::Permission;
use crate::types::policy::{API_PAGE, MAX_API_PAGE};
use crate::types::time::Timestamp;

/// An HTTP method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Look.
    Get,
    /// Make, or do.
    Post,
    /// Set.
    Put,
    /// Change some of.
    Patch,
    /// Take away.
    Delete,
}

impl Verb {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What the value of a query parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A UUID.
    Id,
    /// `true` or `false`.
    Flag,
    /// RFC 3339.
    Moment,
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
    /// How many rows at most.
    Limit,
    /// A span of time in seconds.
    Seconds,
    /// Where the page before ended.
    Cursor,
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it may be.
    pub kind: Kind,
}

/// A parameter of this name.
pub const fn query(name: &'static str, kind: Kind, about: &'static str) -> Query {
    Query { name, about, kind }
}

/// How many rows.
pub const LIMIT: Query = query("limit", Kind::Limit, "How many rows at most.");
/// From where.
pub const CURSOR: Query = query("cursor", Kind::Cursor, "`next_cursor` of the page before.");

/// The schema of a body.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Carries an operation out.
pub type Run = fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Problem>>>>;

/// One operation.
pub struct Operation {
    /// Its method.
    pub verb: Verb,
    /// Its path below the API's, with `{names}`.
    pub path: &'static str,
    /// Its name in the document.
    pub id: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What the token must allow.
    pub needs: Permission,
    /// What may stand in the query.
    pub query: &'static [Query],
    /// What stands in the body.
    pub body: Option<Shape>,
    /// The status when it is done, and what is answered then.
    pub done: (u16, Option<Shape>),
    /// The code.
    pub run: Run,
}

impl Operation {
    /// Whether a repeat would do something twice, so that it may carry an `Idempotency-Key`.
    pub fn does(&self) -> bool {
        self.verb == Verb::Post && self.needs != Permission::Read
    }
}

/// A call that may be carried out.
pub struct Call {
    /// The use cases' core.
    pub core: actix_web::web::Data<Core>,
    /// Where it comes from; `by` names who it is.
    pub caller: Caller,
    /// Who it is.
    pub by: By,
    /// Parts of the path, by name.
    pub path: Vec<(String, String)>,
    /// The query, read and checked.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// A part of the path.
    pub fn part(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A part of the path as what it has to be; what is no such thing names nothing.
    ///
    /// # Errors
    /// 404.
    pub fn id<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
        parse(self.part("id")).ok_or_else(Problem::missing)
    }

    /// A parameter of the query.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A parameter that is `true` or `false` and says nothing where it is not there.
    pub fn yes_or_no(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }

    /// A parameter that names something.
    ///
    /// # Errors
    /// 422.
    pub fn named<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Problem::Refused {
            status: 422,
            code: "refused",
            detail: format!("{name} names nothing that could be here."),
        })
    }

    /// A parameter that is a moment.
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        self.text(name).and_then(Timestamp::parse_rfc3339)
    }

    /// A parameter that is a span of time.
    pub fn seconds(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(|text| text.parse().ok()).map(Duration::from_secs)
    }

    /// How many rows are wanted.
    pub fn limit(&self) -> i64 {
        self.text("limit").and_then(|text| text.parse().ok()).unwrap_or(API_PAGE).clamp(1, MAX_API_PAGE)
    }

    /// Where the page before ended, as its key.
    ///
    /// # Errors
    /// 422, when it is none of ours.
    pub fn cursor<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        use base64::Engine as _;
        let Some(text) = self.text("cursor") else { return Ok(None) };
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
        let key = key.and_then(|bytes| String::from_utf8(bytes).ok());
        let parsed = key.and_then(|key| parse(&key));
        parsed.map(Some).ok_or_else(|| Problem::Refused {
            status: 422,
            code: "cursor",
            detail: "cursor is not one that a page of this list ended with.".to_owned(),
        })
    }

    /// The body.
    ///
    /// # Errors
    /// 400 with what is wrong and where.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let refused = match serde_json::from_slice(&self.body) {
            Ok(read) => return Ok(read),
            Err(error) => Problem::bad(format!("the body does not fit: {error}")),
        };
        let body = serde_json::from_slice::<Value>(&self.body).ok();
        body.and_then(|body| serde_json::from_value(whole(body)).ok()).ok_or(refused)
    }
}

/// `3.0` is an integer in JSON Schema, and `3` is what a type of ours reads.
fn whole(value: Value) -> Value {
    match value {
        Value::Array(all) => all.into_iter().map(whole).collect(),
        Value::Object(all) => all.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        Value::Number(number) if number.is_f64() => {
            let text =
                number.as_f64().filter(|float| float.fract() == 0.0).map(|float| format!("{float:.0}"));
            text.and_then(|text| text.parse::<i64>().ok()).map_or(Value::Number(number), Value::from)
        }
        other => other,
    }
}

/// What a call came to.
pub struct Answer(pub Option<Value>);

impl Answer {
    /// A thing.
    ///
    /// # Errors
    /// Never in practice.
    pub fn of<T: Serialize>(thing: &T) -> Result<Self, Problem> {
        serde_json::to_value(thing)
            .map(|value| Self(Some(value)))
            .map_err(|_| Problem::Fault(crate::flow::failure::Fault::Bug("an answer is no JSON")))
    }

    /// Done, and nothing to say.
    pub const NOTHING: Self = Self(None);
}

/// One page of a list.
#[derive(Serialize, JsonSchema)]
pub struct Rows<T> {
    /// The rows.
    items: Vec<T>,
    /// What to ask for the next page with; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<T> Rows<T> {
    /// Rows, and the key from which the next page goes on.
    pub fn new(items: Vec<T>, next: Option<String>) -> Self {
        use base64::Engine as _;
        let next_cursor = next.map(|key| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key));
        Self { items, next_cursor }
    }

    /// The same page, its rows shown otherwise.
    pub fn map<U>(self, show: impl Fn(T) -> U) -> Rows<U> {
        Rows { items: self.items.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }

    /// Rows of which one more was fetched than is shown.
    pub fn cut(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        Self::new(items, next)
    }
}
