//! Registering an agent: a form, or a document. Both go the same way and are checked by the same rules.

use crate::tools::EFFECTS;
use remit_control::spec::AgentSpec;
use remit_domain::Role;
#[cfg(test)]
use remit_domain::agent::{Enforcement, Tier};
use remit_domain::name::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tabs::yaml_page;
use super::with_header;
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::text::Shown;
use crate::ui::{Field, Form, Input, Notice, Section, Tone};

/// The environments there are.
const ENVIRONMENTS: [&str; 3] = ["development", "staging", "production"];

/// A document to begin with.
const EXAMPLE: &str = "apiVersion: remit.dev/v1
kind: Agent
metadata: { name: support-triage }
spec:
  owner: you@example.com
  sponsor: lead@example.com
  purpose: sorts support requests
  business_process: support
  model: model-name
  provider: provider-name
  runtime: container
  environment: development
  systems: []
  tier: 2
";

pub(super) async fn form(ask: Ask) -> Result<Answer, Fault> {
    show(&ask, None)
}

fn show(ask: &Ask, fault: Option<&Fault>) -> Result<Answer, Fault> {
    let problem = fault.map(|fault| {
        let mut notice = Notice::new("bad", capitalized(&fault.text()));
        notice.more = fault.more().iter().map(Shown::block).collect();
        notice
    });
    let by_form = Section::new("by-form", "By form").with(&fields(ask));
    let document = ask.given("document").unwrap_or_else(|| EXAMPLE.to_owned());
    let by_yaml = Section::new("by-yaml", "By YAML")
        .note(
            "One or more documents: teams, systems, upstreams, tools, agents, workflows, policies.",
        )
        .with(
            &ask.form("register-yaml", "/agents/new")
                .field(Field::hidden("way", "yaml"))
                .field(
                    Field::new("document", "Documents", Input::Area(18))
                        .value(document)
                        .required(),
                )
                .button("Apply", Tone::Main),
        );
    let mut page = ask.page("Register an agent").notice(problem);
    if let Some(fault) = fault {
        page = page.status(fault.status());
    }
    page.html(crate::ui::Html::of(&Title))
        .with(&by_form)
        .with(&by_yaml)
        .ok()
}

#[derive(askama::Template)]
#[template(
    source = "<h1>Register an agent</h1><p class=\"note\">It begins as a draft. It gets no credential before its sponsor activates it.</p>",
    ext = "html"
)]
struct Title;

/// As it was typed, or else this.
fn typed(ask: &Ask, name: &str, or: &str) -> String {
    let value = ask.field(name);
    if value.is_empty() { or } else { value }.to_owned()
}

fn fields(ask: &Ask) -> Form {
    let me = ask.session.as_ref();
    let me = me.map(|s| s.person.email.to_string()).unwrap_or_default();
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(typed(ask, name, ""))
    };
    let person = |name: &str, label: &str, hint: &str, or: &str| {
        Field::new(name, label, Input::Email)
            .hint(hint)
            .value(typed(ask, name, or))
    };
    let environment = typed(ask, "environment", "development");
    let tier = Field::select(
        "tier",
        "Tier",
        &["1", "2", "3", "4"],
        &typed(ask, "tier", "1"),
    );
    let name = "Lower-case letters, digits and hyphens. It cannot be changed.";
    let process = "The process it is part of.";
    let form = ask
        .form("register", "/agents/new")
        .field(line("name", "Name", name).required())
        .field(line("purpose", "Purpose", "What it is for, in a sentence.").required())
        .field(line("business_process", "Business process", process).required())
        .field(person("owner", "Owner", "Technical administrator.", &me).required())
        .field(
            person(
                "sponsor",
                "Sponsor",
                "Answers for its purpose and life.",
                "",
            )
            .required(),
        )
        .field(person(
            "deputy",
            "Deputy",
            "Takes over when owner or sponsor leaves.",
            "",
        ))
        .field(line("deputy_team", "Team of deputies", ""))
        .field(line("responsible_team", "Responsible team", ""))
        .field(line("platform_team", "Platform team", ""))
        .field(line("model", "Model", "").required())
        .field(line("provider", "Provider", "").required())
        .field(
            line(
                "runtime",
                "Runtime",
                "Where it runs: container, laptop, CI.",
            )
            .required(),
        )
        .field(Field::select(
            "environment",
            "Environment",
            &ENVIRONMENTS,
            &environment,
        ))
        .field(line("systems", "Systems", "Names, separated by spaces."))
        .field(line(
            "data_classes",
            "Data classes",
            "Names, separated by spaces.",
        ))
        .field(tier.hint("1 reads, 2 drafts, 3 acts with approval, 4 acts by itself."));
    expected(ask, form).button("Register as a draft", Tone::Main)
}

/// What it is expected to do, one box an effect.
fn expected(ask: &Ask, form: Form) -> Form {
    EFFECTS.iter().fold(form, |form, effect| {
        let name = format!("expected_{}", effect.as_str());
        let on = !ask.field(&name).is_empty();
        form.field(Field::new(
            &name,
            &format!("Expected to {}", effect.as_str()),
            Input::Check(on),
        ))
    })
}

/// What the form says, as a document would say it.
fn spec(ask: &Ask) -> Result<AgentSpec, Fault> {
    let words = |name: &str| {
        ask.field(name)
            .split([' ', ','])
            .filter(|w| !w.is_empty())
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let expected: Vec<&str> = EFFECTS
        .iter()
        .map(|e| e.as_str())
        .filter(|e| !ask.field(&format!("expected_{e}")).is_empty())
        .collect();
    let tier: Value = ask
        .field("tier")
        .parse::<u8>()
        .map_or(Value::Null, Value::from);
    let mut spec = json!({
        "owner": ask.field("owner").trim(),
        "sponsor": ask.field("sponsor").trim(),
        "purpose": ask.field("purpose").trim(),
        "business_process": ask.field("business_process").trim(),
        "model": ask.field("model").trim(),
        "provider": ask.field("provider").trim(),
        "runtime": ask.field("runtime").trim(),
        "environment": ask.field("environment"),
        "systems": words("systems"),
        "data_classes": words("data_classes"),
        "expected_actions": expected,
        "tier": tier,
    });
    for name in ["deputy", "deputy_team", "responsible_team", "platform_team"] {
        if let (Some(value), Some(all)) = (ask.given(name), spec.as_object_mut()) {
            all.insert(name.to_owned(), value.into());
        }
    }
    serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form is not complete: {e}")))
}

pub(super) async fn send(ask: Ask) -> Result<Answer, Fault> {
    let sent = if ask.field("way") == "yaml" {
        by_yaml(&ask).await
    } else {
        by_form(&ask).await
    };
    match sent {
        Err(fault) if fault.is_correctable() => show(&ask, Some(&fault)),
        other => other,
    }
}

async fn by_form(ask: &Ask) -> Result<Answer, Fault> {
    let name: Name = ask.field_as("name")?;
    let caller = ask.caller()?;
    if ask.control().agent(&caller, &name).is_ok() {
        return Err(Fault::refused(
            remit_domain::RefusalCode::Conflict,
            format!("an agent `{name}` is here already; choose another name"),
        ));
    }
    ask.control()
        .put_agent(&caller, &name, spec(ask)?, None)
        .await?;
    ask.done(&format!("/agents/{name}"), "registered")
}

async fn by_yaml(ask: &Ask) -> Result<Answer, Fault> {
    if !ask.holds(Role::Admin) {
        let name = put_document(ask, ask.field("document")).await?;
        return ask.done(&format!("/agents/{name}"), "registered");
    }
    apply(ask, ask.field("document")).await?;
    ask.done("/agents", "saved")
}

/// One agent's document, for those who may not apply everything: a developer registers and changes agents of their own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "apiVersion")]
    version: String,
    kind: String,
    metadata: Metadata,
    spec: AgentSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: Name,
}

async fn put_document(ask: &Ask, text: &str) -> Result<Name, Fault> {
    let read: Document = serde_saphyr::from_str(text)
        .map_err(|e| Fault::invalid(format!("the document cannot be read: {e}")))?;
    if read.version != "remit.dev/v1" || read.kind != "Agent" {
        return Err(Fault::invalid(
            "you may send one document of kind Agent (apiVersion remit.dev/v1); an administrator applies the others",
        ));
    }
    let name = read.metadata.name;
    ask.control()
        .put_agent(&ask.caller()?, &name, read.spec, None)
        .await?;
    Ok(name)
}

/// Applies documents, all of them or none; each problem is told with its line.
pub(crate) async fn apply(ask: &Ask, documents: &str) -> Result<(), Fault> {
    let caller = ask.caller()?;
    ask.control().apply(&caller, documents, None).await?;
    Ok(())
}

pub(super) async fn send_yaml(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let text = ask.field("document").to_owned();
    let sent = if ask.holds(Role::Admin) {
        apply(&ask, &text).await
    } else {
        put_document(&ask, &text).await.map(|_| ())
    };
    match sent {
        Ok(()) => ask.done(&format!("/agents/{name}"), "saved"),
        Err(fault) if fault.is_correctable() => {
            let (_, page) = with_header(&ask, "/yaml")?;
            let mut notice = Notice::new("bad", capitalized(&fault.text()));
            notice.more = fault.more().iter().map(Shown::block).collect();
            let status = fault.status();
            yaml_page(&ask, page, name.as_str(), &text, Some(notice))
                .status(status)
                .ok()
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_chosen_can_be_read() {
        for environment in ENVIRONMENTS {
            assert!(
                serde_json::from_value::<remit_domain::system::Environment>(environment.into())
                    .is_ok(),
                "{environment}"
            );
        }
        for tier in 1..=4u8 {
            assert!(serde_json::from_value::<Tier>(tier.into()).is_ok());
        }
        assert!(serde_json::from_value::<Enforcement>("gateway".into()).is_ok());
    }
}
