//! IT support desk: people, tickets, lockouts, and what resets of passwords and second factors do.

mod seed;

use std::collections::{BTreeMap, BTreeSet};

use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Framed;
use super::journal::{Change, Desk, Journal};
use super::kind::DemoKind;

/// The desk with its data.
#[derive(Debug)]
pub(crate) struct Itsm(Desk<State>);

pub(crate) fn server(journal: Journal) -> Framed<Itsm> {
    let server = Itsm(Desk::new(seed::state(), journal.clone()));
    Framed::new(DemoKind::Itsm, server, Itsm::tool_router(), journal)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindUser {
    /// Part of a login, name or department; at least two characters.
    #[schemars(length(min = 2, max = 64))]
    query: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetTicket {
    /// The ticket, such as T-4711.
    #[schemars(regex(pattern = r"^T-[0-9]{4}$"))]
    ticket: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetLockout {
    /// Login of the person.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9.-]{1,31}$"))]
    user: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForTicket {
    /// Login of the person whose account is changed.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9.-]{1,31}$"))]
    user: String,
    /// The ticket that asks for it.
    #[schemars(regex(pattern = r"^T-[0-9]{4}$"))]
    ticket: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResetPassword {
    /// Login of the person whose password is reset.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9.-]{1,31}$"))]
    user: String,
    /// The ticket that asks for it.
    #[schemars(regex(pattern = r"^T-[0-9]{4}$"))]
    ticket: String,
    /// Where the temporary password goes. It is never in the result.
    channel: Channel,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddToGroup {
    /// Login of the person.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9.-]{1,31}$"))]
    user: String,
    /// The group.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    group: String,
    /// The ticket that asks for it.
    #[schemars(regex(pattern = r"^T-[0-9]{4}$"))]
    ticket: String,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Channel {
    RegisteredPhone,
    RegisteredEmail,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct User {
    user: String,
    name: String,
    department: String,
    level: String,
    privileged: bool,
    groups: BTreeSet<String>,
}

#[derive(Serialize, JsonSchema)]
struct Users {
    users: Vec<User>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Ticket {
    ticket: String,
    requester: String,
    opened: String,
    subject: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Lockout {
    user: String,
    locked: bool,
    failed_attempts: u32,
}

#[derive(Debug)]
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    tickets: BTreeMap<String, Ticket>,
    groups: BTreeSet<String>,
}

#[derive(Debug)]
struct Account {
    user: User,
    failed_attempts: u32,
    passwords: u32,
    factors: u32,
}

const LOCKED_AFTER: u32 = 5;

impl Account {
    fn locked(&self) -> bool {
        self.failed_attempts >= LOCKED_AFTER
    }
}

impl State {
    fn account(&mut self, user: &str) -> Result<&mut Account, String> {
        self.accounts
            .get_mut(user)
            .ok_or_else(|| format!("no person `{user}`"))
    }

    /// The account to change for an existing ticket. Whether the ticket is about it is the caller's business.
    fn for_ticket(&mut self, user: &str, ticket: &str) -> Result<&mut Account, String> {
        if !self.tickets.contains_key(ticket) {
            return Err(format!("no ticket `{ticket}`"));
        }
        self.account(user)
    }
}

#[tool_router]
impl Itsm {
    /// Finds people by part of their login, name or department.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn find_user(&self, Parameters(p): Parameters<FindUser>) -> Result<Json<Users>, String> {
        let query = p.query.to_lowercase();
        let users = self.0.look(|state| {
            let users = state.accounts.values().map(|account| &account.user);
            let hit = |u: &&User| {
                [&u.user, &u.name, &u.department]
                    .iter()
                    .any(|t| t.to_lowercase().contains(&query))
            };
            users.filter(hit).cloned().collect()
        });
        Ok(Json(Users { users }))
    }

    /// Reads a ticket. Its text is written by whoever opened it.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn get_ticket(&self, Parameters(p): Parameters<GetTicket>) -> Result<Json<Ticket>, String> {
        let found = self.0.look(|state| state.tickets.get(&p.ticket).cloned());
        found
            .map(Json)
            .ok_or_else(|| format!("no ticket `{}`", p.ticket))
    }

    /// Tells whether an account is locked, and after how many failed sign-ins.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn get_lockout(&self, Parameters(p): Parameters<GetLockout>) -> Result<Json<Lockout>, String> {
        let found = self.0.look(|state| {
            state
                .accounts
                .get(&p.user)
                .map(|a| (a.locked(), a.failed_attempts))
        });
        let (locked, failed_attempts) = found.ok_or_else(|| format!("no person `{}`", p.user))?;
        Ok(Json(Lockout {
            user: p.user,
            locked,
            failed_attempts,
        }))
    }

    /// Unlocks an account that too many failed sign-ins have locked.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn unlock_account(&self, Parameters(p): Parameters<ForTicket>) -> Result<Json<Change>, String> {
        let change = self.0.act("unlock_account", &p.user, |state| {
            let account = state.for_ticket(&p.user, &p.ticket)?;
            let before = if account.locked() {
                "locked"
            } else {
                "not locked"
            };
            account.failed_attempts = 0;
            Ok((before.to_owned(), "not locked".to_owned()))
        });
        change.map(Json)
    }

    /// Replaces a password by a temporary one, sent to a channel registered for the person.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    fn reset_password(
        &self,
        Parameters(p): Parameters<ResetPassword>,
    ) -> Result<Json<Change>, String> {
        let change = self.0.act("reset_password", &p.user, |state| {
            let account = state.for_ticket(&p.user, &p.ticket)?;
            let before = format!("password no. {}", account.passwords);
            account.passwords += 1;
            account.failed_attempts = 0;
            let sent = match p.channel {
                Channel::RegisteredPhone => "phone",
                Channel::RegisteredEmail => "e-mail",
            };
            let no = account.passwords;
            Ok((
                before,
                format!("password no. {no}, temporary, sent to the registered {sent}"),
            ))
        });
        change.map(Json)
    }

    /// Removes the second factor of a person, who enrols a new one at the next sign-in.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    fn reset_mfa(&self, Parameters(p): Parameters<ForTicket>) -> Result<Json<Change>, String> {
        let change = self.0.act("reset_mfa", &p.user, |state| {
            let account = state.for_ticket(&p.user, &p.ticket)?;
            let before = format!("{} second factors", account.factors);
            account.factors = 0;
            Ok((before, "no second factor until the next sign-in".to_owned()))
        });
        change.map(Json)
    }

    /// Adds a person to a group, with everything the group may do.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn add_to_group(&self, Parameters(p): Parameters<AddToGroup>) -> Result<Json<Change>, String> {
        let change = self.0.act("add_to_group", &p.user, |state| {
            if !state.groups.contains(&p.group) {
                return Err(format!("no group `{}`", p.group));
            }
            let groups = &mut state.for_ticket(&p.user, &p.ticket)?.user.groups;
            let listed = |g: &BTreeSet<String>| g.iter().cloned().collect::<Vec<_>>().join(", ");
            let before = listed(groups);
            groups.insert(p.group.clone());
            Ok((before, listed(groups)))
        });
        change.map(Json)
    }
}
