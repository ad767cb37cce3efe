//! Answers, as they come.

use super::*;

#[tokio::test]
async fn a_name_that_is_not_answered_holds_up_no_other() {
    let names = Names::default();
    let mut questions = Questions::default();
    for _ in 1..MAX_QUESTIONS {
        questions.0.push(Box::pin(std::future::pending()));
    }
    let name = Hostname::from("localhost");
    assert!(names.addresses(&name).is_none());
    let answered = async { while !names.refresh(&mut questions).await {} };
    let deadline = Duration::from_secs(20);
    tokio::time::timeout(deadline, answered).await.unwrap();
    let found = names.addresses(&name).unwrap();
    assert!(found.iter().all(|ip| ip.is_loopback()));
    assert_eq!(names.generation(), 1);
    assert_eq!(questions.0.len(), MAX_QUESTIONS - 1);
}

#[tokio::test]
async fn a_name_is_asked_for_once_at_a_time() {
    let names = Names::default();
    names.addresses(&Hostname::from("a.test"));
    names.addresses(&Hostname::from("b.test"));
    let now = net::clock::now();
    assert_eq!(names.due(now, 1).len(), 1);
    assert_eq!(names.due(now, 8).len(), 1);
    assert!(names.due(now, 8).is_empty());
}
