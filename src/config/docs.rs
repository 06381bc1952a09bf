//! docs/CONFIG.md, written from the table that the configuration is read with and from the fixed numbers.

use std::fmt::Write as _;

use super::keys::KEYS;
use crate::types::policy::FIXED;

/// The whole document.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## Keys\n\n| key | environment | default | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = match (key.default, key.default_in_words) {
            (_, words) if !words.is_empty() => words.to_owned(),
            (Some(value), _) => format!("`{value}`"),
            (None, _) => "none".to_owned(),
        };
        let meaning = sentence(key.meaning);
        let _ = writeln!(out, "| `{}` | `{}` | {default} | {meaning} |", key.name, key.variable());
    }
    out.push_str(NUMBERS);
    for (name, value, meaning) in FIXED {
        let _ = writeln!(out, "| `{name}` | {value:?} | {} |", sentence(meaning));
    }
    out
}

/// A doc comment as one line of a table.
fn sentence(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

const HEAD: &str = "\
# Configuration

Written by `postern docs config` from the table that the program reads its configuration with. Do not edit.

One TOML file: `--config FILE`, else the variable `POSTERN_CONFIG`, else `postern.toml` in the folder where the program is
started, if there is one. Every key can also be set in the environment, in upper case behind `POSTERN_`, with `__` between
levels; the environment beats the file. In a variable the items of a list stand between commas. Spans are written `90s`,
`5m`, `12h`, `30d`.

An unknown key or variable, a bad value, or a file that cannot be read stops the start with exit code 2 and a message that
names file, key and what was expected. `postern check-config` checks without starting, and prints what is in force and where
it comes from.

```toml
issuer = \"https://auth.example.com\"
listen = \"127.0.0.1:8080\"
trusted_proxies = [\"10.0.0.0/8\"]

[tokens]
access_token_ttl = \"10m\"
```
";

const NUMBERS: &str = "
## Fixed numbers

Every other limit, lifetime and size, as compiled in (`src/types/policy.rs`).

| name | value | meaning |
|---|---|---|
";
