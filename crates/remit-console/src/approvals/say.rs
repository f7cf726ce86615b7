//! What is said of a request beside yes and no: other arguments, questions, answers, and handing it on.

use remit_control::ApprovalView;
use remit_domain::ApprovalId;
use remit_domain::name::Email;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::text::{Shown, escaped_json};
use crate::ui::{Cell, Diff, Field, Form, Html, Input, Row, Table, Tone};

fn at(a: &ApprovalView, verb: &str) -> String {
    format!("/approvals/{}/{verb}", a.id)
}

/// The arguments to change, with escapes for what would not be seen: who sends them has seen all of them.
pub(super) fn edit_form(ask: &Ask, a: &ApprovalView) -> Form {
    ask.form("edit", &at(a, "edit"))
        .field(
            Field::new("args", "Arguments that would do (JSON)", Input::Area(8))
                .value(escaped_json(&a.args))
                .required(),
        )
        .field(Field::new("reason", "Why", Input::Line).hint("Kept with the decision."))
        .button("Propose these instead", Tone::Plain)
}

pub(super) fn question_form(ask: &Ask, a: &ApprovalView) -> Form {
    ask.form("question", &at(a, "question"))
        .field(
            Field::new("text", "What do you want to know?", Input::Line)
                .hint("Whoever answers for the call sees it; it waits on.")
                .required(),
        )
        .button("Ask", Tone::Plain)
}

pub(super) fn answer_form(ask: &Ask, a: &ApprovalView) -> Form {
    ask.form("answer", &at(a, "answer"))
        .field(Field::new("text", "Your answer", Input::Line).required())
        .button("Answer", Tone::Plain)
}

/// None where nobody else may approve it.
pub(super) fn give_form(ask: &Ask, a: &ApprovalView) -> Option<Form> {
    let me = ask.session.as_ref()?.person.email.to_string();
    let others: Vec<&str> = a
        .may_approve
        .keys()
        .map(String::as_str)
        .filter(|email| *email != me)
        .collect();
    let first = *others.first()?;
    Some(
        ask.form("give", &at(a, "give"))
            .field(
                Field::select("to", "To", &others, first)
                    .hint("It heads their list and leaves yours. You may still decide it."),
            )
            .button("Give it to them", Tone::Plain),
    )
}

/// To whom it was handed, in a sentence.
pub(super) fn handed(a: &ApprovalView) -> Option<Shown> {
    let (to, by) = (a.given_to.as_ref()?, a.given_by.as_ref()?);
    Some(Shown::line(format!("{by} gave it to {to}.")))
}

/// What was proposed in place of what was asked.
pub(super) fn edited(a: &ApprovalView) -> Option<Diff> {
    let other = a.edited.as_ref()?;
    let (before, after) = (escaped_json(&a.args), escaped_json(other));
    Some(Diff::of("Arguments", &before, &after))
}

/// Questions and answers, oldest first.
pub(super) fn so_far(ask: &Ask, a: &ApprovalView) -> Html {
    if a.notes.is_empty() {
        return Html::default();
    }
    let rows = a.notes.iter().enumerate().map(|(at, n)| {
        Row::new(
            at,
            vec![
                Cell::text(crate::agents::word(&n.kind)),
                Cell::block(&n.text),
                Cell::text(&n.person),
                ask.when(n.at).into(),
            ],
        )
    });
    let head = ["What", "Said", "By", "When"];
    Html::of(
        &Table::new(
            "notes",
            "Questions and answers",
            &head,
            crate::ui::Empty::default(),
        )
        .rows(rows),
    )
}

pub(super) async fn edit(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let args = serde_json::from_str(ask.field("args"))
        .map_err(|e| Fault::invalid(format!("the arguments are not JSON: {e}")))?;
    let (caller, reason) = (ask.caller()?, ask.given("reason"));
    ask.control()
        .edit_approval(&caller, &id, args, reason)
        .await?;
    super::after(&ask, "edited")
}

pub(super) async fn question(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let text = ask.field("text").trim().to_owned();
    ask.control()
        .question_approval(&ask.caller()?, &id, text)
        .await?;
    ask.done(&format!("/approvals?id={id}"), "asked")
}

pub(super) async fn answer(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let text = ask.field("text").trim().to_owned();
    ask.control()
        .answer_approval(&ask.caller()?, &id, text)
        .await?;
    ask.done(&format!("/approvals?id={id}"), "answered")
}

pub(super) async fn give(ask: Ask) -> Result<Answer, Fault> {
    let id: ApprovalId = ask.named("id")?;
    let to: Email = ask.field_as("to")?;
    ask.control()
        .give_approval(&ask.caller()?, &id, &to)
        .await?;
    super::after(&ask, "given")
}
