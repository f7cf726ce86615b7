//! Registering an agent, from a document or from flags.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::client::{Client, is_not_found};
use crate::exit::Usage;
use crate::input;
use crate::output::Out;
use crate::value::text;

/// What to register.
#[derive(Debug, Args)]
pub struct Register {
    /// Name; may be left out with -f
    name: Option<String>,
    /// Document of kind Agent, YAML or JSON; `-` for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["owner", "sponsor"])]
    file: Option<PathBuf>,
    /// E-mail address of the technical administrator
    #[arg(long)]
    owner: Option<String>,
    /// E-mail address of the person answerable for purpose and lifecycle
    #[arg(long)]
    sponsor: Option<String>,
    /// E-mail address of who takes over when one of them leaves
    #[arg(long)]
    deputy: Option<String>,
    /// Team one of whom takes over where no deputy is here
    #[arg(long)]
    deputy_team: Option<String>,
    /// What it is for
    #[arg(long)]
    purpose: Option<String>,
    /// Business process it serves
    #[arg(long)]
    business_process: Option<String>,
    /// Model it acts by
    #[arg(long)]
    model: Option<String>,
    /// Who provides the model
    #[arg(long)]
    provider: Option<String>,
    /// What it runs on
    #[arg(long)]
    runtime: Option<String>,
    /// Where it runs: production, staging, development or test
    #[arg(long)]
    environment: Option<String>,
    /// 1 reads, 2 drafts, 3 acts after approval, 4 acts by itself
    #[arg(long)]
    tier: Option<u8>,
    /// Team that answers for it
    #[arg(long)]
    responsible_team: Option<String>,
    /// Team that runs it
    #[arg(long)]
    platform_team: Option<String>,
    /// System it reaches; may be repeated
    #[arg(long = "system", value_name = "NAME")]
    systems: Vec<String>,
    /// Class of data it touches; may be repeated
    #[arg(long = "data-class", value_name = "CLASS")]
    data_classes: Vec<String>,
    /// Sort of effect it is to have; may be repeated
    #[arg(long = "action", value_name = "EFFECT")]
    expected_actions: Vec<String>,
}

impl Register {
    /// The name, and what is said of it.
    fn said(self) -> anyhow::Result<(String, Map<String, Value>)> {
        if let Some(file) = self.file {
            return from_document(&input::document(&file)?, self.name);
        }
        let name = self
            .name
            .ok_or_else(|| Usage("name the agent, or its document with -f".to_owned()))?;
        let texts = [
            ("owner", self.owner),
            ("sponsor", self.sponsor),
            ("deputy", self.deputy),
            ("deputy_team", self.deputy_team),
            ("purpose", self.purpose),
            ("business_process", self.business_process),
            ("model", self.model),
            ("provider", self.provider),
            ("runtime", self.runtime),
            ("environment", self.environment),
            ("responsible_team", self.responsible_team),
            ("platform_team", self.platform_team),
        ];
        let lists = [
            ("systems", self.systems),
            ("data_classes", self.data_classes),
            ("expected_actions", self.expected_actions),
        ];
        let mut spec: Map<String, Value> = texts
            .into_iter()
            .filter_map(|(k, v)| Some((k.to_owned(), json!(v?))))
            .collect();
        spec.extend(
            lists
                .into_iter()
                .filter(|(_, v)| !v.is_empty())
                .map(|(k, v)| (k.to_owned(), json!(v))),
        );
        spec.extend(self.tier.map(|tier| ("tier".to_owned(), json!(tier))));
        Ok((name, spec))
    }
}

fn from_document(
    document: &Value,
    said: Option<String>,
) -> anyhow::Result<(String, Map<String, Value>)> {
    if text(document, "kind") != "Agent" {
        return Err(Usage(
            "the document is not of kind Agent; other kinds go through `remit apply -f FILE`"
                .to_owned(),
        )
        .into());
    }
    let name = text(document, "metadata.name");
    if said.as_ref().is_some_and(|said| *said != name) {
        return Err(Usage(format!("the document is about `{name}`")).into());
    }
    let spec = document.get("spec").and_then(Value::as_object).cloned();
    let spec = spec.ok_or_else(|| Usage("the document has no `spec`".to_owned()))?;
    Ok((name, spec))
}

/// Fields of an agent that are its own to say; a view has more.
const FIELDS: [&str; 20] = [
    "owner",
    "sponsor",
    "deputy",
    "deputy_team",
    "responsible_team",
    "platform_team",
    "purpose",
    "business_process",
    "model",
    "provider",
    "runtime",
    "environment",
    "data_classes",
    "systems",
    "expected_actions",
    "tier",
    "review_cadence_days",
    "next_review",
    "rotate_days",
    "enforcement",
];

/// Registers it. With flags, what is not said stays as it is.
pub(crate) async fn run(client: &Client, out: Out, register: Register) -> anyhow::Result<()> {
    let whole = register.file.is_some();
    let (name, said) = register.said()?;
    let (mut spec, mut revision) = (Map::new(), None);
    if !whole {
        match client.get(&["agents", &name]).await {
            Ok(Value::Object(now)) => {
                revision = now.get("revision").and_then(Value::as_u64);
                spec.extend(
                    now.into_iter()
                        .filter(|(k, v)| FIELDS.contains(&k.as_str()) && !v.is_null()),
                );
            }
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
    }
    spec.extend(said);
    let saved = client
        .put(&["agents", &name], &Value::Object(spec), revision)
        .await?;
    let state = text(&saved, "state");
    out.done(
        &saved,
        "name",
        &format!("{name} is registered ({state}). What it lacks: remit agent show {name}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_and_only_of_its_kind() {
        let document = json!({"apiVersion": "remit.dev/v1", "kind": "Agent", "metadata": {"name": "triage"}, "spec": {"tier": 1}});
        let (name, spec) = from_document(&document, None).unwrap();
        assert_eq!((name.as_str(), spec["tier"].as_u64()), ("triage", Some(1)));
        assert!(from_document(&document, Some("other".to_owned())).is_err());
        assert!(from_document(&json!({"kind": "Person"}), None).is_err());
    }
}
