#![allow(clippy::all, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason="x")]
use std::sync::Arc; use std::time::Instant;
use remit_domain::*; use remit_domain::event::EventKind; use remit_ports::store::*; use remit_ports::Store; use remit_ledger::NewEntry;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap()+f[12].parse::<f64>().unwrap())/100.0 }
fn thread_cpu() -> Vec<(String,f64)> { let mut v=vec![]; for t in std::fs::read_dir("/proc/self/task").unwrap() { let p=t.unwrap().path(); let s = std::fs::read_to_string(p.join("stat")).unwrap(); let name=s.split('(').nth(1).unwrap().split(')').next().unwrap().to_owned(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); v.push((name,(f[11].parse::<f64>().unwrap()+f[12].parse::<f64>().unwrap())/100.0)); } v }
#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or("/var/tmp".into())).unwrap();
    let store = Arc::new(remit_store_sqlite::SqliteStore::open(dir.path(), Arc::new(remit_testkit::SimClock::default())).unwrap());
    let org = OrgId::from_uuid(uuid::Uuid::from_u128(7));
    for conc in [1usize, 16, 64, 256] {
        let n = if conc==1 {2000} else {20000};
        let (t, c) = (Instant::now(), cpu());
        let tasks: Vec<_> = (0..conc).map(|k| { let (store, org) = (store.clone(), org.clone()); tokio::spawn(async move {
            let mut lat = vec![];
            for i in 0..n/conc {
                let u = uuid::Uuid::from_u128(((conc as u128)<<64)|((i as u128)<<32)|k as u128);
                let (d, a, r) = (DecisionId::from_uuid(u), AgentId::from_uuid(uuid::Uuid::from_u128(k as u128)), RunId::from_uuid(uuid::Uuid::from_u128(k as u128)));
                let e = NewEntry { kind: EventKind::CallDecided, at: Timestamp::from_secs(i as i64), agent: Some(a.clone()), run: Some(r.clone()), decision: Some(d.clone()), leaf: vec![1; 700], sealed: vec![2; 1500] };
                let t = Instant::now();
                store.admit(Admit { org: org.clone(), decision: d.clone(), agent: a, run: r.clone(), tool: remit_domain::tool::ToolRef::new("orders".parse().unwrap(), "refund").unwrap(), at: Timestamp::from_secs(1), epoch: 0, labels: (r.to_string(), 0), raise: vec![], reserve: vec![Reserve{key:"k".into(),amount:1,max:i64::MAX,until:Timestamp::from_secs(9)}], puts: vec![], blobs: vec![], entries: vec![e.clone()], sends: Some("n".into()) }).await.unwrap();
                lat.push(t.elapsed());
                store.outcome(Outcome { org: org.clone(), decision: d, at: Timestamp::from_secs(1), entries: vec![NewEntry{kind: EventKind::CallCompleted, ..e}], raise: vec![], release: vec![], puts: vec![] }).unwrap();
            } lat }) }).collect();
        let mut lat = vec![]; for t in tasks { lat.extend(t.await.unwrap()); }
        store.flush().await.unwrap();
        lat.sort();
        let el = t.elapsed().as_secs_f64();
        println!("conc {conc}: {:.0}/s (admit+outcome), p50 {:?} p99 {:?}, cpu {:.1} us per pair", n as f64/el, lat[lat.len()/2], lat[lat.len()*99/100], (cpu()-c)*1e6/n as f64);
    }
    println!("{:?}", thread_cpu());
    store.close().await;
}
