//! Certificates as files: got from the server, and verified without it.

use std::path::Path;

use anyhow::Context;
use remit_domain::containment::ItemStatus;
use remit_ledger::certificate;
use remit_tlog::VerifierKey;
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::{Done, NotVerified, OK};
use crate::input;
use crate::output::Out;
use crate::print::print;
use crate::table::{Page, Show, column};
use crate::value::items;

/// Largest file that is read, in bytes: a certificate of 100,000 items.
const FILE_BYTES_MAX: usize = 32 * 1_048_576;

/// Gets the newest certificate with its proof.
pub(super) async fn get(client: &Client, out: Out, id: &str, file: Option<&Path>) -> Done {
    let got = client
        .get(&["containments", id, "certificate", "file"])
        .await?;
    let mut text = serde_json::to_string_pretty(&got)?;
    text.push('\n');
    let Some(file) = file else {
        print(&text);
        return Ok(OK);
    };
    std::fs::write(file, &text)
        .with_context(|| format!("`{}` cannot be written", file.display()))?;
    let made = json!({ "file": file, "containment": id });
    let shown = file.display();
    let next = format!(
        "{shown} holds the certificate and its proof. Whoever has the ledger's key verifies it without this server:\n  remit containment verify {shown} --key vkey.txt"
    );
    out.done(&made, "file", &next)?;
    Ok(OK)
}

/// Verifies such a file.
pub(super) fn verify(out: Out, file: &Path, key: &VerifierKey) -> Done {
    let text = input::file(file, FILE_BYTES_MAX)?;
    let proved = certificate::verify(&text, key)
        .map_err(|e| NotVerified(format!("{:#}", anyhow::Error::from(e))))?;
    let certified = &proved.certificate;
    let count = |wanted: fn(&ItemStatus) -> bool| {
        let items = certified.items.iter();
        items.filter(|item| wanted(&item.status)).count()
    };
    let shown = json!({
        "containment": proved.containment, "entry": proved.entry, "origin": proved.origin, "size": proved.size,
        "entered": proved.entered, "certificate": certified,
        "stopped": count(|s| matches!(s, ItemStatus::Stopped { .. })),
        "bounded": count(|s| matches!(s, ItemStatus::Bounded { .. })),
        "not_proved": count(|s| matches!(s, ItemStatus::NotProved { .. })),
    });
    out.one(&shown, "containment.id", || told(out, &shown))?;
    Ok(OK)
}

fn told(out: Out, shown: &Value) -> String {
    let number = |name: &str| shown.get(name).and_then(Value::as_u64).unwrap_or_default();
    let columns = [
        column("STATUS", Show::State("status")),
        column("KIND", Show::Text("kind")),
        column("ID", Show::Text("id")),
        column("WHAT", Show::Text("label")),
        column("HOW", Show::With(super::page::how)),
    ];
    let residual = shown.pointer("/certificate/residual");
    let residual = residual.and_then(Value::as_u64).unwrap_or_default();
    let says = match residual {
        0 => "0: everything that Remit issued has stopped".to_owned(),
        n => format!("{n} not stopped when it was drawn up"),
    };
    let heading = format!(
        "PROVED  certificate of {}, record #{} of {}, under a checkpoint over {} records",
        crate::value::text(shown, "containment.id"),
        number("entry"),
        crate::value::line(&crate::value::text(shown, "origin"), 200),
        number("size")
    );
    Page::new(out, &heading)
        .at("Level", shown, "containment.level")
        .field("Target", target(shown))
        .when("Ordered", shown, "containment.at")
        .when("Entered", shown, "entered")
        .field(
            "Counted",
            format!(
                "{} stopped · {} bounded · {} not proved",
                number("stopped"),
                number("bounded"),
                number("not_proved")
            ),
        )
        .field("Residual", says)
        .table("Certificate", items(shown, "certificate.items"), &columns)
        .table(
            "Outside Remit: not stopped by it",
            items(shown, "certificate.outside"),
            &super::page::outside_columns(),
        )
        .text()
}

fn target(shown: &Value) -> String {
    let kind = crate::value::text(shown, "containment.target.type");
    let id = crate::value::text(shown, "containment.target.id");
    format!("{kind} {id}").trim().to_owned()
}
