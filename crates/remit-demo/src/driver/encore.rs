//! What is left for people once everything was proved: a request that waits for one of them, beside a call that was denied.

use anyhow::{Result, ensure};

use super::DemoContext;
use super::customer_support;
use super::say::Say;
use super::stage::{Stage, Work};
use crate::client::Verdict;

/// An agent that is still at work. What it asked for is cancelled when this goes.
pub struct Encore {
    work: Work,
    approver: &'static str,
}

impl Encore {
    /// Who may approve what waits, by address.
    pub fn approver(&self) -> &'static str {
        self.approver
    }

    /// The run that it is in.
    pub fn run(&self) -> &str {
        &self.work.run
    }
}

/// Puts an agent to work once more: one call is denied, and one waits for a person.
///
/// # Errors
/// When the server cannot be reached, or decides otherwise than it did before.
pub async fn encore(context: &DemoContext) -> Result<Encore> {
    let mut stage = Stage::new(context, Say::silent())?;
    let (work, denied, asked) = customer_support::encore(&mut stage).await?;
    ensure!(
        denied == Verdict::Denied && asked == Verdict::Asked,
        "the calls that are left for people were decided otherwise: {denied:?}, {asked:?}"
    );
    Ok(Encore {
        work,
        approver: customer_support::FINANCE,
    })
}
