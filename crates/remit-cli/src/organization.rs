//! Organizations: settings of one's own, and for the operator all of them.

use clap::Subcommand;
use serde_json::json;

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::table::{Page, Show, column};
use crate::value::text;

/// Commands on organizations.
#[derive(Debug, Subcommand)]
pub enum OrganizationCommand {
    /// Show one's own organization
    #[command(alias = "get")]
    Show,
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
            out.one(&found, "name", || {
                Page::new(
                    out,
                    &format!("{}  {}", text(&found, "name"), text(&found, "id")),
                )
                .at("Separation", &found, "separation")
                .text()
            })?;
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
