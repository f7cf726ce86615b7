//! The doctor: is everything here as it must be, and if not, what to do. Every check says what it looked at.

use std::sync::Arc;
use std::time::Duration;

use remit_books::BooksError;
use remit_domain::agent::AgentState;
use remit_domain::finding::FindingKind;
use remit_domain::key::KeyUse;
use remit_domain::{OrgId, Role, Timestamp, Upstream};
use remit_ports::store::EntryFilter;
use remit_ports::upstreams::{UpstreamError, UpstreamRequest};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{Caller, Control, ControlError, credentials};

/// How long an upstream may take to list its tools.
const UPSTREAM_WAIT: Duration = Duration::from_secs(3);
/// How far the newest entry may lie ahead of this clock, in seconds.
const CLOCK_SKEW_SECS: i64 = 5;
/// Age above which a signing key should be rotated, in days.
const SIGNING_KEY_DAYS_MAX: i64 = 365;
const DAY: i64 = 86_400;
/// Most names in one line.
const NAMES_MAX: usize = 5;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What: `store`, `ledger`, `clock`, `signing-keys`, `policies`, `migrations`, `upstream NAME`, `findings`, `finding KIND`, `roles`, `agents`, `agent-keys`,
    /// `calls`, `containments`.
    pub name: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do; empty when nothing has to be done.
    pub fix: String,
}

/// Something else that the doctor looks at, which whoever put the server together knows of.
pub type Probe =
    Arc<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Check> + Send>> + Send + Sync>;

impl Check {
    /// What was looked at, whether it is as it must be, what was found, and what to do where it is not.
    pub fn new(name: &str, ok: bool, detail: impl Into<String>, fix: &str) -> Self {
        let fix = if ok { String::new() } else { fix.to_owned() };
        Self {
            name: name.to_owned(),
            ok,
            detail: detail.into(),
            fix,
        }
    }
}

impl Control {
    /// Looks at everything of an organization; for the operator, at what concerns the whole instance.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators, auditors and the operator. What is wrong is no error: it is in the checks.
    pub async fn doctor(&self, caller: &Caller) -> Result<Vec<Check>, ControlError> {
        let operator = caller.require_operator().is_ok();
        if !operator {
            caller.require(&[Role::Admin, Role::Auditor])?;
        }
        let org = &caller.org;
        let mut checks = vec![
            self.check_store().await,
            self.check_clock(org).await,
            self.check_ledger(org).await,
        ];
        for probe in self.probes.iter() {
            checks.push(probe().await);
        }
        if operator {
            return Ok(checks);
        }
        checks.push(self.check_signing_keys(org).await);
        checks.push(self.check_policies(org)?);
        checks.extend(self.check_upstreams(org).await?);
        checks.extend(self.check_findings(org).await);
        checks.push(self.check_roles(org)?);
        checks.extend(self.check_agents(org)?);
        checks.push(self.check_calls(org).await);
        checks.push(self.check_containments(org)?);
        Ok(checks)
    }

    async fn check_store(&self) -> Check {
        let fix = "look at the database and the disk it is on; nothing is decided until the store answers";
        match self.books.store().ping().await {
            Err(error) => Check::new("store", false, error.to_string(), fix),
            Ok(()) if !self.books.store().is_fresh() => Check::new(
                "store",
                false,
                "it answers, but changes of other nodes do not arrive",
                fix,
            ),
            Ok(()) => Check::new("store", true, "it answers", fix),
        }
    }

    async fn check_clock(&self, org: &OrgId) -> Check {
        let fix = "set this machine's clock by NTP; tokens and approvals depend on it";
        let filter = EntryFilter {
            limit: 1,
            descending: true,
            ..EntryFilter::default()
        };
        let newest = self
            .books
            .store()
            .entries(org, &filter)
            .await
            .unwrap_or_default()
            .into_iter()
            .next();
        let now = self.books.now();
        match newest {
            Some(entry) if entry.at > now.plus_secs(CLOCK_SKEW_SECS) => {
                let detail = format!(
                    "the newest entry is of {}, and this clock says {now}",
                    entry.at
                );
                Check::new("clock", false, detail, fix)
            }
            _ => Check::new(
                "clock",
                true,
                format!("it says {now}, and no entry is of later"),
                fix,
            ),
        }
    }

    async fn check_ledger(&self, org: &OrgId) -> Check {
        let fix = "run `remit audit verify`, keep a copy of the data directory, and compare with a checkpoint kept elsewhere";
        match self.books.checkpoint(org).await {
            Ok((size, _)) => Check::new(
                "ledger",
                true,
                format!("{size} entries are signed; the stored tree is the one that was signed"),
                fix,
            ),
            Err(error) => Check::new("ledger", false, error.to_string(), fix),
        }
    }

    async fn check_signing_keys(&self, org: &OrgId) -> Check {
        let fix = "rotate the signing keys; where they do not open, start with the master key they were sealed with";
        let mut lines = Vec::new();
        let mut ok = true;
        let wit = self.book(org).is_ok_and(|book| {
            let registry = book.registry();
            registry
                .organization
                .as_ref()
                .is_some_and(|o| o.wit_svids.on)
        });
        let all = [
            KeyUse::Issuer,
            KeyUse::X509Svid,
            KeyUse::JwtSvid,
            KeyUse::Ledger,
        ];
        for usage in all.into_iter().chain(wit.then_some(KeyUse::WitSvid)) {
            match self.books.signing_keys(org, usage).await {
                Ok(keys) => {
                    let newest = keys
                        .iter()
                        .filter(|(k, _)| k.retired.is_none())
                        .map(|(k, _)| k.created)
                        .max();
                    match newest {
                        Some(created) => {
                            let days = self.books.now().secs_since(created) / DAY;
                            ok &= days <= SIGNING_KEY_DAYS_MAX;
                            lines.push(format!("{} key is {days} days old", usage.as_str()));
                        }
                        None => {
                            lines.push(format!("{} key is made at its first use", usage.as_str()))
                        }
                    }
                }
                Err(error) => {
                    ok = false;
                    lines.push(format!("{} key: {error}", usage.as_str()));
                }
            }
        }
        Check::new("signing-keys", ok, lines.join("; "), fix)
    }

    fn check_policies(&self, org: &OrgId) -> Result<Check, ControlError> {
        let fix = "mend the policy sets; until they compile, every call is denied";
        Ok(match self.book(org)?.engine() {
            None => Check::new("policies", false, "they do not compile", fix),
            Some(engine) if !engine.warnings().is_empty() => {
                let odd: Vec<String> = engine
                    .warnings()
                    .iter()
                    .take(NAMES_MAX)
                    .map(ToString::to_string)
                    .collect();
                Check::new(
                    "policies",
                    true,
                    format!("they compile, with warnings: {}", odd.join("; ")),
                    fix,
                )
            }
            Some(engine) => Check::new(
                "policies",
                true,
                format!("they compile, version {}", short(engine.version())),
                fix,
            ),
        })
    }

    async fn check_upstreams(&self, org: &OrgId) -> Result<Vec<Check>, ControlError> {
        let mut upstreams: Vec<Arc<Upstream>> = self
            .book(org)?
            .registry()
            .upstreams
            .values()
            .filter(|u| u.enabled)
            .cloned()
            .collect();
        upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        let mut looking = tokio::task::JoinSet::new();
        for (at, upstream) in upstreams.into_iter().enumerate() {
            let (control, org) = (self.clone(), org.clone());
            looking.spawn(async move { (at, control.check_upstream(&org, upstream).await) });
        }
        let mut found = looking.join_all().await;
        found.sort_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, check)| check).collect())
    }

    async fn check_upstream(&self, org: &OrgId, upstream: Arc<Upstream>) -> Check {
        let name = format!("upstream {}", upstream.name);
        let fix =
            "look at the server, its address and its secret; `remit upstream sync` tells more";
        let lease = match self.lease(org, &upstream).await {
            Ok(lease) => lease,
            Err(error) => return Check::new(&name, false, error.to_string(), fix),
        };
        let request = UpstreamRequest {
            org: org.clone(),
            upstream,
            run: None,
            method: "tools/list".to_owned(),
            params: json!({}),
            input_schema: Value::Null,
            lease,
            cancel: CancellationToken::new(),
            notifications: None,
            questions: None,
            timeout: UPSTREAM_WAIT,
        };
        let answer = tokio::time::timeout(UPSTREAM_WAIT, self.upstreams.request(request)).await;
        match answer.unwrap_or_else(|_| {
            Err(UpstreamError::Ambiguous(
                "no answer within 3 seconds".to_owned(),
            ))
        }) {
            Ok(result) => {
                let tools = result
                    .get("tools")
                    .and_then(Value::as_array)
                    .map_or(0, Vec::len);
                Check::new(&name, true, format!("it lists {tools} tools"), fix)
            }
            Err(error) => Check::new(&name, false, error.to_string(), fix),
        }
    }

    /// Open findings, a line a kind: what it means, and what settles it.
    async fn check_findings(&self, org: &OrgId) -> Vec<Check> {
        let open = match self.open_findings(org).await {
            Ok(open) => open,
            Err(error) => {
                let fix = "look at the database; nothing is decided until the store answers";
                return vec![Check::new("findings", false, error.to_string(), fix)];
            }
        };
        let mut kinds = std::collections::BTreeMap::<FindingKind, u32>::new();
        for (kind, _) in open {
            *kinds.entry(kind).or_default() += 1;
        }
        if kinds.is_empty() {
            return vec![Check::new("findings", true, "none is open", "")];
        }
        let check = |(kind, n): (FindingKind, u32)| {
            let (means, fix) = explained(kind);
            let name = format!("finding {}", kind.as_str());
            Check::new(
                &name,
                false,
                format!("{n} open: {means}"),
                &format!("{fix}; `remit finding ls` names each"),
            )
        };
        kinds.into_iter().map(check).collect()
    }

    /// Who administers and audits: fine for the first administrator, who is alone.
    fn check_roles(&self, org: &OrgId) -> Result<Check, ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let active = || registry.people.values().filter(|p| p.is_active());
        let both = listed(
            active()
                .filter(|p| p.holds(Role::Admin) && p.holds(Role::Auditor))
                .map(|p| p.email.to_string()),
        );
        let others = active().any(|p| p.holds(Role::Auditor) && !p.holds(Role::Admin));
        let detail = match (both, others) {
            (None, _) => "nobody both administers and audits".to_owned(),
            (Some(who), false) => {
                format!("{who} administers and audits; name an auditor who does not administer")
            }
            (Some(who), true) => format!(
                "{who} administers and audits; others audit too, so the role can be taken from them"
            ),
        };
        Ok(Check::new("roles", true, detail, ""))
    }

    fn check_agents(&self, org: &OrgId) -> Result<[Check; 2], ControlError> {
        let book = self.book(org)?;
        let registry = book.registry();
        let now = self.books.now();
        let active = || {
            registry
                .agents
                .values()
                .filter(|a| a.state == AgentState::Active)
        };
        let overdue =
            |a: &&Arc<remit_domain::Agent>| a.profile.next_review.is_some_and(|due| due <= now);
        let alone = listed(
            active()
                .filter(|a| a.profile.deputy.is_none() && a.profile.deputy_team.is_none())
                .map(|a| a.name.to_string()),
        );
        let late = listed(active().filter(overdue).map(|a| a.name.to_string()));
        let mut lines = vec![format!("{} active", active().count())];
        lines.extend(
            alone
                .as_ref()
                .map(|names| format!("without a deputy: {names}")),
        );
        lines.extend(
            late.as_ref()
                .map(|names| format!("review overdue: {names}")),
        );
        let fix = "name a deputy for each, and do the reviews that are due";
        let agents = Check::new(
            "agents",
            alone.is_none() && late.is_none(),
            lines.join("; "),
            fix,
        );
        let rules = registry.organization.as_ref().map(|o| o.hygiene);
        let days = i64::from(rules.unwrap_or_default().rotate_days);
        let old = |created: Timestamp| now.secs_since(created) / DAY > days;
        let keys = || {
            let all = registry.keys.values();
            all.filter(|k| k.removed.is_none() && !k.is_withheld())
        };
        let aged = listed(
            keys()
                .filter(|k| old(k.created))
                .map(|k| short(&k.thumbprint).to_owned()),
        );
        let standing = credentials::standing(&registry, None, now)
            .iter()
            .filter(|s| s.kind == "grant")
            .count();
        let mut lines = vec![format!(
            "{} in use; access tokens live five minutes",
            keys().count()
        )];
        lines.extend(
            aged.as_ref()
                .map(|keys| format!("older than {days} days: {keys}")),
        );
        if standing > 0 {
            lines.push(format!("{standing} grants without an end"));
        }
        let fix = "rotate the old keys, and give every grant an end";
        let keys = Check::new(
            "agent-keys",
            aged.is_none() && standing == 0,
            lines.join("; "),
            fix,
        );
        Ok([agents, keys])
    }

    async fn check_calls(&self, org: &OrgId) -> Check {
        let fix = "find out at the upstream what became of them; each is a finding once it is reported as a gap";
        const LATE_SECS: i64 = 180;
        let open = self
            .books
            .store()
            .open_calls(org, 1_000)
            .await
            .map_err(BooksError::from);
        match open {
            Ok(open) => {
                let late = open
                    .iter()
                    .filter(|c| self.books.now().secs_since(c.at) >= LATE_SECS)
                    .count();
                let detail = format!(
                    "{} on their way, {late} of them without an outcome for too long",
                    open.len()
                );
                Check::new("calls", late == 0, detail, fix)
            }
            Err(error) => Check::new("calls", false, error.to_string(), fix),
        }
    }

    fn check_containments(&self, org: &OrgId) -> Result<Check, ControlError> {
        let fix = "look at the certificate of each with `remit contain certificate`, and at the upstream for what is not proved";
        let book = self.book(org)?;
        let registry = book.registry();
        let not_final = registry
            .containments
            .values()
            .filter(|c| !c.certificates.last().is_some_and(|c| c.is_final));
        let residual = listed(not_final.map(|c| c.id.to_string()));
        let detail = match &residual {
            None => format!(
                "{} stand, each with a final certificate",
                registry.containments.len()
            ),
            Some(ids) => format!("without a final certificate: {ids}"),
        };
        Ok(Check::new("containments", residual.is_none(), detail, fix))
    }
}

/// What a finding means, and what settles it.
fn explained(kind: FindingKind) -> (&'static str, &'static str) {
    use FindingKind as F;
    match kind {
        F::SelfActivated => (
            "an owner activated their own agent",
            "someone other than the owner looks at the agent, and closes it with `remit finding close`",
        ),
        F::Orphan => (
            "an agent whose owner or sponsor has left",
            "name another one with `remit agent transfer`, or retire the agent",
        ),
        F::StandingAccess => (
            "a grant or delegation without an end",
            "give it an expiry, or revoke it",
        ),
        F::SharedKey => (
            "one key was offered for several agents",
            "give each agent a key of its own, and ask who holds this one",
        ),
        F::CallAfterRunEnd => (
            "a call came in a run that had ended",
            "look whether the agent ignores its end, or somebody has its token: `remit run show`",
        ),
        F::ToolChanged => (
            "a tool is defined otherwise than was approved, and is refused",
            "read the difference with `remit tool show`, then approve or disable it",
        ),
        F::PolicyError => (
            "a policy failed while it was evaluated, and the call was denied",
            "read `remit decision why` of the call, and mend the policy",
        ),
        F::UnreportedOutcome => (
            "a call was sent, and nobody knows what became of it",
            "look up its effect at the upstream, then close it",
        ),
        F::Stale => (
            "something has not been used for long",
            "ask its sponsor whether it is needed, and retire it if not",
        ),
        _ => explained_hygiene(kind),
    }
}

/// The same of what hygiene finds.
fn explained_hygiene(kind: FindingKind) -> (&'static str, &'static str) {
    use FindingKind as F;
    match kind {
        F::RotationDue => (
            "a key or token that is to be replaced now",
            "replace it with `remit credential rotate`",
        ),
        F::RotationOverdue => (
            "a key or token that was to be replaced long ago",
            "replace it with `remit credential rotate`, or revoke it",
        ),
        F::LongLived => (
            "a token that lives longer than the organization wants",
            "make a shorter one, and revoke this with `remit credential revoke`",
        ),
        F::UnusedCredential => (
            "a key or token that nobody uses",
            "revoke it with `remit credential revoke` if nothing needs it",
        ),
        F::OverScoped => (
            "a grant that its workflow does not use",
            "take it back: `remit policy suggest` writes the narrower workflow",
        ),
        F::PersonTokenAtAgent => (
            "a person's own token was presented where agents come with theirs",
            "revoke the token with `remit credential revoke`, and give the agent a key of its own",
        ),
        F::SignalUndelivered => (
            "a receiver of signals does not take what it is told",
            "ask whoever runs it; `remit signal dead` lists what was given up, and `remit signal retry` tells it again",
        ),
        F::StandingAdmin => (
            "an administrator who keeps a token, or does not use the role",
            "take the role back where it is not needed, and revoke the token",
        ),
        F::OutsideCredential => (
            "what was contained could reach a credential that Remit did not issue",
            "replace it where it may have got out, then close this",
        ),
        F::CanarySeen => (
            "a canary showed up: a value that nobody has a use for",
            "find out how it got there: `remit run show` tells what the agent read before",
        ),
        _ => (
            kind.as_str(),
            "look at it, do what it says, and close it with `remit finding close`",
        ),
    }
}

/// Names in one line, at most five; none for none.
fn listed(names: impl Iterator<Item = String>) -> Option<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let line = names.join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(line),
        (false, more) => Some(format!("{line} and {more} more")),
    }
}

/// The first twelve characters of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
