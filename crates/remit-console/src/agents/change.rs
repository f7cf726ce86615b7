//! What is done to an agent. What it stops is shown first.

use askama::Template;
use remit_control::{TargetKind, TargetName};
use remit_domain::containment::Level;
use remit_domain::name::Name;

use super::with_header;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::containment::impact;
use crate::fault::Fault;
use crate::ui::{Field, Input, Lines, Section, Tone};

pub(super) async fn activate(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    ask.control().activate_agent(&ask.caller()?, &name).await?;
    ask.done(&format!("/agents/{name}"), "activated")
}

pub(super) async fn suspend_page(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "-")?;
    let target = TargetName {
        kind: TargetKind::Agent,
        name: Some(agent.name.to_string()),
        id: None,
    };
    let preview = ask
        .control()
        .preview_containment(&ask.caller()?, &target, Level::Suspend)
        .await?;
    let form = ask
        .form("suspend", &format!("/agents/{}/suspend", agent.name))
        .field(
            Field::new("reason", "Why", Input::Line)
                .hint("People read it later.")
                .required(),
        )
        .button("Suspend", Tone::Danger);
    page.with(&impact::ends(&ask, &preview))
        .with(&impact::reach(&ask, &preview).await?)
        .with(&Section::new("suspend-it", "Suspend").with(&form))
        .ok()
}

pub(super) async fn suspend(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    ask.control()
        .suspend_agent(&ask.caller()?, &name, ask.field("reason"))
        .await?;
    ask.done(&format!("/agents/{name}"), "suspended")
}

pub(super) async fn resume(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    ask.control()
        .resume_agent(&ask.caller()?, &name, ask.field("reason"))
        .await?;
    ask.done(&format!("/agents/{name}"), "resumed")
}

/// For what cannot be undone, the name is typed.
#[derive(Template)]
#[template(
    source = "<p>Type <strong><bdi>{{ name }}</bdi></strong> to confirm: this cannot be undone.</p>",
    ext = "html"
)]
struct Typed<'a> {
    name: &'a str,
}

pub(super) async fn retire_page(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "-")?;
    let form = ask
        .form("retire", &format!("/agents/{}/retire", agent.name))
        .field(Field::new("confirm", "Name of the agent", Input::Line).required())
        .field(
            Field::new("reason", "Why", Input::Line)
                .hint("People read it later.")
                .required(),
        )
        .button("Retire for good", Tone::Danger);
    let what = Lines::new([
        "Its runs end, its tokens and delegations are revoked, its keys are removed.",
        "Its name, its records and its entries stay.",
        "It never comes back; register another one instead.",
    ]);
    let section = Section::new("retire-it", "Retire")
        .with(&what)
        .with(&Typed {
            name: agent.name.as_str(),
        })
        .with(&form);
    page.with(&section).ok()
}

pub(super) async fn retire(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    if ask.field("confirm").trim() != name.as_str() {
        return Err(Fault::invalid(
            "the name that was typed is not the agent's; nothing was done",
        ));
    }
    ask.control()
        .retire_agent(&ask.caller()?, &name, ask.field("reason"))
        .await?;
    ask.done(&format!("/agents/{name}"), "retired")
}

pub(super) async fn remove_key(ask: Ask) -> Result<Answer, Fault> {
    let (name, thumbprint): (Name, String) = (ask.named("name")?, ask.named("thumbprint")?);
    ask.control()
        .remove_key(&ask.caller()?, &name, &thumbprint)
        .await?;
    ask.done(&format!("/agents/{name}"), "key_removed")
}
