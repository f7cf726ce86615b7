//! Limits on what callers say in words: every text, list and authority has one.

use remit_domain::authority::Authority;
use remit_domain::limits::{LIST_MAX, TEXT_BYTES_MAX};
use remit_domain::run::{Intent, Provenance};
use remit_domain::{Refusal, RefusalCode};

use crate::refusal::no;

/// A text of at most `bytes_max` bytes without control characters; line ends and tabs are for paragraphs.
pub(crate) fn text(what: &str, value: &str, bytes_max: usize) -> Result<(), Refusal> {
    if value.len() > bytes_max {
        return Err(no(
            RefusalCode::TooLarge,
            format!("{what} is longer than {bytes_max} bytes; shorten it"),
        ));
    }
    if value
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(no(
            RefusalCode::InvalidRequest,
            format!("{what} has control characters; remove them"),
        ));
    }
    Ok(())
}

fn list(what: &str, count: usize) -> Result<(), Refusal> {
    if count > LIST_MAX {
        return Err(no(
            RefusalCode::TooLarge,
            format!("{what} has more than {LIST_MAX} members; name fewer"),
        ));
    }
    Ok(())
}

/// The declared purpose of a run.
pub(crate) fn intent(intent: &Intent) -> Result<(), Refusal> {
    text("purpose", &intent.purpose, TEXT_BYTES_MAX)?;
    text(
        "ticket",
        intent.ticket.as_deref().unwrap_or_default(),
        TEXT_BYTES_MAX,
    )?;
    if let Some(discovery) = &intent.discovery {
        discovery.check().map_err(|why| {
            no(
                RefusalCode::InvalidRequest,
                format!("`intent.discovery`: {why}"),
            )
        })?;
    }
    authority(&intent.authority)
}

/// A narrowing.
pub(crate) fn authority(authority: &Authority) -> Result<(), Refusal> {
    let tools = authority.tools.as_ref();
    list("tools", tools.map_or(0, |tools| tools.len()))?;
    for bounds in tools.into_iter().flat_map(|tools| tools.values()) {
        list(
            "the bounds of a tool",
            bounds
                .0
                .values()
                .map(Vec::len)
                .sum::<usize>()
                .max(bounds.0.len()),
        )?;
    }
    list(
        "data_classes",
        authority
            .data_classes
            .as_ref()
            .map_or(0, |classes| classes.len()),
    )?;
    let targets = authority.targets.as_ref();
    list("targets", targets.map_or(0, |targets| targets.len()))?;
    for objects in targets.into_iter().flat_map(|targets| targets.values()) {
        list("the objects of a target", objects.len())?;
        objects
            .iter()
            .try_for_each(|object| text("an object of a target", object, TEXT_BYTES_MAX))?;
    }
    Ok(())
}

/// What the caller says about itself.
pub(crate) fn provenance(provenance: &Provenance) -> Result<(), Refusal> {
    let said = [
        &provenance.model,
        &provenance.prompt,
        &provenance.configuration,
    ];
    said.into_iter()
        .flatten()
        .try_for_each(|value| text("provenance", value, TEXT_BYTES_MAX))?;
    list("the context of the provenance", provenance.context.len())?;
    provenance
        .context
        .iter()
        .try_for_each(|value| text("a context reference", value, TEXT_BYTES_MAX))
}
