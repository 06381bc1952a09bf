//! Rules about calls through the gateway: what scopes and classes of tools cannot say. A rule only takes away: it refuses, or
//! asks a person first, what would otherwise go through.

use std::fmt;

use regex::Regex;
use serde_json::Value;

use super::callers::CallerRule;
use super::id::{CallRuleId, ResourceId};
use super::policy::{MAX_CONDITION, MAX_PATTERN};
use super::time::Timestamp;
use super::tool::ToolClass;

/// Which calls a rule is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Those of every tool.
    EveryTool,
    /// Those of one tool.
    Tool(String),
    /// Those of tools of this class and above.
    Class(ToolClass),
    /// Messages of another method, such as `resources/read`; conditions look at its `name`, `uri` and `arguments`.
    Method(String),
}

impl Subject {
    /// The form in the database: of which kind, and its value.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::EveryTool => ("every", ""),
            Self::Tool(name) => ("tool", name),
            Self::Class(class) => ("class", class.as_str()),
            Self::Method(name) => ("method", name),
        }
    }

    /// The inverse of [`Subject::parts`].
    #[must_use]
    pub fn of(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "every" => Some(Self::EveryTool),
            "tool" => Some(Self::Tool(value.to_owned())),
            "class" => ToolClass::parse(value).map(Self::Class),
            "method" => Some(Self::Method(value.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryTool => f.write_str("every tool"),
            Self::Tool(name) => write!(f, "the tool {name}"),
            Self::Class(ToolClass::Admin) => f.write_str("admin tools"),
            Self::Class(class) => write!(f, "{} tools and above", class.as_str()),
            Self::Method(name) => f.write_str(name),
        }
    }
}

/// What a rule does with the calls that meet it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// They are refused.
    Deny,
    /// A person is asked first, about each of them.
    Ask,
}

impl Effect {
    /// The name in commands, documents and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }

    /// The inverse of [`Effect::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deny, Self::Ask].into_iter().find(|effect| effect.as_str() == text)
    }
}

/// A rule.
#[derive(Clone, Debug)]
pub struct CallRule {
    /// Names it.
    pub id: CallRuleId,
    /// At which server.
    pub resource_id: ResourceId,
    /// For which calls.
    pub subject: Subject,
    /// What all has to hold of a call; every call of its subject meets a rule without conditions.
    pub conditions: Vec<Condition>,
    /// Whose calls.
    pub callers: CallerRule,
    /// What becomes of such a call.
    pub effect: Effect,
    /// Why, in words that the caller gets to read.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Who made it, where that was a person.
    pub created_by: Option<String>,
}

/// Something that may hold of the arguments of a call, such as `amount > 100`.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Present,
    Absent,
    Equal(Value),
    Differs(Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Greater(f64),
    AtLeast(f64),
    Less(f64),
    AtMost(f64),
    Matches(Regex),
    MatchesNot(Regex),
    Under(String),
    NotUnder(String),
    Longer(usize),
}

/// How a condition is written, for messages and documents.
pub const CONDITION_FORM: &str = "PATH present | absent | = V | != V | in [V,…] | not-in [V,…] | > N | >= N | < N | <= N | ~ REGEX | \
     !~ REGEX | under /PATH | not-under /PATH | longer-than N";

impl Condition {
    /// Reads a condition: `PATH OPERATOR VALUE`. A path names members by dots (`a.b`, `items.*.id`).
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > MAX_CONDITION || text.chars().any(char::is_control) {
            return Err(format!("a condition has at most {MAX_CONDITION} bytes, on one line"));
        }
        let bad = |why: &str| format!("{why} in the condition {text:?}; expected {CONDITION_FORM}");
        let (path, rest) = text.split_once(char::is_whitespace).ok_or_else(|| bad("there is no operator"))?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(bad("a part of the path is empty"));
        }
        let rest = rest.trim_start();
        let (operator, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let value = value.trim();
        let number = || value.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| bad("no number"));
        let list = || match serde_json::from_str(value) {
            Ok(Value::Array(items)) if items.iter().all(is_scalar) => Ok(items),
            _ => Err(bad("no list of values, as in [\"a\",\"b\"]")),
        };
        let scalar = || match serde_json::from_str(value) {
            Ok(read) if is_scalar(&read) => Ok(read),
            Ok(_) => Err(bad("a list or an object is no single value")),
            // Words need no quotes.
            Err(_) if value.is_empty() => Err(bad("there is no value")),
            Err(_) => Ok(Value::String(value.to_owned())),
        };
        // The whole value has to match, as in an HTML pattern: half a match is how allow-lists are got round.
        let regex = || {
            let build = |text: &str| {
                let built = regex::RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
                built.map_err(|_| bad("no regular expression, or one that is too large,"))
            };
            // By itself first: `a)|(b` would reach out of the group.
            build(value).and_then(|_| build(&format!("^(?:{value})$")))
        };
        let folder = || match lexical(value) {
            Some(path) if value.starts_with('/') => Ok(path),
            _ => Err(bad("no absolute path without . and ..")),
        };
        let test = match (operator, value.is_empty()) {
            ("present", true) => Test::Present,
            ("absent", true) => Test::Absent,
            ("=", _) => Test::Equal(scalar()?),
            ("!=", _) => Test::Differs(scalar()?),
            ("in", _) => Test::In(list()?),
            ("not-in", _) => Test::NotIn(list()?),
            (">", _) => Test::Greater(number()?),
            (">=", _) => Test::AtLeast(number()?),
            ("<", _) => Test::Less(number()?),
            ("<=", _) => Test::AtMost(number()?),
            ("~", _) => Test::Matches(regex()?),
            ("!~", _) => Test::MatchesNot(regex()?),
            ("under", _) => Test::Under(folder()?),
            ("not-under", _) => Test::NotUnder(folder()?),
            ("longer-than", _) => Test::Longer(value.parse().map_err(|_| bad("no whole number"))?),
            _ => return Err(bad("there is no such operator")),
        };
        Ok(Self { text: text.to_owned(), path, test })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first part of its path.
    #[must_use]
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// Whether it holds. What cannot be judged holds, because a rule only takes away: text where a number is compared, a list
    /// where a path is. A test that says *not* holds where nothing is there; every other one does not.
    #[must_use]
    pub fn holds(&self, arguments: &Value) -> bool {
        let mut found = Vec::new();
        collect(arguments, &self.path, &mut found);
        let any = |test: &dyn Fn(&Value) -> bool| found.iter().any(|value| test(value));
        let none_or = |test: &dyn Fn(&Value) -> bool| found.is_empty() || any(test);
        let number = |test: &dyn Fn(f64) -> bool| any(&|value: &Value| value.as_f64().is_none_or(test));
        match &self.test {
            Test::Present => !found.is_empty(),
            Test::Absent => found.is_empty(),
            Test::Equal(wanted) => any(&|value| may_equal(value, wanted)),
            Test::Differs(wanted) => none_or(&|value| !equals(value, wanted)),
            Test::In(list) => any(&|value| list.iter().any(|wanted| may_equal(value, wanted))),
            Test::NotIn(list) => none_or(&|value| !list.iter().any(|wanted| equals(value, wanted))),
            Test::Greater(limit) => number(&|value| value > *limit),
            Test::AtLeast(limit) => number(&|value| value >= *limit),
            Test::Less(limit) => number(&|value| value < *limit),
            Test::AtMost(limit) => number(&|value| value <= *limit),
            Test::Matches(pattern) => any(&|value| word(value).is_none_or(|word| pattern.is_match(&word))),
            Test::MatchesNot(pattern) => {
                none_or(&|value| word(value).is_none_or(|word| !pattern.is_match(&word)))
            }
            Test::Under(folder) => any(&|value| beneath(value, folder).unwrap_or(true)),
            Test::NotUnder(folder) => none_or(&|value| !beneath(value, folder).unwrap_or(false)),
            Test::Longer(most) => any(&|value| length(value) > *most),
        }
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

fn is_scalar(value: &Value) -> bool {
    !(value.is_array() || value.is_object())
}

/// What is at a path; `*` stands for every member of an object or list.
pub(super) fn collect<'a>(value: &'a Value, path: &[String], found: &mut Vec<&'a Value>) {
    let Some((first, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Value::Object(members) if first == "*" => members.values().for_each(|one| collect(one, rest, found)),
        Value::Array(items) if first == "*" => items.iter().for_each(|one| collect(one, rest, found)),
        Value::Object(members) => {
            if let Some(one) = members.get(first) {
                collect(one, rest, found);
            }
        }
        Value::Array(items) => {
            if let Some(one) = first.parse().ok().and_then(|at: usize| items.get(at)) {
                collect(one, rest, found);
            }
        }
        _ => {}
    }
}

/// A scalar as the text that a lenient server would take it for.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

fn equals(value: &Value, wanted: &Value) -> bool {
    match (value.as_f64(), wanted.as_f64()) {
        #[expect(clippy::float_cmp, reason = "equality is what was asked for")]
        (Some(one), Some(other)) => one == other,
        _ => value == wanted,
    }
}

/// Whether a value is, or may be taken for, the wanted one.
fn may_equal(value: &Value, wanted: &Value) -> bool {
    equals(value, wanted) || word(value).is_none_or(|one| Some(one) == word(wanted))
}

/// A path without empty and `.` parts; nothing for one with `..`, which only whoever follows links can resolve, and for one
/// that may be written in another alphabet.
fn lexical(path: &str) -> Option<String> {
    if path.contains(['\\', '%', '\0']) {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return None;
        }
        out.push('/');
        out.push_str(part);
    }
    Some(out)
}

/// Whether a value is a path in a folder, or the folder; nothing where that cannot be said.
fn beneath(value: &Value, folder: &str) -> Option<bool> {
    let text = value.as_str()?;
    if !text.starts_with('/') {
        return None;
    }
    let path = lexical(text)?;
    Some(path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Characters of a text, members of a list or object; anything else is as long as it is written.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        other => other.to_string().len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(condition: &str, arguments: &Value) -> bool {
        Condition::parse(condition).unwrap_or_else(|why| panic!("{why}")).holds(arguments)
    }

    #[test]
    fn conditions_hold_of_what_they_name() {
        let call = json!({
            "amount": 250, "to": "ada@example.com", "env": "prod", "path": "/srv/a/b.txt",
            "items": [{"id": 1}, {"id": 7}], "force": false, "note": "hello",
        });
        for (condition, expected) in [
            ("amount > 100", true),
            ("amount > 250", false),
            ("amount >= 250", true),
            ("amount < 250", false),
            ("amount <= 250", true),
            ("amount = 250.0", true),
            ("env = prod", true),
            ("env != prod", false),
            (r#"env in ["dev","prod"]"#, true),
            (r#"env not-in ["dev","prod"]"#, false),
            (r"to ~ [^@]+@example\.com", true),
            (r"to ~ example", false),
            (r"to !~ [^@]+@example\.com", false),
            ("path under /srv", true),
            ("path under /srv/a", true),
            ("path under /sr", false),
            ("path not-under /srv", false),
            ("path not-under /home", true),
            ("items.*.id = 7", true),
            ("items.0.id = 7", false),
            ("force present", true),
            ("force absent", false),
            ("missing absent", true),
            ("note longer-than 4", true),
            ("note longer-than 5", false),
            ("items longer-than 1", true),
        ] {
            assert_eq!(holds(condition, &call), expected, "{condition}");
        }
    }

    /// A rule takes away. Whoever sends something that it cannot judge must not get round it.
    #[test]
    fn what_cannot_be_judged_holds() {
        for (condition, arguments) in [
            ("amount > 100", json!({"amount": "99999"})),
            ("amount < 100", json!({"amount": [1]})),
            ("env = prod", json!({"env": ["prod"]})),
            ("id = 1", json!({"id": "1"})),
            ("force = true", json!({"force": "true"})),
            ("env != prod", json!({})),
            (r#"env not-in ["dev"]"#, json!({"env": ["dev"]})),
            ("to !~ a.*", json!({})),
            ("to !~ a.*", json!({"to": ["a"]})),
            ("path not-under /srv/public", json!({"path": "/srv/public/../secret"})),
            ("path not-under /srv/public", json!({"path": "/srv/public/%2e%2e/secret"})),
            ("path not-under /srv/public", json!({"path": "srv/public/x"})),
            ("path not-under /srv/public", json!({"path": "/srv/publications"})),
            ("path not-under /srv/public", json!({"path": "/srv/public\\..\\..\\x"})),
            ("path under /etc", json!({"path": "/srv/../etc/passwd"})),
            ("path under /etc", json!({"path": "//etc/./passwd"})),
            ("path under /etc", json!({"path": {"name": "/etc/passwd"}})),
        ] {
            assert!(holds(condition, &arguments), "{condition} of {arguments}");
        }
        // An allow-list that half a match would satisfy.
        assert!(holds(r"to !~ ada@example\.com", &json!({"to": "ada@example.com,eve@example.org"})));
        assert!(holds(r"to !~ ada@example\.com", &json!({"to": "eve@example.org\nada@example.com"})));
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_refused_in_words() {
        for (condition, word) in [
            ("amount", "operator"),
            ("amount >", "number"),
            ("amount > much", "number"),
            ("amount > inf", "number"),
            ("env in prod", "list"),
            ("env in [[1]]", "list"),
            ("env =", "value"),
            ("env = [1]", "single"),
            ("env ~ (", "regular"),
            ("env ~ a)|(b", "regular"),
            ("env ~ a{1000}{1000}", "regular"),
            ("path under srv", "absolute"),
            ("path under /srv/../etc", "absolute"),
            ("a..b = 1", "empty"),
            ("env like x", "operator"),
            ("env present x", "operator"),
            ("note longer-than -1", "whole"),
        ] {
            let why = Condition::parse(condition).err().unwrap_or_else(|| panic!("{condition} is read"));
            assert!(why.contains(word), "{condition}: {why}");
        }
        assert!(Condition::parse(&format!("a = {}", "x".repeat(MAX_CONDITION))).is_err());
    }
}
