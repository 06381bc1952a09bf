//! A form of the console with several fields.

/// A form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    /// What it changes.
    pub title: &'static str,
    /// What will be different afterwards.
    pub effect: &'static str,
    /// Path under the console that it goes to.
    pub to: String,
    /// Whether it only looks: then everybody who may see the page may use it.
    pub looks: bool,
    /// Hidden fields.
    pub fields: Vec<(&'static str, String)>,
    /// What is filled in.
    pub inputs: Vec<Input>,
    /// The button.
    pub button: &'static str,
    /// Whether something may stop working.
    pub harm: bool,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What it takes.
    pub entry: Entry,
}

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// One line, and whether it must not be empty.
    Line(String, bool),
    /// Several lines, which must not be empty.
    Text(String),
    /// A secret, which is never shown again, and whether it must not be empty.
    Secret(bool),
    /// One of these: value, words, and whether it is the present one.
    Choice(Vec<(String, String, bool)>),
    /// Any of these, nothing where there is none: value, words, and whether it is ticked.
    Boxes(Vec<(String, String, bool)>),
}
