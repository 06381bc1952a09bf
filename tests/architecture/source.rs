//! Reads Rust source as tokens, far enough to know which paths a file names and in which module it stands.

use std::fs;
use std::path::{Path, PathBuf};

/// One token with the line it stands on (from 1). Comments, string and character literals are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// A source file, by its path below `src/` with forward slashes.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: String,
    pub tokens: Vec<Token>,
    /// Lines outside `#[cfg(test)]` modules.
    pub lines: usize,
}

/// A path that leaves its own module: the first name below the crate root, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    pub line: usize,
    pub room: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(text);
        let lines = text.lines().count() - lines_of_test_modules(&tokens);
        Self { path: path.to_owned(), tokens, lines }
    }

    /// The room a file belongs to: its folder, or its own name at the top of `src/`.
    pub fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// A test module in a file of its own, named after the file it tests: `code_tests.rs` beside `code.rs`.
    pub fn is_tests(&self) -> bool {
        self.path.ends_with("_tests.rs")
    }

    /// The modules the file's top level stands in, from the crate root: `oauth/code.rs` is `["oauth", "code"]`.
    fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> =
            self.path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            parts.pop();
        }
        if self.is_tests() {
            parts.push("tests".to_owned());
        }
        parts
    }

    /// Every path that starts at the crate root, whether by `crate::`, by `postern::` or by enough `super::`.
    pub fn arrows(&self) -> Vec<Arrow> {
        let mut found = Vec::new();
        let file_depth = self.module().len();
        // The brace depth at which each inline module we are in was opened.
        let mut inline: Vec<usize> = Vec::new();
        let mut depth = 0_usize;
        let text = |i: usize| self.tokens.get(i).map_or("", |t| t.text.as_str());
        let mut i = 0;
        while i < self.tokens.len() {
            match text(i) {
                "mod" if text(i + 2) == "{" => {
                    depth += 1;
                    inline.push(depth);
                    i += 2;
                }
                "{" => depth += 1,
                "}" => {
                    if inline.last() == Some(&depth) {
                        inline.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                "crate" | "postern" if text(i + 1) == "::" && text(i.wrapping_sub(1)) != "::" => {
                    self.heads(i + 2, &mut found);
                }
                "super" if text(i.wrapping_sub(1)) != "::" => {
                    let mut supers = 1;
                    while text(i + 2 * supers - 1) == "::" && text(i + 2 * supers) == "super" {
                        supers += 1;
                    }
                    let after = i + 2 * supers - 1;
                    if supers >= file_depth + inline.len() && text(after) == "::" {
                        self.heads(after + 1, &mut found);
                    }
                    i = after - 1;
                }
                _ => {}
            }
            i += 1;
        }
        found
    }

    /// The first names of the path or of the `{…}` group that begins at token `i`.
    fn heads(&self, i: usize, found: &mut Vec<Arrow>) {
        let Some(first) = self.tokens.get(i) else { return };
        if first.text != "{" {
            found.push(Arrow { line: first.line, room: first.text.clone() });
            return;
        }
        let mut depth = 0_usize;
        let mut expect = false;
        for token in &self.tokens[i..] {
            match token.text.as_str() {
                "{" => {
                    depth += 1;
                    expect = depth == 1;
                }
                "}" => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                "," => expect = depth == 1,
                name => {
                    if std::mem::take(&mut expect) && name != "self" {
                        found.push(Arrow { line: token.line, room: name.to_owned() });
                    }
                }
            }
        }
    }

    /// Lines on which one of `words` stands as a whole identifier.
    pub fn names(&self, words: &[&str]) -> Vec<(usize, String)> {
        let hit = |t: &&Token| words.contains(&t.text.as_str());
        self.tokens.iter().filter(hit).map(|t| (t.line, t.text.clone())).collect()
    }

    /// Lines on which the tokens of `path` (such as `std::fs`) stand in a row.
    pub fn paths(&self, path: &str) -> Vec<usize> {
        let wanted: Vec<String> = tokens(path).into_iter().map(|t| t.text).collect();
        let windows = self.tokens.windows(wanted.len());
        windows.filter(|w| w.iter().map(|t| &t.text).eq(wanted.iter())).map(|w| w[0].line).collect()
    }
}

/// Every `.rs` file below `root`, by path.
pub fn read_all(root: &Path) -> Vec<Source> {
    let files = files(root).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    let read = |p: PathBuf| {
        let text = fs::read_to_string(&p).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
        let relative = p.strip_prefix(root).expect("below root").to_string_lossy().replace('\\', "/");
        Source::new(&relative, &text)
    };
    files.map(read).collect()
}

/// Every file below `root`, sorted; none if there is no such folder.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

/// Lines covered by modules whose attribute says `cfg(test)`.
fn lines_of_test_modules(tokens: &[Token]) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t: &Token| t.text.as_str());
    let mut total = 0;
    let mut i = 0;
    while i < tokens.len() {
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
        if !attribute.iter().enumerate().all(|(n, part)| text(i + n) == *part) {
            i += 1;
            continue;
        }
        let start = tokens[i].line;
        i += attribute.len();
        while text(i) == "#" {
            let closes = (i + 1..tokens.len()).scan(0_i32, |depth, j| {
                *depth += i32::from(text(j) == "[") - i32::from(text(j) == "]");
                Some((j, *depth))
            });
            i = closes.filter(|(_, depth)| *depth == 0).map(|(j, _)| j + 1).next().unwrap_or(tokens.len());
        }
        if text(i) == "pub" {
            i += 1;
        }
        if text(i) != "mod" || text(i + 2) != "{" {
            continue;
        }
        i += 2;
        let mut depth = 0_usize;
        while i < tokens.len() {
            match text(i) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                total += tokens[i].line - start + 1;
                break;
            }
            i += 1;
        }
    }
    total
}

/// Splits Rust into identifiers, `::` and single characters, leaving out comments and literals.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        let start = i;
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block_comment(&chars, i);
        } else if let Some(end) = after_raw_string(&chars, i) {
            i = end;
        } else if c == '"' || (matches!(c, 'b' | 'c') && at(i + 1) == '"') {
            i = after_string(&chars, i + usize::from(c != '"'));
        } else if c == '\'' || (c == 'b' && at(i + 1) == '\'') {
            i = after_quote(&chars, i + usize::from(c == 'b'));
        } else if c.is_alphabetic() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            out.push(Token { line, text: chars[start..i].iter().collect() });
        } else if c == ':' && at(i + 1) == ':' {
            out.push(Token { line, text: "::".to_owned() });
            i += 2;
        } else {
            if !c.is_whitespace() {
                out.push(Token { line, text: c.to_string() });
            }
            i += 1;
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn after_block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

/// The index after `r"…"`, `r#"…"#`, `br"…"` that begins at `i`, if one does.
fn after_raw_string(chars: &[char], i: usize) -> Option<usize> {
    let mut j = i;
    if matches!(chars.get(j), Some('b' | 'c')) {
        j += 1;
    }
    if chars.get(j) != Some(&'r') {
        return None;
    }
    j += 1;
    let hashes = chars[j..].iter().take_while(|c| **c == '#').count();
    j += hashes;
    if chars.get(j) != Some(&'"') {
        return None;
    }
    j += 1;
    while j < chars.len() {
        if chars[j] == '"' && chars[j + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(j + 1 + hashes);
        }
        j += 1;
    }
    Some(j)
}

/// The index after the string whose opening quote is at `i`.
fn after_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The index after the character literal, or after the tick of a lifetime, that begins at `i`.
fn after_quote(chars: &[char], i: usize) -> usize {
    match (chars.get(i + 1), chars.get(i + 2)) {
        (Some('\\'), _) => (i + 3..chars.len()).find(|j| chars[*j] == '\'').map_or(chars.len(), |j| j + 1),
        (Some(_), Some('\'')) => i + 3,
        _ => i + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).arrows().into_iter().map(|a| a.room).collect()
    }

    #[test]
    fn reads_plain_grouped_and_inline_paths() {
        assert_eq!(rooms("flow/token.rs", "use crate::storage::Store;"), ["storage"]);
        assert_eq!(
            rooms("flow/token.rs", "use crate::{\n types::{Id, Clock}, oauth, crypto as c };"),
            ["types", "oauth", "crypto"]
        );
        assert_eq!(
            rooms("flow/token.rs", "fn f() -> crate::web::Page { crate :: http::x() }"),
            ["web", "http"]
        );
        assert_eq!(rooms("main.rs", "fn main() { postern::cli::run() }"), ["cli"]);
    }

    #[test]
    fn follows_super_out_of_the_folder_and_no_further() {
        assert_eq!(rooms("oauth/code.rs", "use super::issue; use super::super::storage::Tx;"), ["storage"]);
        assert_eq!(rooms("oauth/mod.rs", "use super::{storage, crypto::Key};"), ["storage", "crypto"]);
        assert_eq!(rooms("app.rs", "use super::web;"), ["web"]);
        assert_eq!(rooms("oauth/code_tests.rs", "use super::*; use super::super::issue;"), [""; 0]);
        let inline = "mod tests { use super::*; use super::super::issue; use super::super::super::flow; } use super::super::web;";
        assert_eq!(rooms("oauth/code.rs", inline), ["flow", "web"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let text = r##"// use crate::web;
            /* crate::a /* crate::b */ crate::c */
            const S: &str = "crate::d \" crate::e"; const R: &str = r#"crate::f " "#; const B: &[u8] = b"crate::g";
            fn f<'a>(c: char) -> bool { c == '"' || c == '\'' || c == '\u{1F}' } use crate::types;"##;
        assert_eq!(rooms("oauth/code.rs", text), ["types"]);
        assert_eq!(Source::new("oauth/code.rs", text).arrows()[0].line, 4);
    }

    #[test]
    fn counts_lines_without_test_modules() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { let c = '}'; }\n}\n";
        assert_eq!(Source::new("oauth/code.rs", text).lines, 2);
        let other = "#[cfg(test)]\nuse x;\n#[cfg(test)]\n#[derive(A)]\nstruct B {\n}\n#[cfg(test)]\n#[expect(clippy::panic, reason = \"r\")]\nmod tests {\n}\n";
        assert_eq!(Source::new("oauth/code.rs", other).lines, 6);
    }

    #[test]
    fn finds_names_and_paths_as_whole_words() {
        let source = Source::new("oauth/x.rs", "use std::fs;\nlet fs_like = std::fsx::y;\nstd::fs::read()");
        assert_eq!(source.paths("std::fs"), [1, 3]);
        assert_eq!(source.names(&["fs_like", "f"]), [(2, "fs_like".to_owned())]);
    }
}
