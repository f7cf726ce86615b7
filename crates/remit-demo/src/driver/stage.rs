//! Where the use-cases play: people, agents at work, calls that are counted, and expectations that are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::report::{Counts, Expectation, Report};
use super::say::Say;
use super::{DemoContext, proof};
use crate::client::{Mcp, OAuth, Outcome, Rest, Verdict, text_of};
use crate::seed::Ready;
use crate::upstreams::{EFFECTS_LOG, EffectsLog};

/// Longest that people's delegations of the demo last, in seconds.
const DELEGATION_SECS: i64 = 900;

/// The stage.
pub(super) struct Stage {
    pub(super) ready: Ready,
    pub(super) remit: PathBuf,
    pub(super) say: Say,
    open: Rest,
    part: String,
    counts: Counts,
    expectations: Vec<Expectation>,
    use_cases: u32,
    /// Decisions to prove offline, each with what its entry has to say.
    pub(super) to_prove: Vec<proof::ToProve>,
    /// The agent that is contained at the end, still at work.
    pub(super) rogue: Option<Work>,
    pub(super) ledger_verified: bool,
    pub(super) residual: Option<u64>,
    /// The ledger's key and checkpoint as they were before, kept elsewhere.
    pub(super) kept: Option<proof::Kept>,
    /// Facts that the commands are asked about.
    pub(super) facts: BTreeMap<&'static str, String>,
}

/// An agent at work in a run.
pub(super) struct Work {
    pub(super) agent: &'static str,
    pub(super) person: String,
    pub(super) run: String,
    pub(super) token: String,
    pub(super) mcp: Mcp,
    purpose: String,
}

/// A tool as `upstream/tool`, and its arguments.
pub(super) type Call<'a> = (&'a str, Value);

/// Who delegates what to whom, and what for.
pub(super) struct Task<'a> {
    pub(super) person: &'a str,
    pub(super) agent: &'static str,
    pub(super) workflow: &'a str,
    pub(super) ticket: &'a str,
    pub(super) purpose: &'a str,
    /// What the intent bounds, as an authority.
    pub(super) bounds: Value,
}

impl Task<'_> {
    fn intent(&self) -> Value {
        json!({ "purpose": self.purpose, "ticket": self.ticket, "authority": self.bounds })
    }
}

impl Stage {
    pub(super) fn new(context: &DemoContext, say: Say) -> Result<Self> {
        Ok(Self {
            open: Rest::anonymous(&context.ready.base_url)?,
            ready: context.ready.clone(),
            remit: context.remit.clone(),
            say,
            part: String::new(),
            counts: Counts::default(),
            expectations: Vec::new(),
            use_cases: 0,
            to_prove: Vec::new(),
            rogue: None,
            ledger_verified: false,
            residual: None,
            kept: None,
            facts: BTreeMap::new(),
        })
    }

    /// A use-case begins.
    pub(super) fn use_case(&mut self, name: &str) {
        self.use_cases += 1;
        self.begin(&format!("{}. {name}", self.use_cases));
    }

    /// A part begins.
    pub(super) fn begin(&mut self, part: &str) {
        self.part = part.to_owned();
        self.say.heading(part);
    }

    /// REST as an administrator.
    pub(super) fn admin(&self) -> Rest {
        self.open.with(&self.ready.admin_token)
    }

    /// REST as a person.
    pub(super) fn person(&self, email: &str) -> Result<Rest> {
        Ok(self.open.with(self.token_of(email)?))
    }

    /// A person's token.
    pub(super) fn token_of(&self, email: &str) -> Result<&str> {
        let person = self
            .ready
            .people
            .get(email)
            .with_context(|| format!("`{email}` is not in the demo data"))?;
        Ok(&person.token)
    }

    /// REST with an agent's access token.
    pub(super) fn as_agent(&self, token: &str) -> Rest {
        self.open.with(token)
    }

    /// The token endpoint as an agent.
    pub(super) fn agent(&self, name: &str) -> Result<OAuth> {
        let agent = self
            .ready
            .agents
            .get(name)
            .with_context(|| format!("`{name}` is not in the demo data"))?;
        OAuth::new(
            &self.ready.base_url,
            &agent.client_id,
            Path::new(&agent.key_file),
        )
    }

    /// A person delegates and opens a run with its intent; the agent exchanges the person's word with its own key.
    pub(super) async fn interactive(&mut self, task: Task<'_>) -> Result<Work> {
        self.interactive_deep(task, 1).await
    }

    /// The same, where the agent may hand it on over so many hops.
    pub(super) async fn interactive_deep(&mut self, task: Task<'_>, depth: u8) -> Result<Work> {
        let person = self.person(task.person)?;
        let delegation = json!({
            "agent": task.agent, "workflow": task.workflow, "kind": "interactive", "for_secs": DELEGATION_SECS,
            "ticket": task.ticket, "depth": depth,
        });
        let delegation = text_of(&person.post("/delegations", &delegation).await?, "/id");
        let run = json!({
            "workflow": format!("{}/{}", task.agent, task.workflow), "mode": "interactive", "delegation": delegation,
            "intent": task.intent(), "provenance": provenance(),
        });
        let run = text_of(&person.post("/runs", &run).await?, "/id");
        let assertion = person
            .post(&format!("/delegations/{delegation}/assertion"), &json!({}))
            .await?;
        let scope = format!("workflow:{} run:{run}", task.workflow);
        let token = self
            .agent(task.agent)?
            .exchange(&text_of(&assertion, "/subject_token"), &scope)
            .await??;
        self.say.quote(&format!(
            "{} delegates to {}, in run {run}: {}",
            task.person, task.agent, task.purpose
        ));
        self.at_work(task.agent, task.person, run, token, task.purpose)
            .await
    }

    /// An event starts the agent, which rests on its sponsor's standing delegation.
    pub(super) async fn background(&mut self, task: Task<'_>, trigger: &str) -> Result<Work> {
        let standing = json!({ "agent": task.agent, "workflow": task.workflow, "kind": "standing", "for_secs": DELEGATION_SECS });
        self.person(task.person)?
            .post("/delegations", &standing)
            .await?;
        let agent = self.agent(task.agent)?;
        let first = agent
            .own_token(&format!("workflow:{}", task.workflow))
            .await??;
        let run = json!({
            "workflow": task.workflow, "mode": "background", "trigger": trigger, "intent": task.intent(), "provenance": provenance(),
        });
        let run = text_of(&self.as_agent(&first).post("/runs", &run).await?, "/id");
        let token = agent
            .own_token(&format!("workflow:{} run:{run}", task.workflow))
            .await??;
        self.say.quote(&format!(
            "{trigger} starts {} for {}, in run {run}: {}",
            task.agent, task.person, task.purpose
        ));
        self.at_work(task.agent, task.person, run, token, task.purpose)
            .await
    }

    /// An agent with a token in a run.
    pub(super) async fn at_work(
        &mut self,
        agent: &'static str,
        person: &str,
        run: String,
        token: String,
        purpose: &str,
    ) -> Result<Work> {
        let mcp = Mcp::connect(&self.ready.base_url, &token).await?;
        Ok(Work {
            agent,
            person: person.to_owned(),
            run,
            token,
            mcp,
            purpose: purpose.to_owned(),
        })
    }

    /// Makes a call, and counts how it was decided.
    pub(super) async fn call(&mut self, work: &Work, tool: &str, args: &Value) -> Result<Outcome> {
        let outcome = work
            .mcp
            .call(tool, args)
            .await
            .with_context(|| format!("{} calls {tool}", work.agent))?;
        match outcome.verdict {
            Verdict::Allowed => self.counts.allowed += 1,
            Verdict::Asked => self.counts.asked += 1,
            Verdict::Denied => self.counts.denied += 1,
        }
        Ok(outcome)
    }

    /// A request that is no call was refused.
    pub(super) fn refused(&mut self) {
        self.counts.denied += 1;
    }

    /// The call has to run.
    pub(super) async fn allowed(
        &mut self,
        work: &Work,
        what: &str,
        (tool, args): Call<'_>,
    ) -> Result<Value> {
        let outcome = self.call(work, tool, &args).await?;
        self.decided(what, Verdict::Allowed, &outcome);
        Ok(outcome.value)
    }

    /// The call has to wait for a person; gives the approval's id, empty when it did not.
    async fn asked(&mut self, work: &Work, what: &str, (tool, args): Call<'_>) -> Result<String> {
        let outcome = self.call(work, tool, &args).await?;
        self.decided(what, Verdict::Asked, &outcome);
        Ok(outcome.approval().unwrap_or_default().to_owned())
    }

    /// The call waits for a person, then passes once, then waits again; gives the id of what waits now.
    pub(super) async fn once(
        &mut self,
        work: &Work,
        what: &str,
        (tool, args): Call<'_>,
        approver: &str,
    ) -> Result<String> {
        let approval = self.asked(work, what, (tool, args.clone())).await?;
        self.may_not_approve(&work.person, &approval).await?;
        self.approve(approver, &approval).await?;
        self.allowed(work, "the same call passes", (tool, args.clone()))
            .await?;
        self.asked(work, "the same call once more waits again", (tool, args))
            .await
    }

    /// The call has to be refused for `policy`, and its entry has to say who, via what and why.
    pub(super) async fn denied(
        &mut self,
        work: &Work,
        what: &str,
        (tool, args): Call<'_>,
        policy: &str,
    ) -> Result<()> {
        let outcome = self.call(work, tool, &args).await?;
        self.decided(what, Verdict::Denied, &outcome);
        self.say.quote(&outcome.text);
        let Some(decision) = outcome.decision else {
            self.expect(
                &format!("{what}: it is a recorded decision"),
                "a decision",
                "none",
            );
            return Ok(());
        };
        let why = self
            .person(super::proof::AUDITOR)?
            .get(&format!("/decisions/{decision}/why"))
            .await?;
        let policies: Vec<String> = why
            .get("policies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|note| text_of(note, "/id"))
            .collect();
        let held = policies.iter().any(|id| id == policy);
        let expected = format!("decided by {policy}");
        self.expect_that(
            &format!("{what}, because"),
            held,
            &expected,
            &format!("decided by {}", policies.join(", ")),
        );
        self.to_prove.push(proof::ToProve {
            what: what.to_owned(),
            decision,
            agent: work.agent.to_owned(),
            person: work.person.clone(),
            purpose: work.purpose.clone(),
        });
        Ok(())
    }

    /// The call has to wait because of `policy`, and what the run has touched has to be told with it; an approver says no,
    /// and it is refused.
    pub(super) async fn stopped(
        &mut self,
        work: &Work,
        what: &str,
        (tool, args): Call<'_>,
        approver: &str,
        policy: &str,
    ) -> Result<()> {
        let outcome = self.call(work, tool, &args).await?;
        self.decided(what, Verdict::Asked, &outcome);
        self.say.quote(&outcome.text);
        let decision = outcome.decision.clone().unwrap_or_default();
        let why = self
            .person(super::proof::AUDITOR)?
            .get(&format!("/decisions/{decision}/why"))
            .await?;
        let listed = |name: &str| why.get(name).and_then(Value::as_array).cloned();
        let policies = listed("policies").unwrap_or_default();
        let held = policies.iter().any(|p| text_of(p, "/id") == policy);
        let words = ["told", "not told"];
        self.holds(&format!("{policy} is among what stops it"), held, words);
        let labels = listed("labels").unwrap_or_default();
        for label in &labels {
            let (label, by) = (text_of(label, "/label"), text_of(label, "/tool"));
            self.say.quote(&format!("touched {label}, by {by}"));
        }
        let told = !labels.is_empty() && labels.iter().all(|l| !text_of(l, "/tool").is_empty());
        self.holds("each label names the call that raised it", told, words);
        let approval = outcome.approval().unwrap_or_default().to_owned();
        let body = json!({ "reason": "nobody asked us to mail this" });
        let answer = self
            .person(approver)?
            .try_post(&format!("/approvals/{approval}/deny"), &body)
            .await?;
        let got = answer.map_or_else(|p| p.to_string(), |view| text_of(&view, "/state"));
        self.expect(
            &format!("{approver} looks at it, and says no"),
            "denied",
            &got,
        );
        let again = self.call(work, tool, &args).await?;
        self.decided("the same call is refused", Verdict::Denied, &again);
        Ok(())
    }

    fn decided(&mut self, what: &str, expected: Verdict, outcome: &Outcome) {
        let got = outcome.verdict.as_str();
        let told = if outcome.verdict == expected {
            got.to_owned()
        } else {
            format!("{got}: {}", outcome.text)
        };
        self.expect_that(what, outcome.verdict == expected, expected.as_str(), &told);
    }

    /// A person approves through REST.
    async fn approve(&mut self, email: &str, approval: &str) -> Result<()> {
        let body = json!({ "reason": "looked at, and right" });
        let answer = self
            .person(email)?
            .try_post(&format!("/approvals/{approval}/approve"), &body)
            .await?;
        let got = answer.map_or_else(|p| p.to_string(), |view| text_of(&view, "/state"));
        self.expect(
            &format!("{email} approves exactly this call"),
            "approved",
            &got,
        );
        Ok(())
    }

    /// A person who may not approve tries.
    async fn may_not_approve(&mut self, email: &str, approval: &str) -> Result<()> {
        let answer = self
            .person(email)?
            .try_post(&format!("/approvals/{approval}/approve"), &json!({}))
            .await?;
        let got = answer.map_or_else(|p| p.code, |view| text_of(&view, "/state"));
        self.expect(
            &format!("{email}, for whom it is done, may not approve it"),
            "forbidden",
            &got,
        );
        Ok(())
    }

    /// What really happened at an upstream.
    pub(super) async fn effects(&mut self, work: &Work, upstream: &str) -> Result<EffectsLog> {
        let outcome = self
            .call(work, &format!("{upstream}/{EFFECTS_LOG}"), &json!({}))
            .await?;
        serde_json::from_value(outcome.value).with_context(|| {
            format!(
                "the account of `{upstream}` cannot be read: {}",
                outcome.text
            )
        })
    }

    /// `got` has to be `expected`.
    pub(super) fn expect(&mut self, name: &str, expected: &str, got: &str) {
        self.expect_that(name, expected == got, expected, got);
    }

    /// Something has to have happened so often.
    pub(super) fn times<N: TryInto<u64>>(&mut self, name: &str, expected: u64, got: N) {
        let words = |n: u64| {
            if n == 1 {
                "1 time".to_owned()
            } else {
                format!("{n} times")
            }
        };
        let got = got
            .try_into()
            .map_or_else(|_| "too many times".to_owned(), words);
        self.expect(name, &words(expected), &got);
    }

    /// Something has to hold; told in one word or the other.
    pub(super) fn holds(&mut self, name: &str, ok: bool, [yes, no]: [&str; 2]) {
        self.expect_that(name, ok, yes, if ok { yes } else { no });
    }

    /// Something has to hold.
    pub(super) fn expect_that(&mut self, name: &str, ok: bool, expected: &str, got: &str) {
        let told = if ok {
            format!("{name}: {got}")
        } else {
            format!("{name}: {got} (expected {expected})")
        };
        self.say.held(ok, &told);
        let (name, expected, got) = (name.to_owned(), expected.to_owned(), got.to_owned());
        self.expectations.push(Expectation {
            part: self.part.clone(),
            name,
            expected,
            got,
            ok,
        });
    }

    /// The report, and its last line told.
    pub(super) fn finish(self) -> Report {
        let mut report = Report {
            use_cases: self.use_cases,
            counts: self.counts,
            expectations: self.expectations,
            ledger_verified: self.ledger_verified,
            residual: self.residual,
            closing: String::new(),
        };
        report.closing = report.line();
        let wrong = report.expectations.iter().filter(|e| !e.ok).count();
        self.say.line("");
        if wrong > 0 {
            self.say.line(&format!(
                "{wrong} of {} expectations did not hold.",
                report.expectations.len()
            ));
        }
        self.say.line(&report.closing);
        report
    }
}

fn provenance() -> Value {
    json!({ "model": "demo-model-1", "prompt": "demo-2026-11", "configuration": "examples/demo" })
}
