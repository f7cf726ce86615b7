//! The way out: any request of the REST interface, with the signed-in token.

use clap::{Args, ValueEnum};

use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::input;
use crate::print::print;
use crate::value::lines;

/// A request.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  remit api GET /agents?limit=5\n  remit api POST /policies/explain --data @call.json\n  remit api PUT /teams/support --data '{}'"
)]
pub struct Api {
    /// Method
    #[arg(value_enum, ignore_case = true)]
    method: Method,
    /// Path below /api/v1, with its query
    path: String,
    /// Body as JSON, @FILE, or - for standard input
    #[arg(short, long, value_name = "JSON")]
    data: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// Sends it; the answer is printed as it came, JSON in readable form.
pub(crate) async fn run(connection: &Connection, api: Api) -> Done {
    let body = api.data.as_deref().map(input::json).transpose()?;
    let method = match api.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    };
    let answer = connection
        .client()?
        .raw(method, &api.path, body.as_ref())
        .await?;
    let text = match serde_json::from_slice::<serde_json::Value>(&answer) {
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => lines(&String::from_utf8_lossy(&answer)),
    };
    print(&text);
    Ok(OK)
}
