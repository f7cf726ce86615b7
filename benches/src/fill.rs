//! A house as large as one gets, put into its database while no server runs: through the books and the store as the server does,
//! in big batches. By REST it would take hours.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use remit_books::{Books, OrgBook, Parts};
use remit_domain::event::{Event, EventKind};
use remit_domain::{Agent, AgentId, DecisionId, Principal, Timestamp};
use remit_outbound::{FileVault, SystemClock, SystemEntropy};
use remit_ports::store::{Commit, Expect, Put};
use remit_ports::{Clock, Store};
use remit_store_sqlite::SqliteStore;

/// Records and entries in one commit.
const BATCH: usize = 2_000;
/// How far back the entries begin, in seconds: what is counted on the first page.
const BACK: i64 = 29 * 86_400;
/// Agents that the entries are of: as in any fleet, few make most of the calls.
const BUSY: usize = 200;

/// Fills the organization `default` at `data`, where the agent `bench-0` is.
///
/// - `host`: where it is served, which its ledgers are named after.
/// - `agents`: how many there are in the end, about.
/// - `entries`: how many calls' entries are added: a decision and an outcome each.
pub(crate) async fn fill(
    data: &Path,
    host: &str,
    agents: usize,
    entries: usize,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Arc::new(SqliteStore::open(data, Arc::clone(&clock))?);
    let parts = Parts {
        store: Arc::clone(&store) as _,
        clock,
        entropy: Arc::new(SystemEntropy),
        vault: Arc::new(FileVault::open(&data.join("master.key"), false)?),
        origin: format!("{host}/log"),
        node: "node-bench".to_owned(),
    };
    let books = Books::open(parts).await?;
    let book = books.org_named("default").context("no organization")?;
    let busy = register(&books, &book, agents).await?;
    decide(&books, &book, &busy, entries).await?;
    // The tree over the entries is the server's to make as they come; here they came at once.
    books.checkpoint(&book.id).await?;
    store.close().await;
    Ok(())
}

fn commit(book: &OrgBook, at: Timestamp) -> Commit {
    Commit {
        org: book.id.clone(),
        at,
        puts: Vec::new(),
        entries: Vec::new(),
        blobs: Vec::new(),
        once: Vec::new(),
        raise_epoch: false,
        lower: None,
        at_epoch: None,
    }
}

/// Registers copies of the first agent, and names some of them.
async fn register(books: &Books, book: &OrgBook, agents: usize) -> anyhow::Result<Vec<AgentId>> {
    // The first few were registered over REST.
    let (first, all): (Agent, Vec<usize>) = {
        let registry = book.registry();
        let first = registry.agent_named("bench-0").context("no bench-0")?;
        let is_new = |n: &usize| registry.agent_named(&format!("bench-{n}")).is_none();
        (Agent::clone(first), (0..agents).filter(is_new).collect())
    };
    let by = Principal::Person(first.registered_by.clone());
    let mut busy = vec![first.id.clone()];
    for part in all.chunks(BATCH) {
        let mut commit = commit(book, books.now());
        for n in part {
            let agent = Agent {
                id: books.id(AgentId::from_uuid),
                name: format!("bench-{n}").parse()?,
                state: remit_domain::agent::AgentState::Draft,
                ..first.clone()
            };
            let event = Event::new(EventKind::AgentRegistered, commit.at, by.clone())
                .about(&agent.id)
                .agent(&agent.id)
                .content("name", &agent.name);
            commit.entries.push(books.seal(&book.id, &event).await?);
            commit.puts.push(Put::new(&agent, Expect::Absent));
            if busy.len() < BUSY {
                busy.push(agent.id);
            }
        }
        books.store().commit(commit).await?;
    }
    Ok(busy)
}

/// Calls, spread evenly over the last days: most are allowed.
async fn decide(
    books: &Books,
    book: &OrgBook,
    busy: &[AgentId],
    entries: usize,
) -> anyhow::Result<()> {
    let from = books.now().plus_secs(-BACK);
    let all: Vec<usize> = (0..entries / 2).collect();
    let step = BACK * 1_000_000 / i64::try_from(all.len().max(1))?;
    for part in all.chunks(BATCH / 2) {
        let first = part.first().copied().unwrap_or(0);
        let mut commit = commit(book, from);
        for n in part {
            let at = Timestamp::from_micros(from.as_micros() + step * i64::try_from(*n)?);
            let agent = busy.get(n % busy.len().max(1)).context("nobody is busy")?;
            let by = Principal::Agent(agent.clone());
            let decision = books.id(DecisionId::from_uuid);
            let outcome = match n % 50 {
                0 => "deny",
                1 => "ask",
                _ => "allow",
            };
            let decided = Event::new(EventKind::CallDecided, at, by.clone())
                .agent(agent)
                .decision(&decision)
                .fact("outcome", outcome)
                .fact("consent", "not_needed")
                .fact("tool", "bench/echo")
                .content("args", serde_json::json!({ "text": "a line", "amount": n }));
            let completed = Event::new(EventKind::CallCompleted, at, by)
                .agent(agent)
                .decision(&decision)
                .fact("result", "succeeded");
            commit.entries.push(books.seal(&book.id, &decided).await?);
            commit.entries.push(books.seal(&book.id, &completed).await?);
        }
        commit.at = Timestamp::from_micros(from.as_micros() + step * i64::try_from(first)?);
        books.store().commit(commit).await?;
    }
    Ok(())
}
