//! The console: every page has the same shape, so that one knows one's way at three in the morning. What it is, numbers,
//! facts, lists, and what one can do.

use askama::Template;

use super::editor::{Editor, Entry};
use super::{Moment, Shell};

/// A page of the console.
#[derive(Debug, Clone, Template)]
#[template(path = "console.html")]
pub struct ConsolePage {
    /// Frame of the page.
    pub shell: Shell,
    /// Anti-forgery value.
    pub csrf: String,
    /// Who looks.
    pub email: String,
    /// Which part of the console this is, as in its address: `people`, `apps`…; empty for the overview.
    pub part: &'static str,
    /// What it is about.
    pub title: String,
    /// One sentence below the title.
    pub lead: String,
    /// What was just done.
    pub done: Option<&'static str>,
    /// Why what was asked for was not done.
    pub refused: Option<&'static str>,
    /// What the list may be narrowed by, and is narrowed to.
    pub search: Option<Search>,
    /// What was searched for in everything.
    pub sought: String,
    /// What the page can be downloaded as, and from where.
    pub exports: Vec<(&'static str, String)>,
    /// Numbers, each with its recent course.
    pub numbers: Vec<Number>,
    /// Facts about one thing.
    pub facts: Vec<Fact>,
    /// Lists.
    pub tables: Vec<Table>,
    /// What the person may do; empty for whoever may only look.
    pub acts: Vec<Act>,
    /// The same, where more is to be filled in.
    pub editors: Vec<Editor>,
}

/// What a list may be narrowed by. The first field always shows, the others where one opens them or one is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Its fields.
    pub fields: Vec<Seek>,
    /// The whole list.
    pub whole: String,
}

/// One thing that a list may be narrowed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seek {
    /// Its name in the address.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What it is narrowed to; empty for everything.
    pub value: String,
    /// What there is to choose from: value and words. Empty where one types.
    pub choices: Vec<(String, String)>,
}

impl Search {
    fn is_narrowed(&self) -> bool {
        self.fields.iter().any(|field| !field.value.is_empty())
    }

    fn is_open(&self) -> bool {
        self.fields.iter().skip(1).any(|field| !field.value.is_empty())
    }

    fn others(&self) -> &[Seek] {
        self.fields.get(1..).unwrap_or_default()
    }

    /// The same as the query of an address.
    #[must_use]
    pub fn query(&self) -> String {
        let set = self.fields.iter().filter(|field| !field.value.is_empty());
        let pairs = set.map(|field| (field.name, field.value.as_str()));
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// A number and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// What is counted.
    pub label: &'static str,
    /// How many.
    pub count: i64,
    /// Whether it should make one look twice.
    pub alarming: bool,
    /// What the bars are, in words for who cannot see them.
    pub course: String,
    /// One bar a step.
    pub bars: Vec<Bar>,
}

/// A bar of a small chart of 120 × 32 units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Left edge.
    pub x: i64,
    /// Top edge.
    pub y: i64,
    /// Width.
    pub width: i64,
    /// Height.
    pub height: i64,
}

/// Something known about a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub label: &'static str,
    /// What is known.
    pub value: Vec<Cell>,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its heading; empty where the page's own says enough.
    pub title: &'static str,
    /// What to say when it is empty.
    pub empty: &'static str,
    /// Its columns.
    pub head: Vec<&'static str>,
    /// Its rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// Where it goes on.
    pub next: Option<String>,
}

/// Words, perhaps with a way to the thing they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says; outsiders' words are kept apart from ours by the template.
    pub words: String,
    /// Where the thing is described.
    pub link: Option<String>,
    /// A point in time; then there are no words.
    pub at: Option<Moment>,
    /// `good`, `care` or `harm` for a mark; empty for plain words.
    pub tone: &'static str,
}

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What it is.
    pub title: &'static str,
    /// What will be different afterwards.
    pub effect: String,
    /// Path under the console that the form posts to.
    pub to: String,
    /// Hidden fields.
    pub fields: Vec<(&'static str, String)>,
    /// Choices of one more field: its name, its label, and value, words and whether it is the present one.
    pub choice: Option<(&'static str, &'static str, Vec<(String, String, bool)>)>,
    /// A line of text that is asked for: its name and label.
    pub asks: Option<(&'static str, &'static str)>,
    /// The button.
    pub button: &'static str,
    /// Whether something stops working.
    pub harm: bool,
}

impl ConsolePage {
    fn only_looks(&self) -> bool {
        self.editors.iter().all(|editor| editor.looks)
    }

    fn here(&self, part: &str) -> bool {
        self.part == part
    }
}
