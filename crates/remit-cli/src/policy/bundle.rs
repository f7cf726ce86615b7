//! Bundles: propose, compare, approve, try in the shadow, make live, roll back; and what tests, solver and history say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::files::Files;
use super::page::{diff, proposal, report, shadow, short, simulated, stage, suggested, tested};
use crate::client::{Client, ITEMS_MAX};
use crate::exit::{CHANGES, Done, ERROR, NOT_VERIFIED, OK, WAITING};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, plain, text};
use crate::when::parse_span;

/// How often a proposal is looked at while the solver is at work.
const PROOF_EVERY: Duration = Duration::from_secs(2);
/// How long that is done: longer than any proof takes.
const PROOF_WAIT_MAX: Duration = Duration::from_secs(420);

/// Where policies come from.
#[derive(Debug, Args)]
pub struct Source {
    /// Folder with *.cedar, *.test.yaml and policy.yaml; or one Cedar file
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Keep live policy sets that the folder does not name; without it the folder is everything
    #[arg(long)]
    keep: bool,
}

/// Commands on bundles.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Propose the policies of a folder; somebody else approves them. Exits with 4 while they wait
    Propose {
        #[command(flatten)]
        source: Source,
        /// One line on what they are for
        #[arg(long)]
        title: Option<String>,
        /// Where they come from; the commit of the folder where it is in Git
        #[arg(long)]
        source_is: Option<String>,
    },
    /// Bring the policies of a folder live as far as you may: nothing where they are live, proposed, and with --enforce
    /// approved and live where the organization lets one person do that
    Apply {
        #[command(flatten)]
        source: Source,
        /// Approve and make live too, where you may
        #[arg(long)]
        enforce: bool,
    },
    /// List proposals
    Proposals {
        /// proposed, approved, rejected or enforced
        #[arg(long)]
        state: Option<String>,
    },
    /// Show a proposal: what its tests, the solver and the comparison with what is live said
    Proposal {
        /// Id
        id: String,
    },
    /// Approve a proposal that somebody else made
    Approve {
        /// Id
        id: String,
        /// What people read later
        #[arg(long)]
        comment: Option<String>,
    },
    /// Reject a proposal, or take your own back
    Reject {
        /// Id
        id: String,
        /// What people read later
        #[arg(long)]
        comment: Option<String>,
    },
    /// Let a proposal decide in the shadow, beside what is live and without effect; without an id, show what is on the stage
    Stage {
        /// Id
        id: Option<String>,
        /// Take the bundle out of the shadow
        #[arg(long, conflicts_with = "id")]
        off: bool,
    },
    /// What the bundle in the shadow would have decided otherwise; exits with 2 when anything
    Shadow,
    /// Make an approved proposal live
    Enforce {
        /// Id
        id: String,
    },
    /// Go back to the bundle that was live before
    Rollback {
        /// Version of an earlier one
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// List bundles: every version that was ever proposed
    Bundles,
    /// What differs between two bundles; exits with 2 when anything
    Diff {
        /// Version to compare with `live`, or with the second one
        from: String,
        /// Version that it leads to; the first one where `live` is what it is compared with
        to: Option<String>,
    },
    /// Run the tests beside the policies; exits with 1 when one fails
    Test {
        /// Folder; the live policies and their tests where absent
        path: Option<PathBuf>,
        /// Run them here, with the tools that the files describe
        #[arg(long, requires = "path")]
        offline: bool,
        /// Count decisions of this long too, such as 7d
        #[arg(long, value_name = "SPAN", value_parser = parse_span)]
        traffic: Option<i64>,
        /// Ask the solver which policies are dead or shadowed
        #[arg(long)]
        dead: bool,
    },
    /// Prove what policies can never do, for every call there can be; exits with 5 when a claim fails
    Prove {
        /// Folder; the live policies where absent
        path: Option<PathBuf>,
    },
    /// Take recorded decisions again under other policies, without effect; exits with 2 when any comes out otherwise
    Simulate {
        /// Folder; the live policies, which must reproduce every decision, where absent
        path: Option<PathBuf>,
        /// A bundle that is kept
        #[arg(long, conflicts_with = "path")]
        bundle: Option<String>,
        /// How far back
        #[arg(long, default_value = "7d", value_parser = parse_span)]
        since: i64,
    },
    /// A narrower workflow from what it was used for, which breaks nothing seen
    Suggest {
        /// AGENT/WORKFLOW
        workflow: String,
        /// How far back
        #[arg(long, default_value = "30d", value_parser = parse_span)]
        since: i64,
    },
}

const PROPOSALS: [Column; 6] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("TITLE", Show::Text("title")),
    column("BUNDLE", Show::With(|p| short(&text(p, "bundle")))),
    column("BY", Show::Text("proposed_by")),
    column("PROPOSED", Show::When("proposed_at")),
];

const BUNDLES: [Column; 4] = [
    column("VERSION", Show::With(|b| short(&text(b, "version")))),
    column("STATE", Show::State("state")),
    column("ACCEPTED", Show::With(accepted)),
    column("SEEN", Show::When("created")),
];

fn accepted(bundle: &Value) -> String {
    let last = items(bundle, "accepted").last();
    last.map_or_else(String::new, |a| {
        let signed = if a.get("signature_is_valid") == Some(&Value::Bool(true)) {
            "signed"
        } else {
            "NOT VALID"
        };
        format!("{} by {}, {signed}", text(a, "how"), text(a, "approved_by"))
    })
}

/// Runs one.
pub(crate) async fn run(client: &Client, out: Out, command: BundleCommand) -> Done {
    match command {
        BundleCommand::Propose {
            source,
            title,
            source_is,
        } => propose(client, out, &source, title, source_is).await,
        BundleCommand::Apply { source, enforce } => apply(client, out, &source, enforce).await,
        BundleCommand::Proposals { state } => {
            let query: Vec<(&str, &str)> = state.iter().map(|s| ("state", s.as_str())).collect();
            let found = client.list(&["proposals"], &query, ITEMS_MAX).await?;
            out.list(
                &found,
                &PROPOSALS,
                "id",
                "No proposal yet. `remit policy propose DIR` makes one.",
            )?;
            Ok(OK)
        }
        BundleCommand::Proposal { id } => {
            let found = client.get(&["proposals", &id]).await?;
            out.one(&found, "id", || proposal(out, &found))?;
            Ok(OK)
        }
        BundleCommand::Approve { id, comment } => {
            let body = json!({ "comment": comment });
            let found = client.post(&["proposals", &id, "approve"], &body).await?;
            out.one(&found, "id", || {
                format!("{id} is approved. Make it live: remit policy enforce {id}")
            })?;
            Ok(OK)
        }
        BundleCommand::Reject { id, comment } => {
            let body = json!({ "comment": comment });
            let found = client.post(&["proposals", &id, "reject"], &body).await?;
            out.one(&found, "id", || format!("{id} is rejected."))?;
            Ok(OK)
        }
        other => moved(client, out, other).await,
    }
}

/// What changes which bundle decides.
async fn moved(client: &Client, out: Out, command: BundleCommand) -> Done {
    match command {
        BundleCommand::Stage { id, off } => {
            let found = match id {
                Some(id) => {
                    client
                        .post(&["proposals", &id, "stage"], &json!({}))
                        .await?
                }
                None if off => client.post(&["bundles", "unstage"], &json!({})).await?,
                None => client.get(&["bundles", "stage"]).await?,
            };
            out.one(&found, "live", || stage(out, &found))?;
            Ok(OK)
        }
        BundleCommand::Enforce { id } => {
            let found = client
                .post(&["proposals", &id, "enforce"], &json!({}))
                .await?;
            out.one(&found, "live", || stage(out, &found))?;
            Ok(OK)
        }
        BundleCommand::Rollback { to } => {
            let found = client
                .post(&["bundles", "rollback"], &json!({ "to": to }))
                .await?;
            let Some(waits) = found.pointer("/proposal/id").and_then(Value::as_str) else {
                out.one(&found, "live", || stage(out, &found))?;
                return Ok(OK);
            };
            out.one(&found, "live", || {
                format!(
                    "Nothing has changed yet: going back takes policies away or changes what they say, which takes two people.\n\
                     It is proposed as {waits}. Somebody else: remit policy approve {waits}, then remit policy enforce {waits}"
                )
            })?;
            Ok(WAITING)
        }
        other => looked(client, out, other).await,
    }
}

/// What only looks.
async fn looked(client: &Client, out: Out, command: BundleCommand) -> Done {
    match command {
        BundleCommand::Shadow => {
            let found = client.get(&["bundles", "shadow"]).await?;
            let differs = !items(&found, "flips").is_empty();
            out.one(&found, "bundle", || shadow(out, &found))?;
            Ok(if differs { CHANGES } else { OK })
        }
        BundleCommand::Bundles => {
            let found = client.list(&["bundles"], &[], ITEMS_MAX).await?;
            out.list(
                &found,
                &BUNDLES,
                "version",
                "No bundle yet. `remit policy propose DIR` makes one.",
            )?;
            Ok(OK)
        }
        BundleCommand::Diff { from, to } => {
            let (from, to) = match to {
                Some(to) => (from, to),
                None => ("live".to_owned(), from),
            };
            let query = [("from", from.as_str()), ("to", to.as_str())];
            let found = client.get_with(&["bundles", "diff"], &query).await?;
            let differs = !items(&found, "sets").is_empty();
            out.one(&found, "to", || diff(&found))?;
            Ok(if differs { CHANGES } else { OK })
        }
        BundleCommand::Test {
            path,
            traffic,
            dead,
            ..
        } => {
            let files = path.as_deref().map(Files::read).transpose()?;
            let mut body = json!({ "traffic_secs": traffic.unwrap_or(0), "dead": dead });
            if let (Some(files), Some(body)) = (files, body.as_object_mut()) {
                body.insert("sets".to_owned(), json!(files.sets));
                body.insert("tests".to_owned(), json!(files.tests));
            }
            told(out, &client.post(&["bundles", "test"], &body).await?)
        }
        other => tried(client, out, other).await,
    }
}

/// What asks the solver, or history.
async fn tried(client: &Client, out: Out, command: BundleCommand) -> Done {
    match command {
        BundleCommand::Prove { path } => {
            let found = match path {
                Some(path) => {
                    let body = Files::read(&path)?.body(None, None);
                    client.post(&["bundles", "prove-candidate"], &body).await?
                }
                None => client.post(&["bundles", "prove"], &json!({})).await?,
            };
            let fails = items(&found, "claims")
                .iter()
                .any(|c| text(c, "result") == "fails");
            out.one(&found, "solver", || {
                report(Page::new(out, "What policies can never do"), &found).text()
            })?;
            Ok(if fails { NOT_VERIFIED } else { OK })
        }
        BundleCommand::Simulate {
            path,
            bundle,
            since,
        } => {
            let mut body = json!({ "since_secs": since, "bundle": bundle });
            if let (Some(path), Some(body)) = (path, body.as_object_mut()) {
                body.insert("sets".to_owned(), json!(Files::read(&path)?.sets));
            }
            let found = client.post(&["bundles", "simulate"], &body).await?;
            out.one(&found, "bundle", || simulated(out, &found))?;
            Ok(match () {
                () if !items(&found, "not_reproduced").is_empty() => NOT_VERIFIED,
                () if !items(&found, "flips").is_empty() => CHANGES,
                () => OK,
            })
        }
        BundleCommand::Suggest { workflow, since } => {
            let (agent, name) = workflow.split_once('/').unwrap_or((workflow.as_str(), ""));
            let path = ["agents", agent, "workflows", name, "suggestion"];
            let found = client
                .get_with(&path, &[("since_secs", &since.to_string())])
                .await?;
            out.one(&found, "workflow", || suggested(&found))?;
            Ok(OK)
        }
        _ => Ok(OK),
    }
}

/// Runs the tests of a folder without a server.
pub(super) fn test_here(out: Out, path: &Path) -> Done {
    told(out, &Files::read(path)?.test()?)
}

fn told(out: Out, found: &Value) -> Done {
    let passed = found.get("passed") == Some(&Value::Bool(true));
    out.one(found, "passed", || tested(out, found))?;
    Ok(if passed { OK } else { ERROR })
}

/// The folder's policies, with the live ones that it does not name where they are to stay.
async fn body(
    client: &Client,
    source: &Source,
    title: Option<String>,
    origin: Option<String>,
) -> anyhow::Result<Value> {
    let mut files = Files::read(&source.path)?;
    if source.keep {
        let live = client.get(&["bundles", "live"]).await?;
        let sets = at(&live, "sets").and_then(Value::as_object);
        for (name, cedar) in sets.into_iter().flatten() {
            files
                .sets
                .entry(name.clone())
                .or_insert_with(|| plain(cedar));
        }
    }
    Ok(files.body(title, origin.or_else(|| commit_of(&source.path))))
}

/// The commit that a folder is at, where it is in Git.
fn commit_of(path: &Path) -> Option<String> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    let git = std::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["rev-parse", "HEAD"])
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let commit = String::from_utf8(git.stdout).ok()?;
    let commit = commit.trim();
    (git.status.success() && !commit.is_empty()).then(|| format!("git {commit}"))
}

async fn propose(
    client: &Client,
    out: Out,
    source: &Source,
    title: Option<String>,
    origin: Option<String>,
) -> Done {
    let body = body(client, source, title, origin).await?;
    let found = client.post(&["proposals"], &body).await?;
    let found = proved(client, found).await?;
    out.one(&found, "id", || proposal(out, &found))?;
    Ok(WAITING)
}

/// The proposal once the solver has ended. While it is at work, that is said.
async fn proved(client: &Client, proposed: Value) -> anyhow::Result<Value> {
    let id = text(&proposed, "id");
    let (mut found, mut waited) = (proposed, Duration::ZERO);
    while text(&found, "proof") == "running" {
        if waited.is_zero() {
            let said = format!(
                "{id} is proposed; the solver is at work on its claims. To leave it to itself: Ctrl-C, and later `remit policy proposal {id}`"
            );
            crate::print::note(&said);
        }
        if waited >= PROOF_WAIT_MAX {
            return Ok(found);
        }
        tokio::time::sleep(PROOF_EVERY).await;
        waited = waited.saturating_add(PROOF_EVERY);
        found = client.get(&["proposals", &id]).await?;
        let ended = text(&found, "proof") != "running";
        let said = format!("{}: {} s", text(&found, "proof"), waited.as_secs());
        crate::print::progress(&said, ended);
    }
    Ok(found)
}

async fn apply(client: &Client, out: Out, source: &Source, enforce: bool) -> Done {
    let body = body(client, source, None, None).await?;
    let found = client.post(&["proposals"], &body).await?;
    let id = text(&found, "id");
    if text(&found, "bundle") == text(&found, "base") {
        let taken_back = json!({ "comment": "it is live already" });
        client
            .post(&["proposals", &id, "reject"], &taken_back)
            .await?;
        out.one(&found, "bundle", || {
            "These policies are live already.".to_owned()
        })?;
        return Ok(OK);
    }
    let found = proved(client, found).await?;
    if !enforce {
        out.one(&found, "id", || proposal(out, &found))?;
        return Ok(WAITING);
    }
    client
        .post(&["proposals", &id, "approve"], &json!({}))
        .await?;
    let live = client
        .post(&["proposals", &id, "enforce"], &json!({}))
        .await?;
    out.one(&live, "live", || stage(out, &live))?;
    Ok(OK)
}
