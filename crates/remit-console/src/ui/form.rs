//! The one form. Every form that changes something carries the session's token.

use askama::Template;

use super::filter::Choice;
use crate::text::Shown;

/// How a field is filled in.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Line,
    Email,
    Area(u8),
    Select(Vec<Choice>),
    Check(bool),
    Hidden,
}

/// One field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) input: Input,
    pub(crate) value: String,
    pub(crate) required: bool,
}

impl Field {
    pub(crate) fn new(name: &str, label: &str, input: Input) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            hint: String::new(),
            input,
            value: String::new(),
            required: false,
        }
    }

    pub(crate) fn hidden(name: &str, value: impl ToString) -> Self {
        Self {
            value: value.to_string(),
            ..Self::new(name, "", Input::Hidden)
        }
    }

    pub(crate) fn select(name: &str, label: &str, words: &[&str], now: &str) -> Self {
        let choices = words
            .iter()
            .map(|word| Choice {
                value: (*word).to_owned(),
                label: word.replace('_', " "),
                chosen: *word == now,
            })
            .collect();
        Self {
            // Something is always chosen, unless nothing is among what can be.
            required: !words.contains(&""),
            ..Self::new(name, label, Input::Select(choices))
        }
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.hint = hint.to_owned();
        self
    }

    /// What stands in it. What would hide is shown here too: who saves the form saves what they have seen.
    pub(crate) fn value(mut self, value: impl ToString) -> Self {
        self.value = Shown::whole(value.to_string().replace("\r\n", "\n")).to_string();
        self
    }

    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// How a button looks: what it does is in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Main,
    Plain,
    Danger,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Plain => "plain",
            Self::Danger => "danger",
        }
    }
}

/// A button that sends the form.
#[derive(Debug, Clone)]
pub(crate) struct Button {
    pub(crate) words: String,
    pub(crate) class: &'static str,
    /// Where it sends to, where that is not the form's own address.
    pub(crate) to: Option<String>,
    /// The key that presses it.
    pub(crate) key: &'static str,
    /// Digest that a passkey signs before the form is sent; empty where none has to.
    pub(crate) step_up: String,
}

impl Button {
    pub(crate) fn new(words: &str, tone: Tone) -> Self {
        Self {
            words: words.to_owned(),
            class: tone.class(),
            to: None,
            key: "",
            step_up: String::new(),
        }
    }

    pub(crate) fn to(mut self, address: String) -> Self {
        self.to = Some(address);
        self
    }

    pub(crate) fn step_up(mut self, digest: &str) -> Self {
        digest.clone_into(&mut self.step_up);
        self
    }

    pub(crate) fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }
}

/// The form.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/form.html")]
pub(crate) struct Form {
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) csrf: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) buttons: Vec<Button>,
    /// In one line, without labels: a form that is only a button.
    pub(crate) inline: bool,
}

impl Form {
    /// - `csrf`: this answer's form of the session's token.
    pub(crate) fn new(id: impl Into<String>, action: String, csrf: &str) -> Self {
        Self {
            id: id.into(),
            action,
            csrf: csrf.to_owned(),
            fields: Vec::new(),
            buttons: Vec::new(),
            inline: false,
        }
    }

    pub(crate) fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    pub(crate) fn button(mut self, words: &str, tone: Tone) -> Self {
        self.buttons.push(Button::new(words, tone));
        self
    }

    pub(crate) fn with(mut self, button: Button) -> Self {
        self.buttons.push(button);
        self
    }

    pub(crate) fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    fn hint_id(&self, field: &Field) -> Shown {
        Shown::line(format!("{}-{}-hint", self.id, field.name))
    }
}
