//! Organizations: settings of one's own, and for the operator all of them.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Page, Show, column};
use crate::value::text;

/// Commands on organizations.
#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// Show one's own organization
    #[command(alias = "get")]
    Show,
    /// Ask that one person may do what takes two (`dual` to `single`); another administrator agrees within 7 days
    #[command(
        after_help = "Examples:\n  remit organization loosen --reason 'everybody else is on leave until Monday'\n  remit organization loosen --approve --context bo\n  remit organization loosen --withdraw"
    )]
    Loosen {
        /// Why one person is to be enough
        #[arg(long, value_name = "WHY", required_unless_present_any = ["approve", "withdraw"])]
        reason: Option<String>,
        /// Agree to what somebody else asked
        #[arg(long, conflicts_with_all = ["reason", "withdraw"])]
        approve: bool,
        /// Take it back, or refuse it
        #[arg(long, conflicts_with = "reason")]
        withdraw: bool,
    },
    /// List all (operator)
    #[command(alias = "list")]
    Ls,
    /// Create one, with the link of its first administrator (operator)
    Create {
        /// Name
        name: String,
        /// E-mail address of its first administrator
        #[arg(long, value_name = "EMAIL")]
        admin: String,
        /// Whether an owner may activate their own agent (single) or somebody else has to (dual)
        #[arg(long, default_value = "dual")]
        separation: String,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: OrganizationCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        OrganizationCommand::Show => {
            let found = client.get(&["organization"]).await?;
            show(out, &found)?;
        }
        OrganizationCommand::Loosen {
            reason,
            approve,
            withdraw,
        } => {
            let at = ["organization", "loosening"];
            let found = if approve {
                let at = ["organization", "loosening", "approve"];
                client.post(&at, &json!({})).await?
            } else if withdraw {
                client.delete(&at).await?
            } else {
                client.post(&at, &json!({ "reason": reason })).await?
            };
            show(out, &found)?;
        }
        OrganizationCommand::Ls => {
            let all = client.list(&["organizations"], &[], ITEMS_MAX).await?;
            let columns = [
                column("NAME", Show::Text("name")),
                column("ID", Show::Text("id")),
                column("SEPARATION", Show::Text("separation")),
            ];
            out.list(&all, &columns, "name", "No organization yet. Create one with `remit organization create NAME --admin EMAIL`.")?;
        }
        OrganizationCommand::Create {
            name,
            admin,
            separation,
        } => {
            let body = json!({ "name": name, "separation": separation, "admin_email": admin });
            let made = client.post(&["organizations"], &body).await?;
            out.one(&made, "link", || {
                Page::new(
                    out,
                    &format!(
                        "{name} is ready. The link is for {admin} only, good once, shown only now."
                    ),
                )
                .at("Link", &made, "link")
                .when("Ends", &made, "expires")
                .text()
            })?;
        }
    }
    Ok(OK)
}

fn show(out: Out, found: &Value) -> anyhow::Result<()> {
    out.one(found, "name", || {
        let title = format!("{}  {}", text(found, "name"), text(found, "id"));
        let page = Page::new(out, &title)
            .at("Separation", found, "separation")
            .field("WIT-SVIDs", if found["wit_svids"] == true { "on" } else { "off" });
        match found.get("loosening") {
            Some(wish) => page
                .field(
                    "Asked for",
                    "one person to be enough; another administrator agrees with `remit organization loosen --approve`",
                )
                .at("Because", wish, "reason")
                .when("Since", wish, "at")
                .text(),
            None => page.text(),
        }
    })
}
