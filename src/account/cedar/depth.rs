//! How deep policies may be nested. What reads them goes down with every bracket and every operator, and a process that runs
//! out of stack ends: this is looked at before anything else reads the text.

/// Deepest nesting of brackets.
const BRACKETS: usize = 16;
/// Most conditional expressions in one policy: each is nested in the one before it.
const BRANCHES: usize = 8;
/// Most operators in one policy: a chain of them is as deep as it is long.
const OPERATORS: usize = 150;

/// The line of what is nested too deep, and why in words; nothing where all is well.
pub(super) fn too_deep(text: &str) -> Option<(usize, &'static str)> {
    let (mut line, mut open, mut branches, mut operators) = (1, 0_usize, 0, 0);
    let mut rest = text.chars().peekable();
    let mut word = String::new();
    while let Some(here) = rest.next() {
        if here.is_alphanumeric() || here == '_' {
            word.push(here);
            continue;
        }
        match word.as_str() {
            "if" => branches += 1,
            "when" | "unless" | "has" | "like" | "in" | "is" => operators += 1,
            _ => {}
        }
        word.clear();
        match here {
            '\n' => line += 1,
            '"' => {
                while let Some(inner) = rest.next().filter(|inner| *inner != '"') {
                    // What is escaped ends no text.
                    let next = if inner == '\\' { rest.next() } else { Some(inner) };
                    line += usize::from(next == Some('\n'));
                }
            }
            '/' if rest.peek() == Some(&'/') => {
                while rest.next_if(|inner| !matches!(inner, '\n' | '\r')).is_some() {}
            }
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            ';' => (branches, operators) = (0, 0),
            // One of two counts for both.
            '&' | '|' | '=' => operators += usize::from(rest.next_if_eq(&here).is_some() || here == '='),
            '<' | '>' | '!' | '+' | '-' | '*' | '.' => operators += 1,
            _ => {}
        }
        if open > BRACKETS {
            return Some((line, "brackets are nested too deep"));
        }
        if branches > BRANCHES {
            return Some((line, "there are too many conditional expressions in one policy"));
        }
        if operators > OPERATORS {
            return Some((line, "there are too many operators in one policy; make several of it"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_texts_and_comments_does_not_count() {
        let many = "(".repeat(BRACKETS + 1);
        for fine in [
            format!("permit(principal == User::\"{many}\", action, resource);"),
            format!("permit(principal == User::\"\\\"{many}\", action, resource);"),
            format!("// {many}\npermit(principal, action, resource);"),
            "permit(principal, action, resource) when { a && b };".repeat(OPERATORS),
        ] {
            assert_eq!(too_deep(&fine), None, "{fine}");
        }
        for (deep, line) in [
            (format!("\n{many}"), 2),
            (format!("\"\n\"{many}"), 2),
            (format!("// x\r{many}"), 1),
            (format!("\"\\\\\"{many}"), 1),
            (format!("a{}", "&&a".repeat(OPERATORS + 1)), 1),
            (format!("a{}", ".a".repeat(OPERATORS + 1)), 1),
            ("if a then b else ".repeat(BRANCHES + 1), 1),
            ("when {a}\n".repeat(OPERATORS + 1), OPERATORS + 1),
        ] {
            assert_eq!(too_deep(&deep).map(|(line, _)| line), Some(line), "{deep}");
        }
    }
}
