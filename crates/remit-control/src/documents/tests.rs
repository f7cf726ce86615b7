use super::*;

const AGENT: &str = "apiVersion: remit.dev/v1
kind: Agent
metadata:
  name: returns-bot
spec:
  owner: owner@acme.example
  sponsor: sponsor@acme.example
  environment: production
  tier: 3
";

const WORKFLOW: &str = "apiVersion: remit.dev/v1
kind: Workflow
metadata: { name: refund, agent: returns-bot }
spec:
  grants:
    - tool: orders/refund
      bounds:
        order: [{ one_of: [A-118, A-119] }]
        amount: [{ decimal: { min: 0.01, max: 500 } }]
        path: [{ prefix: { prefix: /data, separator: / } }]
      limits:
        - count: { max: 3, per: run }
        - sum: { arg: amount, max: 1000, per: day, by: customer }
      expires: 2027-02-01T00:00:00Z
";

fn first(text: &str) -> DocumentProblem {
    read(text).unwrap_err().remove(0)
}

#[test]
fn documents_of_every_shape_are_read() {
    let upstream = "apiVersion: remit.dev/v1
kind: Upstream
metadata: { name: orders }
spec:
  system: shop
  transport: { type: http, url: \"https://orders.example/mcp\" }
  secret: { bearer: { env: REMIT_SECRET_ORDERS } }
";
    let documents = read(&format!("{AGENT}---\n{WORKFLOW}---\n{upstream}")).unwrap();
    let names: Vec<_> = documents
        .iter()
        .map(|d| (d.spec.kind(), d.spec.name(), d.at.0))
        .collect();
    assert_eq!(names[0], (DocumentKind::Agent, "returns-bot".to_owned(), 1));
    assert_eq!(names[1].1, "returns-bot/refund");
    assert_eq!(names[2].1, "orders");
    let AnySpec::Workflow(_, spec) = &documents[1].spec else {
        panic!("a workflow")
    };
    assert_eq!(spec.grants[0].bounds.0.len(), 3);
    assert_eq!(spec.grants[0].limits.len(), 2);
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let problem = first(&AGENT.replace("  tier: 3", "  teir: 3"));
    assert_eq!((problem.line, problem.column), (9, 3));
    assert!(problem.message.contains("teir"), "{problem}");
    let problem = first(&WORKFLOW.replace("expires:", "expire:"));
    assert_eq!(problem.line, 14, "{problem}");
    let problem = first(&AGENT.replace("kind:", "knid:"));
    assert_eq!(problem.line, 2, "{problem}");
    let problem = first(&AGENT.replace("  name: returns-bot", "  name: returns-bot\n  label: x"));
    assert_eq!(problem.line, 5, "{problem}");
}

#[test]
fn a_wrong_value_is_refused_with_its_line() {
    let problem = first(&AGENT.replace("tier: 3", "tier: 9"));
    assert_eq!(problem.line, 9, "{problem}");
    let problem = first(&AGENT.replace("returns-bot", "Returns Bot"));
    assert_eq!((problem.line, problem.column), (4, 9), "{problem}");
    let problem = first(&AGENT.replace("remit.dev/v1", "remit.dev/v2"));
    assert!(problem.message.contains("apiVersion"), "{problem}");
    let problem = first(&format!("{AGENT}---\n{AGENT}"));
    assert!(
        problem.message.contains("twice") && problem.line == 11,
        "{problem}"
    );
}

#[test]
fn bombs_and_floods_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\n";
    assert!(read(bomb).is_err());
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(read(&" ".repeat(DOCUMENTS_BYTES_MAX + 1)).is_err());
    assert!(read(&format!("---\n{AGENT}").repeat(DOCUMENTS_MAX + 1)).is_err());
    assert!(read("").unwrap().is_empty());
}

proptest::proptest! {
    /// Whatever is sent is read or refused with a place; nothing panics or runs away.
    #[test]
    fn any_text_is_answered(text in "[a-zA-Z0-9:{}\\[\\]&*!|>'\"%@, \n-]{0,400}") {
        let _ = read(&text);
    }

    #[test]
    fn any_broken_document_is_answered(at in 0usize..400, byte in 0u8..128) {
        let mut text = format!("{AGENT}---\n{WORKFLOW}").into_bytes();
        let place = at % text.len();
        text[place] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Err(problems) = read(&text) {
            proptest::prop_assert!(!problems.is_empty());
            let lines = u64::try_from(text.lines().count()).unwrap();
            proptest::prop_assert!(problems.iter().all(|p| p.line <= lines + 1 && p.message.len() < 4_000));
        }
    }
}
