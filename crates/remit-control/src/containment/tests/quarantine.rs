//! Who lets an agent out of its quarantine.

use super::*;

#[tokio::test]
async fn nobody_lifts_the_quarantine_of_their_own_agent_nor_does_their_puppet() {
    for puppet in [false, true] {
        let w = World::new().await;
        let (lifts, owner) = if puppet {
            w.vouch(RESPONDER, OWNER).await;
            (RESPONDER, OWNER)
        } else {
            let key = id("agt", 1);
            let found = w.books.get::<Agent>(&w.org, &key).await.unwrap().unwrap();
            let mut agent = found.noun;
            agent.profile.owner = id("per", RESPONDER).parse().unwrap();
            let change = Change::new().update(&agent, found.revision);
            w.books.commit(&w.org, change).await.unwrap();
            (RESPONDER, RESPONDER)
        };
        let contained = w
            .control
            .contain(&w.caller(ADMIN), &agent_target(), Level::Quarantine, "odd")
            .await
            .unwrap();
        let lifted = w
            .control
            .lift_containment(&w.caller(lifts), &contained.id, "mine is good")
            .await;
        assert_eq!(code(lifted), RefusalCode::Forbidden, "{owner}");
        let other = w.caller(ADMIN);
        w.control
            .lift_containment(&other, &contained.id, "looked into")
            .await
            .unwrap();
    }
}
