//! Every client command there is, and what runs it.

use std::process::ExitCode;

use clap::Subcommand;

use crate::connection::{Noun, Verb};
use crate::exit::{Done, OK, code_of};
use crate::{
    access, agent, api, approval, audit, completion, connect, containment, credential, decision,
    delegation, explain, finding, key, login, mcp, organization, person, plan, policy, print, tool,
    upstream, workflow,
};

/// A client command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a server with an enrolment link
    Login(Verb<login::Login>),
    /// Sign out: the token is revoked and forgotten
    Logout(Verb<login::Logout>),
    /// Say who you are signed in as
    Whoami(Verb<login::Whoami>),
    /// Servers you are signed in to
    Context(Noun<login::ContextCommand>),
    /// Your own tokens
    Token(Noun<login::TokenCommand>),
    /// Sessions with browsers
    Session(Noun<crate::session::SessionCommand>),
    /// Passkeys
    Passkey(Noun<crate::session::PasskeyCommand>),
    /// The company's OpenID provider
    Idp(Noun<crate::idp::IdpCommand>),
    /// Directories that tell who is here, over SCIM
    Scim(Noun<crate::scim::ScimCommand>),
    /// Signals to and from others: who hears what happens here, and who is heard (shared signals)
    Signal(Noun<crate::signal::SignalCommand>),
    /// Organizations
    Organization(Noun<organization::OrganizationCommand>),
    /// People
    Person(Noun<person::PersonCommand>),
    /// Teams
    Team(Noun<person::TeamCommand>),
    /// Systems that upstreams belong to
    System(Noun<person::SystemCommand>),
    /// Agents: which exist, who owns them, and why
    Agent(Noun<agent::AgentCommand>),
    /// Workflows and their grants
    Workflow(Noun<workflow::WorkflowCommand>),
    /// What an agent can really reach
    Access(Noun<access::AccessCommand>),
    /// Servers that tools come from
    Upstream(Noun<upstream::UpstreamCommand>),
    /// Secrets of upstreams, in the vault
    Secret(Noun<crate::secret::SecretCommand>),
    /// Tokens that upstreams' own authorization servers gave for runs
    Lease(Noun<crate::lease::LeaseCommand>),
    /// Tools, classified and approved
    Tool(Noun<tool::ToolCommand>),
    /// Policies, and what they would decide
    Policy(Noun<policy::PolicyCommand>),
    /// Labels that people take back from runs
    Declassification(Noun<crate::declassification::DeclassificationCommand>),
    /// Exceptions from single policies, for a while
    Exception(Noun<crate::exception::ExceptionCommand>),
    /// Settings: what the organization makes of calls, level by level
    Setting(Noun<crate::setting::SettingCommand>),
    /// Limits: how much may be done in a time, and how much has been
    Limit(Noun<crate::limit::LimitCommand>),
    /// Change freezes and time windows
    Freeze(Noun<crate::freeze::FreezeCommand>),
    /// Gateways of your own that ask Remit for decisions
    EnforcementPoint(Noun<crate::enforcement_point::EnforcementPointCommand>),
    /// Other issuers, whose tokens make a workload an agent
    TrustedIssuer(Noun<crate::trusted_issuer::TrustedIssuerCommand>),
    /// Authorization servers of others, to which agents may assert for whom they act
    AuthorizationServer(Noun<crate::authorization_server::AuthorizationServerCommand>),
    /// What other systems say of tickets
    Ticket(Noun<crate::ticket::TicketCommand>),
    /// The circuit breaker for agents that loop
    Breaker(Noun<crate::breaker::BreakerCommand>),
    /// Show what applying documents would change; exits with 2 when anything would
    Plan(Verb<plan::Plan>),
    /// Apply documents
    Apply(Verb<plan::Apply>),
    /// Show the fields of a kind of document
    Explain(Verb<explain::Explain>),
    /// Credentials that agents hold
    Credential(Noun<credential::CredentialCommand>),
    /// Keys that sign access tokens and SVIDs
    Key(Noun<key::KeyCommand>),
    /// Delegations: which person stands behind which agent
    Delegation(Noun<delegation::DelegationCommand>),
    /// Runs: what agents did
    Run(Noun<crate::run::RunCommand>),
    /// Approvals: what waits for a person
    Approval(Noun<approval::ApprovalCommand>),
    /// Decisions, and why
    Decision(Noun<decision::DecisionCommand>),
    /// Stop everything derived from an agent, workflow, run or credential
    Contain(Noun<containment::ContainCommand>),
    /// Containments and their certificates
    Containment(Noun<containment::ContainmentCommand>),
    /// Findings: what somebody should look at
    Finding(Noun<finding::FindingCommand>),
    /// The ledger: search, verify, copy, prove
    Audit(Noun<audit::AuditCommand>),
    /// Look whether everything is as it must be; exits with 1 when not
    Doctor(Verb<finding::Doctor>),
    /// MCP for clients that only speak stdio
    Mcp(Noun<mcp::McpCommand>),
    /// Serve the SPIFFE Workload API on a Unix socket, for workloads of one agent that are attested
    WorkloadApi(Box<Verb<crate::workload_api::WorkloadApi>>),
    /// Connect an agent's client: claude-code, cursor or vscode
    Connect(Verb<connect::Connect>),
    /// Send any request of the REST interface
    Api(Verb<api::Api>),
    /// Print a completion script for a shell
    Completion(completion::Completion),
}

/// Runs a client command and gives the exit code of the process.
///
/// Exit codes: 0 ok, 1 error, 2 changes present, 3 denied, 4 waiting for approval, 5 verification failed, 64 usage.
pub async fn run(command: Command) -> ExitCode {
    run_with(command, None).await
}

/// The same; `root` is the whole command line of the binary, for completion scripts that know all of it.
pub async fn run_with(command: Command, root: Option<clap::Command>) -> ExitCode {
    ExitCode::from(match done(command, root).await {
        Ok(code) => code,
        Err(error) => {
            print::print_error(&error);
            code_of(&error)
        }
    })
}

async fn done(command: Command, root: Option<clap::Command>) -> Done {
    match command {
        Command::Login(c) => login::login(&c.connection, c.args).await,
        Command::Logout(c) => login::logout(&c.connection, c.args).await,
        Command::Whoami(c) => login::whoami(&c.connection).await,
        Command::Context(c) => login::contexts(&c.connection, c.command),
        Command::Token(c) => login::tokens(&c.connection, c.command).await,
        Command::Session(c) => crate::session::run(&c.connection, c.command).await,
        Command::Passkey(c) => crate::session::passkeys(&c.connection, c.command).await,
        Command::Idp(c) => crate::idp::run(&c.connection, c.command).await,
        Command::Scim(c) => crate::scim::run(&c.connection, c.command).await,
        Command::Signal(c) => crate::signal::run(&c.connection, c.command).await,
        Command::Organization(c) => organization::run(&c.connection, c.command).await,
        Command::Person(c) => person::run(&c.connection, c.command).await,
        Command::Team(c) => person::teams(&c.connection, c.command).await,
        Command::System(c) => person::systems(&c.connection, c.command).await,
        Command::Agent(c) => agent::run(&c.connection, c.command).await,
        Command::Workflow(c) => workflow::run(&c.connection, c.command).await,
        Command::Access(c) => access::run(&c.connection, c.command).await,
        Command::Upstream(c) => upstream::run(&c.connection, c.command).await,
        Command::Secret(c) => crate::secret::run(&c.connection, c.command).await,
        Command::Lease(c) => crate::lease::run(&c.connection, c.command).await,
        Command::Tool(c) => tool::run(&c.connection, c.command).await,
        Command::Policy(c) => policy::run(&c.connection, c.command).await,
        Command::Declassification(c) => {
            crate::declassification::run(&c.connection, c.command).await
        }
        Command::Exception(c) => crate::exception::run(&c.connection, c.command).await,
        Command::Setting(c) => crate::setting::run(&c.connection, c.command).await,
        Command::Limit(c) => crate::limit::run(&c.connection, c.command).await,
        Command::Freeze(c) => crate::freeze::run(&c.connection, c.command).await,
        Command::EnforcementPoint(c) => {
            crate::enforcement_point::run(&c.connection, c.command).await
        }
        Command::AuthorizationServer(c) => {
            crate::authorization_server::run(&c.connection, c.command).await
        }
        Command::TrustedIssuer(c) => crate::trusted_issuer::run(&c.connection, c.command).await,
        Command::Ticket(c) => crate::ticket::run(&c.connection, c.command).await,
        Command::Breaker(c) => crate::breaker::run(&c.connection, c.command).await,
        Command::Plan(c) => plan::plan(&c.connection, c.args).await,
        Command::Apply(c) => plan::apply(&c.connection, c.args).await,
        Command::Explain(c) => explain::run(&c.connection, c.args).await,
        Command::Credential(c) => credential::run(&c.connection, c.command).await,
        Command::Key(c) => key::run(&c.connection, c.command).await,
        Command::Delegation(c) => delegation::run(&c.connection, c.command).await,
        Command::Run(c) => crate::run::run(&c.connection, c.command).await,
        Command::Approval(c) => approval::run(&c.connection, c.command).await,
        Command::Decision(c) => decision::run(&c.connection, c.command).await,
        Command::Contain(c) => containment::contain(&c.connection, c.command).await,
        Command::Containment(c) => containment::run(&c.connection, c.command).await,
        Command::Finding(c) => finding::run(&c.connection, c.command).await,
        Command::Audit(c) => audit::run(&c.connection, c.command).await,
        Command::Doctor(c) => finding::doctor(&c.connection).await,
        Command::Mcp(c) => mcp::run(&c.connection, c.command).await,
        Command::WorkloadApi(c) => crate::workload_api::run(&c.connection, c.args).await,
        Command::Connect(c) => connect::run(&c.connection, c.args).await,
        Command::Api(c) => api::run(&c.connection, c.args).await,
        Command::Completion(args) => {
            completion::run(&args, root);
            Ok(OK)
        }
    }
}

#[cfg(test)]
mod tests;
